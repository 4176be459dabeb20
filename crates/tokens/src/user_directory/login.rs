//! The object of a user who logs in: its creation, and the time of the last login.

use api::labels::LAST_LOGIN;
use api::management::User;
use auth::UserInfo;
use auth::service_account::OWNER_PREFIX;
use auth::user::RESERVED_PREFIX;
use jiff::{SignedDuration, Timestamp};
use machinery::meta::ObjectMeta;
use machinery::status::Status;
use machinery::validation::dns1123_subdomain;
use management::settings::InvalidSetting;
use signing::secret::sha256_hex;

use super::UserDirectory;

/// The time after which the time of the last login is written again.
const REFRESH: SignedDuration = SignedDuration::from_hours(1);

/// The maximum length of the readable part of a name, in characters.
const MAX_READABLE: usize = 40;

/// The length of the part of a hash that distinguishes names whose readable parts are equal.
const HASH: usize = 12;

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
    let mut user = User {
        metadata: ObjectMeta {
            name: Some(object_name(name)),
            ..ObjectMeta::default()
        },
        display_name: name.to_owned(),
        username: name.to_owned(),
        principal_ids: vec![name.to_owned()],
        enabled: Some(true),
        ..User::default()
    };
    set_last_login(&mut user.metadata, now);
    user
}

/// Returns the name of the object of a user: the name of the user if an object can have it, else its
/// letters and digits and a part of its hash.
fn object_name(user: &str) -> String {
    if dns1123_subdomain(user).is_empty() {
        return user.to_owned();
    }
    let is_kept = |letter: char| letter.is_ascii_alphanumeric();
    let letters = user.chars().map(|letter| letter.to_ascii_lowercase());
    let readable: String = letters
        .map(|letter| if is_kept(letter) { letter } else { '-' })
        .take(MAX_READABLE)
        .collect();
    let hash = &sha256_hex(user)[..HASH];
    match readable.trim_matches('-') {
        "" => format!("u-{hash}"),
        readable => format!("{readable}-{hash}"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_object_is_legal_and_readable() {
        #[track_caller]
        fn check(user: &str, expected: &str) {
            let name = object_name(user);
            assert_eq!(dns1123_subdomain(&name), [""; 0]);
            let (readable, hash) = name.split_at(name.len().saturating_sub(HASH));
            match expected.strip_suffix('#') {
                Some(expected) => {
                    assert_eq!((readable, hash), (expected, &sha256_hex(user)[..HASH]));
                }
                None => assert_eq!(name, expected),
            }
        }
        check("alice", "alice");
        check("alice.b", "alice.b");
        check("Alice", "alice-#");
        check("alice@example.com", "alice-example-com-#");
        check("https://a.example#7", "https---a-example-7-#");
        check(
            "repo:org/x:ref:refs/heads/main",
            "repo-org-x-ref-refs-heads-main-#",
        );
        check("日本", "u-#");
        check(&"a".repeat(300), &format!("{}-#", "a".repeat(MAX_READABLE)));
        check(
            &format!("{}@b", "a".repeat(39)),
            &format!("{}-#", "a".repeat(39)),
        );
    }
}
