//! Lookup of users by the names that requests are authenticated as, and the objects of users who
//! log in.

mod login;

use std::collections::HashMap;
use std::sync::Arc;

use api::management::User;
use apiserver::registry::Registry;
use apiserver::stored_object::StoredObject;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use auth::authorizer::{AuthorizerError, Rules};
use auth::identity::Part;
use auth::service_account::{OWNER_PREFIX, USERNAME_PREFIX};
use auth::user::RESERVED_PREFIX;
use auth::{Attributes, Authorizer, Decision, UserInfo};
use jiff::Timestamp;
use machinery::meta::{ObjectKey, ObjectMeta};
use machinery::time::Clock;
use management::settings::Settings;
use storage::Revision;
use storage::cache::View;

use crate::service_accounts::ServiceAccounts;

/// Finds users, without decoding their objects each time.
pub struct UserDirectory {
    parts: UserDirectoryParts,
    principals: ArcSwap<Principals>,
}

/// The objects and settings that decide who is a user.
pub struct UserDirectoryParts {
    /// The objects of users.
    pub users: Registry<User>,
    /// Returns whether these objects are up to date. Until they are, a user name is valid only if
    /// it has an object.
    pub known: Known,
    /// The ServiceAccounts of the host, or `None` without a host.
    pub service_accounts: Option<ServiceAccounts>,
    /// The settings.
    pub settings: Settings,
    /// The clock that decides how long ago a login was.
    pub clock: Arc<dyn Clock>,
}

/// Returns whether objects in memory are up to date.
pub type Known = Arc<dyn Fn() -> bool + Send + Sync>;

/// The facts about a user that checks need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFacts {
    /// The uid of the object, which distinguishes the user from a later one of the same name. Empty
    /// if there is no object.
    pub uid: String,
    /// The creation time of the object, or `None` if there is no object.
    pub created: Option<Timestamp>,
    /// False if the user may do nothing, because its object is disabled or is being deleted, or
    /// because the last login was too long ago.
    pub enabled: bool,
    principals: Vec<String>,
    /// The time of the last login, if it is recorded.
    last_login: Option<Timestamp>,
}

/// The user object of each principal, for one state of all users.
#[derive(Default)]
struct Principals {
    as_of: Revision,
    keys: HashMap<String, String>,
}

impl UserDirectory {
    /// Creates the directory of these objects.
    pub fn new(parts: UserDirectoryParts) -> Self {
        Self {
            parts,
            principals: ArcSwap::default(),
        }
    }

    /// Returns the user of a name. A user without an object is found only if objects are not
    /// required and the name is not reserved. A name that cannot be asserted to a cluster has no
    /// user.
    pub fn find(&self, name: &str) -> Option<Arc<UserFacts>> {
        if Part::UserName.check(name).is_err() {
            return None;
        }
        if name.starts_with(OWNER_PREFIX) {
            return self.parts.service_accounts.as_ref()?.find(name);
        }
        let may_lack_object = || {
            let is_reserved = name.starts_with(RESERVED_PREFIX);
            let requires_object = self.parts.settings.require_user() || !(self.parts.known)();
            (!is_reserved && !requires_object).then(Arc::default)
        };
        let user = self.by_object(name).or_else(may_lack_object)?;
        Some(match self.is_inactive(&user) {
            true => Arc::new(UserFacts {
                enabled: false,
                ..(*user).clone()
            }),
            false => user,
        })
    }

    /// Returns the names that users may log in with: those of their objects, and their principals
    /// other than those of Rancher, which have a scheme such as `local://`.
    pub(crate) fn names(&self) -> Vec<String> {
        let users = self.parts.users.cache().all();
        let names = users.into_iter().flat_map(|user| {
            let principals = user.principal_ids.into_iter();
            let principals = principals.filter(|principal| !principal.contains("://"));
            user.metadata.name.into_iter().chain(principals)
        });
        names.collect()
    }

    /// Returns whether a name is that of a user who is enabled.
    pub(crate) fn is_enabled(&self, name: &str) -> bool {
        self.find(name).is_some_and(|user| user.enabled)
    }

    /// Returns the reason for which a name that has no user may have no objects, and the remedy.
    pub fn unknown(&self, name: &str) -> String {
        let remedy = match name {
            _ if name.starts_with(USERNAME_PREFIX) && self.parts.service_accounts.is_some() => {
                "An administrator can set the setting kubeconfig-service-accounts to host"
                    .to_owned()
            }
            _ if name.starts_with(RESERVED_PREFIX) => {
                "Names that begin with system: are never users".to_owned()
            }
            _ if name.starts_with(OWNER_PREFIX) => {
                "This server has no ServiceAccount of this name".to_owned()
            }
            _ if self.parts.settings.user_provisioning().unwrap_or_default() => {
                "The next login of this user creates a User".to_owned()
            }
            _ => format!(
                "An administrator can create a User whose principalIds contain {name:?}, or set the setting user-provisioning to on-login"
            ),
        };
        format!("user {name} is not a Rancher user. {remedy}")
    }

