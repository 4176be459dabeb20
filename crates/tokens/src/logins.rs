//! The groups that the last logins of users brought.
//!
//! A record of a kubeconfig or token has the groups of the login that created it, and the source of
//! that login. A token has the groups only while the user still has them. The server cannot ask a provider
//! for that, so it remembers what the last login of each user from each source brought:
//!
//! ```text
//! groups of a token = groups in its record ∩ groups of the user's last login from its source
//! ```
//!
//! A login that lost a group takes it from everything that was created before. A login that gained
//! one changes nothing that exists. A login is first written when its user creates a kubeconfig or
//! token, and later only if its groups differ from the last ones, or if the time of the last login
//! is needed for the setting `kubeconfig-groups-max-age-minutes`. All replicas read the logins from
//! their watch cache.
//!
//! An ID token or certificate that was issued before the last one is not recorded. Otherwise a user
//! could keep an old one to get a lost group back.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use api::ext::{self, LastLogin, UserLogin, UserLoginStatus};
use api::management::cluster::GROUP_PREFIX;
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::{Registry, WriteError};
use async_trait::async_trait;
use auth::service_account::OWNER_PREFIX;
use auth::user::{ALL_AUTHENTICATED, RESERVED_PREFIX};
use auth::{Authentication, Authenticator, Credentials, Identity, Login, UserInfo};
use jiff::{SignedDuration, Timestamp};
use machinery::meta::{ObjectKey, ObjectMeta, Time};
use machinery::status::Status;
use machinery::time::Clock;
use management::group_filter::GroupFilter;
use management::settings::Settings;
use signing::secret::sha256_hex;

use crate::origin::token_of;
use crate::user_directory::UserDirectory;

/// The maximum number of sources that are remembered for a user. The one that was not used for the
/// longest time makes room for another.
const MAX_SOURCES: usize = 16;

/// The part of the maximum age of groups after which the time of the last login is written again.
const REFRESHES_PER_AGE: i32 = 10;

/// Returns the description of the kind, which is stored and not served.
pub fn description() -> Description {
    Description {
        group: ext::GROUP,
        version: ext::VERSION,
        kind: UserLogin::KIND,
        plural: UserLogin::PLURAL,
        singular: UserLogin::SINGULAR,
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: Verb::ALL,
        subresources: &[],
        schema: KindSchema::of::<UserLogin>(),
    }
}

/// The last logins of all users.
pub struct Logins {
    registry: Registry<UserLogin>,
    settings: Settings,
}

/// The settings that decide on the groups of tokens; `None` for an invalid one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupTerms {
    filter: Option<GroupFilter>,
    max_age: Option<Option<SignedDuration>>,
}

/// The last logins of a user, decoded.
#[derive(Debug)]
pub(crate) struct LoginFacts {
    user: String,
    by_source: HashMap<String, SourceFacts>,
}

/// The last login from a source.
#[derive(Debug)]
struct SourceFacts {
    groups: HashSet<String>,
    issued: Timestamp,
    seen: Timestamp,
}

impl Logins {
    /// Creates the reader and writer of these objects.
    pub fn new(registry: Registry<UserLogin>, settings: Settings) -> Self {
        Self { registry, settings }
    }

    /// Returns the registry of the logins.
    pub fn registry(&self) -> &Registry<UserLogin> {
        &self.registry
    }

    /// Records what a login brought, before its user creates something that depends on it.
    ///
    /// # Errors
    /// 503 if the store is unavailable.
    pub async fn record(
        &self,
        user: &UserInfo,
        login: &Login,
        now: Timestamp,
    ) -> Result<(), Status> {
        let last = last_login(user, login, now);
        let facts = self.facts(&user.name);
        let is_news = facts.and_then(|it| it.is_changed_by(&last, self.refresh_interval()));
        // Without groups there is nothing to depend on.
        match is_news.unwrap_or(!last.groups.is_empty()) {
            true => self.write(&user.name, last).await,
            false => Ok(()),
        }
    }

