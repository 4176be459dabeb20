//! The object of a user who logs in: its creation, and the time of the last login.

use api::labels::LAST_LOGIN;
use api::management::User;
use auth::UserInfo;
use auth::service_account::OWNER_PREFIX;
use auth::user::RESERVED_PREFIX;
use jiff::{SignedDuration, Timestamp};
use machinery::meta::ObjectMeta;
use machinery::status::Status;
use management::settings::InvalidSetting;
use management::user::who_logs_in_as;

use super::UserDirectory;

/// The time after which the time of the last login is written again.
const REFRESH: SignedDuration = SignedDuration::from_hours(1);

impl UserDirectory {
    /// Creates the object of a user who logs in, or records the time of the login in it, if the
    /// settings say so.
    ///
    /// The login is valid in any case. If the object cannot be written, the next request of the user
    /// tries again.
    pub(crate) async fn note_login(&self, user: &UserInfo, now: Timestamp) {
        let name = &user.name;
        // These are not users, or are users by another object.
        if name.starts_with(RESERVED_PREFIX) || name.starts_with(OWNER_PREFIX) {
            return;
        }
        match self.try_note_login(name, now).await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, user = name, "the login of a user cannot be recorded");
            }
        }
    }

    async fn try_note_login(&self, name: &str, now: Timestamp) -> Result<(), Status> {
        let view = self.parts.users.cache().view();
        let store = self.parts.users.store();
        let Some(object) = self.object(&view, name) else {
            if self.provisions()? && (self.parts.known)() {
                store.seed(user_of(name, now)).await?;
            }
            return Ok(());
        };
        if !self.records_logins()? {
            return Ok(());
        }
        let users = self.parts.users.cache();
        let Some(user) = users.derived_of(object, |user: &User| user.clone()) else {
            return Ok(());
        };
        let is_old = |last: Timestamp| now.duration_since(last) >= REFRESH;
        if last_login(&user).is_some_and(|last| !is_old(last)) {
            return Ok(());
        }
        let amend = |user: &mut User| {
            let is_new = last_login(user).is_none_or(is_old);
            if is_new {
                set_last_login(&mut user.metadata, now);
            }
            is_new
        };
        store.ensure_with((*user).clone(), amend).await
    }

    fn provisions(&self) -> Result<bool, InvalidSetting> {
        self.parts.settings.user_provisioning()
    }

    /// Returns whether something depends on the time of the last login.
    fn records_logins(&self) -> Result<bool, InvalidSetting> {
        Ok(self.provisions()? || self.parts.settings.user_inactive()?.is_some())
    }
}

/// Returns the object of a new user.
fn user_of(name: &str, now: Timestamp) -> User {
    let mut user = who_logs_in_as(name);
    set_last_login(&mut user.metadata, now);
    user
}

/// Returns the time of the last login of a user, if it is recorded.
pub(super) fn last_login(user: &User) -> Option<Timestamp> {
    let labels = user.metadata.labels.as_ref()?;
    let secs = labels.get(LAST_LOGIN)?.parse().ok()?;
    Timestamp::from_second(secs).ok()
}

fn set_last_login(metadata: &mut ObjectMeta, now: Timestamp) {
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(LAST_LOGIN.to_owned(), now.as_second().to_string());
}