    /// Returns whether the last login of a user was too long ago.
    fn is_inactive(&self, user: &UserFacts) -> bool {
        let Some(last_login) = user.last_login else {
            return false;
        };
        match self.parts.settings.user_inactive() {
            Ok(None) => false,
            Ok(Some(limit)) => self.parts.clock.now().duration_since(last_login) > limit,
            Err(error) => {
                tracing::error!(%error, "users whose logins are recorded are disabled until this setting is valid");
                true
            }
        }
    }

    /// Returns a ServiceAccount of the host under the name that owns its objects, or `None` for any
    /// other user ([`ServiceAccounts::as_owner`]).
    pub(crate) fn as_owner(&self, user: &UserInfo) -> Option<UserInfo> {
        self.parts.service_accounts.as_ref()?.as_owner(user)
    }

    /// Returns the uid of the user of a name. Empty if there is no object.
    pub fn uid(&self, name: &str) -> String {
        let found = self.find(name);
        found.map(|user| user.uid.clone()).unwrap_or_default()
    }

    /// Returns the facts of the user object of a name.
    fn by_object(&self, name: &str) -> Option<Arc<UserFacts>> {
        let view = self.parts.users.cache().view();
        let object = self.object(&view, name)?;
        self.parts.users.cache().derived_of(object, UserFacts::of)
    }

    /// Returns the user object of a name: the object with that name, or else the one that lists the
    /// name as a principal. Names that begin with `system:` have none.
    fn object<'v>(
        &self,
        view: &'v View<StoredObject>,
        name: &str,
    ) -> Option<&'v Arc<StoredObject>> {
        if name.starts_with(RESERVED_PREFIX) {
            return None;
        }
        let users = &self.parts.users;
        // No object has a name with a colon.
        let named = (!name.contains(':')).then(|| users.key(ObjectKey::cluster(name)));
        match named.and_then(|key| view.get(&key)) {
            Some(object) => Some(object),
            None => view.get(self.principals(view).keys.get(name)?),
        }
    }

    /// Returns the principals for exactly this state of the users.
    fn principals(&self, view: &View<StoredObject>) -> Arc<Principals> {
        let known = self.principals.load_full();
        if known.as_of == view.last_change() {
            return known;
        }
        let mut keys = HashMap::new();
        for (key, object) in view.iter() {
            let Some(user) = self.parts.users.cache().derived_of(object, UserFacts::of) else {
                continue;
            };
            for principal in &user.principals {
                // If two users claim the same principal, the first by name gets it.
                let key = || key.as_str().to_owned();
                keys.entry(principal.clone()).or_insert_with(key);
            }
        }
        let fresh = Arc::new(Principals {
            as_of: view.last_change(),
            keys,
        });
        self.principals.store(Arc::clone(&fresh));
        fresh
    }
}

/// Denies all requests of users whose object is disabled or being deleted, however they
/// authenticated.
pub struct DisabledUsers {
    users: Arc<UserDirectory>,
}

impl DisabledUsers {
    /// Creates the authorizer for these users.
    pub fn new(users: Arc<UserDirectory>) -> Self {
        Self { users }
    }
}

#[async_trait]
impl Authorizer for DisabledUsers {
    async fn authorize(
        &self,
        user: &UserInfo,
        _attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError> {
        let disabled = self.users.find(&user.name).is_some_and(|it| !it.enabled);
        Ok(match disabled {
            true => Decision::Deny {
                reason: format!("user {} is disabled or being deleted", user.name),
            },
            false => Decision::NoOpinion {
                reason: String::new(),
            },
        })
    }

    async fn rules(&self, _user: &UserInfo, _namespace: &str) -> Result<Rules, AuthorizerError> {
        Ok(Rules::default())
    }
}

/// The facts of a user without an object.
impl Default for UserFacts {
    fn default() -> Self {
        Self {
            uid: String::new(),
            created: None,
            enabled: true,
            principals: Vec::new(),
            last_login: None,
        }
    }
}

impl UserFacts {
    fn of(user: &User) -> Self {
        let facts = Self::of_object(&user.metadata);
        Self {
            enabled: facts.enabled && user.is_enabled(),
            principals: user.principal_ids.clone(),
            last_login: login::last_login(user),
            ..facts
        }
    }

    /// Returns the facts that the metadata of the object of a user contains.
    pub(crate) fn of_object(metadata: &ObjectMeta) -> Self {
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            enabled: metadata.deletion_timestamp.is_none(),
            ..Self::default()
        }
    }
}