    /// Updates what the last login brought, if something may depend on it: nothing is written for a
    /// user who has created nothing. The login is valid in any case. If the store does not answer,
    /// the next request of the user tries again.
    async fn update(&self, user: &UserInfo, login: &Login, now: Timestamp) {
        let Some(facts) = self.facts(&user.name) else {
            return;
        };
        let last = last_login(user, login, now);
        if facts.is_changed_by(&last, self.refresh_interval()) != Some(true) {
            return;
        }
        if let Err(error) = self.write(&user.name, last).await {
            tracing::warn!(%error, user = user.name, "the groups of a login cannot be recorded");
        }
    }

    /// Returns the current settings, to be compared with those of another time.
    pub(crate) fn terms(&self) -> GroupTerms {
        GroupTerms {
            filter: self.settings.groups().ok(),
            max_age: self.settings.groups_max_age().ok(),
        }
    }

    /// Returns the last logins of a user, if the one from this source is known and its groups still
    /// count.
    pub(crate) fn recent(
        &self,
        user: &str,
        source: &str,
        now: Timestamp,
    ) -> Option<Arc<LoginFacts>> {
        let facts = self.facts(user)?;
        let last = facts.by_source.get(source)?;
        self.is_recent(last, now).then_some(facts)
    }

    /// Returns the groups of a user's last logins from all sources that still count, once each.
    pub(crate) fn all_groups(&self, user: &str, now: Timestamp) -> Vec<String> {
        let Some(facts) = self.facts(user) else {
            return Vec::new();
        };
        let logins = facts.by_source.values();
        let recent = logins.filter(|last| self.is_recent(last, now));
        let groups: BTreeSet<&String> = recent.flat_map(|last| &last.groups).collect();
        groups.into_iter().cloned().collect()
    }

    /// Returns the groups that tokens carry: those of the setting `kubeconfig-groups`, without
    /// those that Kubernetes reserves and those that only grants give.
    pub(crate) fn carried(&self, groups: &[String]) -> Vec<String> {
        if groups.is_empty() {
            return Vec::new();
        }
        let filter = match self.settings.groups() {
            Ok(filter) => filter,
            Err(error) => {
                tracing::error!(%error, "tokens carry no groups until this setting is valid");
                return Vec::new();
            }
        };
        let groups = groups.iter();
        let reserved = [RESERVED_PREFIX, GROUP_PREFIX];
        let carried = groups.filter(|group| !reserved.iter().any(|it| group.starts_with(it)));
        let carried = carried.filter(|group| filter.selects(group));
        carried.cloned().collect()
    }

    fn is_recent(&self, last: &SourceFacts, now: Timestamp) -> bool {
        match self.settings.groups_max_age() {
            Ok(Some(age)) => now.duration_since(last.seen) <= age,
            Ok(None) => true,
            Err(error) => {
                tracing::error!(%error, "tokens carry no groups until this setting is valid");
                false
            }
        }
    }

    /// Returns the time after which the time of the last login is written again; `None` if nothing
    /// depends on it.
    fn refresh_interval(&self) -> Option<SignedDuration> {
        let age = self.settings.groups_max_age().ok().flatten()?;
        Some(age / REFRESHES_PER_AGE)
    }

    fn facts(&self, user: &str) -> Option<Arc<LoginFacts>> {
        let name = login_name(user);
        let key = ObjectKey::cluster(&name);
        let facts = self.registry.cache().derived(key, LoginFacts::of);
        facts.filter(|facts| facts.user == user)
    }

    async fn write(&self, user: &str, last: LastLogin) -> Result<(), Status> {
        let fresh = UserLogin {
            metadata: ObjectMeta {
                name: Some(login_name(user)),
                ..ObjectMeta::default()
            },
            status: UserLoginStatus {
                user_name: user.to_owned(),
                logins: vec![last.clone()],
            },
        };
        self.remove_unusable(user).await?;
        let refresh = self.refresh_interval();
        let amend = |stored: &mut UserLogin| amend(&mut stored.status.logins, &last, refresh);
        self.registry.store().ensure_with(fresh, amend).await
    }

