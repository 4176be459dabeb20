//! Lookup of users by the names that requests are authenticated as.

use std::collections::HashMap;
use std::sync::Arc;

use api::management::User;
use apiserver::registry::Registry;
use apiserver::stored_object::StoredObject;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use auth::authorizer::{AuthorizerError, Rules};
use auth::identity::Part;
use auth::user::RESERVED_PREFIX;
use auth::{Attributes, Authorizer, Decision, UserInfo};
use jiff::Timestamp;
use machinery::meta::ObjectKey;
use management::settings::Settings;
use storage::Revision;
use storage::cache::View;

/// Finds users, without decoding their objects each time.
pub struct UserDirectory {
    users: Registry<User>,
    settings: Settings,
    known: UsersKnown,
    principals: ArcSwap<Principals>,
}

/// Returns whether the objects of users in memory are up to date. Until they are, a user name is
/// valid only if it has an object.
pub type UsersKnown = Arc<dyn Fn() -> bool + Send + Sync>;

/// The facts about a user that checks need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFacts {
    /// The uid of the object, which distinguishes the user from a later one of the same name. Empty
    /// if there is no object.
    pub uid: String,
    /// The creation time of the object, or `None` if there is no object.
    pub created: Option<Timestamp>,
    /// False if the user may do nothing, because its object is disabled or is being deleted.
    pub enabled: bool,
    principals: Vec<String>,
}

/// The user object of each principal, for one state of all users.
#[derive(Default)]
struct Principals {
    as_of: Revision,
    keys: HashMap<String, String>,
}

impl UserDirectory {
    /// Creates the directory of these objects.
    pub fn new(users: Registry<User>, settings: Settings, known: UsersKnown) -> Self {
        Self {
            users,
            settings,
            known,
            principals: ArcSwap::default(),
        }
    }

    /// Returns the user of a name. A user without an object is found only if objects are not
    /// required and the name is not reserved by Kubernetes. A name that cannot be asserted to a
    /// cluster has no user.
    pub fn find(&self, name: &str) -> Option<Arc<UserFacts>> {
        if Part::UserName.check(name).is_err() {
            return None;
        }
        let may_lack_object = || {
            let is_reserved = name.starts_with(RESERVED_PREFIX);
            let requires_object = self.settings.require_user() || !(self.known)();
            (!is_reserved && !requires_object).then(Arc::default)
        };
        self.by_object(name).or_else(may_lack_object)
    }

    /// Returns the uid of the user of a name. Empty if there is no object.
    pub fn uid(&self, name: &str) -> String {
        let found = self.find(name);
        found.map(|user| user.uid.clone()).unwrap_or_default()
    }

    /// Returns the user object of a name: the object with that name, or else the one that lists the
    /// name as a principal. Names with a colon have none.
    fn by_object(&self, name: &str) -> Option<Arc<UserFacts>> {
        if name.contains(':') {
            return None;
        }
        let view = self.users.cache().view();
        let object = match view.get(&self.users.key(ObjectKey::cluster(name))) {
            Some(object) => object,
            None => view.get(self.principals(&view).keys.get(name)?)?,
        };
        self.users.cache().derived_of(object, UserFacts::of)
    }

    /// Returns the principals for exactly this state of the users.
    fn principals(&self, view: &View<StoredObject>) -> Arc<Principals> {
        let known = self.principals.load_full();
        if known.as_of == view.last_change() {
            return known;
        }
        let mut keys = HashMap::new();
        for (key, object) in view.iter() {
            let Some(user) = self.users.cache().derived_of(object, UserFacts::of) else {
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
        }
    }
}

impl UserFacts {
    fn of(user: &User) -> Self {
        Self {
            uid: user.metadata.uid.clone().unwrap_or_default(),
            created: user.metadata.creation_timestamp.as_ref().map(|time| time.0),
            enabled: user.is_enabled() && user.metadata.deletion_timestamp.is_none(),
            principals: user.principal_ids.clone(),
        }
    }
}