    /// Removes the object of a user if it is damaged: it would keep its user from creating anything.
    async fn remove_unusable(&self, user: &str) -> Result<(), Status> {
        let name = login_name(user);
        let store = self.registry.store();
        let Some(stored) = store.find(ObjectKey::cluster(&name)).await? else {
            return Ok(());
        };
        let facts = self.registry.cache().derived_of(&stored, LoginFacts::of);
        if facts.is_some_and(|facts| facts.user == user) {
            return Ok(());
        }
        match store.remove_stored(&stored).await {
            Ok(()) | Err(WriteError::Conflict) => Ok(()),
            Err(WriteError::Status(status)) => Err(status),
        }
    }
}

/// Returns a login as it is stored.
fn last_login(user: &UserInfo, login: &Login, now: Timestamp) -> LastLogin {
    LastLogin {
        source: login.source.clone(),
        groups: login_groups(user),
        issued_at: Some(Time(login.issued.min(now))),
        last_seen_at: Some(Time(now)),
    }
}

/// Replaces the last login from a source. Returns whether anything changed.
fn amend(logins: &mut Vec<LastLogin>, last: &LastLogin, refresh: Option<SignedDuration>) -> bool {
    let known = logins.iter().find(|known| known.source == last.source);
    if known.is_some_and(|known| !SourceFacts::of(known).is_changed_by(last, refresh)) {
        return false;
    }
    logins.retain(|known| known.source != last.source);
    if logins.len() >= MAX_SOURCES {
        let seen = |login: &LastLogin| time_of(login.last_seen_at.as_ref());
        let oldest = logins
            .iter()
            .enumerate()
            .min_by_key(|(_, login)| seen(login));
        if let Some((oldest, _)) = oldest {
            logins.remove(oldest);
        }
    }
    logins.push(last.clone());
    true
}

impl LoginFacts {
    fn of(login: &UserLogin) -> Self {
        let logins = login.status.logins.iter();
        Self {
            user: login.status.user_name.clone(),
            by_source: logins
                .map(|last| (last.source.clone(), SourceFacts::of(last)))
                .collect(),
        }
    }

    /// Returns those of these groups that the last login from this source had.
    pub(crate) fn still_has(&self, source: &str, groups: &[String]) -> Vec<String> {
        let Some(last) = self.by_source.get(source) else {
            return Vec::new();
        };
        let groups = groups.iter().filter(|group| last.groups.contains(*group));
        groups.cloned().collect()
    }

    /// Returns whether a login must be written, or `None` if its source is not known.
    fn is_changed_by(&self, last: &LastLogin, refresh: Option<SignedDuration>) -> Option<bool> {
        let known = self.by_source.get(&last.source)?;
        Some(known.is_changed_by(last, refresh))
    }
}

impl SourceFacts {
    fn of(last: &LastLogin) -> Self {
        Self {
            groups: last.groups.iter().cloned().collect(),
            issued: time_of(last.issued_at.as_ref()),
            seen: time_of(last.last_seen_at.as_ref()),
        }
    }

    /// Returns whether a login must be written.
    fn is_changed_by(&self, last: &LastLogin, refresh: Option<SignedDuration>) -> bool {
        if time_of(last.issued_at.as_ref()) < self.issued {
            return false;
        }
        let is_same = last.groups.len() == self.groups.len()
            && last.groups.iter().all(|group| self.groups.contains(group));
        let age = time_of(last.last_seen_at.as_ref()).duration_since(self.seen);
        !is_same || refresh.is_some_and(|refresh| age >= refresh)
    }
}

/// Authenticates logins: credentials that others issued. Records what each login brings, and knows
/// ServiceAccounts of the host under the name that owns their objects.
pub struct LoginAuthenticator {
    inner: Arc<dyn Authenticator>,
    logins: Arc<Logins>,
    users: Arc<UserDirectory>,
    clock: Arc<dyn Clock>,
}

impl LoginAuthenticator {
    /// Creates an authenticator of the logins that `inner` accepts.
    pub fn new(
        inner: Arc<dyn Authenticator>,
        logins: Arc<Logins>,
        users: Arc<UserDirectory>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            inner,
            logins,
            users,
            clock,
        }
    }

    async fn record(&self, identity: &Identity) {
        if let Some(login) = identity.login()
            && token_of(identity).is_none()
        {
            let now = self.clock.now();
            self.logins.update(identity, login, now).await;
            self.users.note_login(identity, now).await;
        }
    }
}

#[async_trait]
impl Authenticator for LoginAuthenticator {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        let authentication = self.inner.authenticate(credentials).await;
        let Authentication::Authenticated(identity) = authentication else {
            return authentication;
        };
        if identity.name.starts_with(OWNER_PREFIX) {
            return Authentication::failed(format!(
                "the user name {:?} belongs to a ServiceAccount of this server's host",
                identity.name
            ));
        }
        let authentication = match self.users.as_owner(&identity) {
            None => Authentication::Authenticated(identity),
            Some(owner) => match identity.login().cloned() {
                Some(login) => Authentication::by_login(owner, login),
                None => Authentication::of(owner),
            },
        };
        if let Authentication::Authenticated(identity) = &authentication {
            self.record(identity).await;
        }
        authentication
    }

    fn reads_header(&self, name: &str) -> bool {
        self.inner.reads_header(name)
    }
}

/// Returns the groups of a login, once each, without the group of all authenticated users.
pub(crate) fn login_groups(user: &UserInfo) -> Vec<String> {
    let mut seen = HashSet::new();
    let groups = user.groups.iter();
    let groups = groups.filter(|group| *group != ALL_AUTHENTICATED);
    groups
        .filter(|group| seen.insert(*group))
        .cloned()
        .collect()
}

/// Returns the name of the object of a user. It is a hash, because the names of users may have
/// characters that names of objects cannot have.
pub fn login_name(user: &str) -> String {
    sha256_hex(user)
}

fn time_of(time: Option<&Time>) -> Timestamp {
    time.map_or(Timestamp::MIN, |time| time.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: SignedDuration = SignedDuration::from_mins(1);

    /// Returns a login that was issued and seen at these seconds.
    fn login(source: &str, groups: &[&str], issued: i64, seen: i64) -> LastLogin {
        let time = |secs| Some(Time(Timestamp::from_second(secs).unwrap()));
        LastLogin {
            source: source.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            issued_at: time(issued),
            last_seen_at: time(seen),
        }
    }

    #[test]
    fn a_login_is_written_if_its_groups_differ_or_its_time_is_needed() {
        #[track_caller]
        fn check(last: &LastLogin, refresh: Option<SignedDuration>, expected: bool) {
            let known = login("a", &["x", "y"], 100, 200);
            let mut logins = vec![known.clone()];
            assert_eq!(amend(&mut logins, last, refresh), expected);
            let kept = if expected { last.clone() } else { known };
            assert_eq!(logins, [kept]);
        }
        check(&login("a", &["y", "x"], 101, 1000), None, false);
        check(&login("a", &["y", "x"], 101, 259), Some(MINUTE), false);
        check(&login("a", &["y", "x"], 101, 260), Some(MINUTE), true);
        check(&login("a", &["x"], 101, 201), None, true);
        check(&login("a", &["x", "z"], 100, 201), None, true);
        check(&login("a", &["x", "z"], 99, 201), None, false);
        check(&login("a", &["x", "y"], 99, 1000), Some(MINUTE), false);
    }

    #[test]
    fn a_new_source_replaces_the_one_that_was_not_seen_for_the_longest_time() {
        let count = i64::try_from(MAX_SOURCES).unwrap();
        let mut logins: Vec<_> = (0..count)
            .map(|number| login(&format!("source-{number}"), &["x"], 0, (number + 3) % count))
            .collect();
        let new = login("new", &["x"], 0, 100);
        assert!(amend(&mut logins, &new, None));
        assert_eq!(logins.len(), MAX_SOURCES);
        let mut sources = logins.iter().map(|login| login.source.as_str());
        assert!(sources.all(|source| source != "source-13"));
        assert_eq!(logins.last(), Some(&new));
    }
}
