//! `users.management.cattle.io`: who may create kubeconfigs.

use std::collections::HashSet;

use api::management::User;
use apiserver::cell::{AGE, age};
use apiserver::description::{Description, KindSchema};
use apiserver::registry::Registry;
use apiserver::resource::Resource;
use apiserver::stored_object::Index;
use async_trait::async_trait;
use jiff::Timestamp;
use machinery::field::{self, ErrorList, Path};
use machinery::table::Column;
use serde_json::Value;

use crate::description::describe;

/// What the kind is.
pub fn description() -> Description {
    describe(
        (User::KIND, User::PLURAL, User::SINGULAR),
        KindSchema::of::<User>(),
    )
}

/// Users are found by name and labels.
pub const INDEX: Index<User> = Index::NONE;

const COLUMNS: [Column; 5] = [
    Column::NAME,
    Column::string("Display Name", "Name of the user for people."),
    Column::string("Enabled", "Whether the user may do anything."),
    Column::string("Username", "Name that the user logs in with.").wide(),
    AGE,
];

/// The strategy of users.
pub struct Users {
    /// The objects.
    pub registry: Registry<User>,
}

#[async_trait]
impl Resource for Users {
    type Object = User;

    fn registry(&self) -> &Registry<User> {
        &self.registry
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, user: &User, now: Timestamp) -> Vec<Value> {
        vec![
            user.id().into(),
            user.display_name.as_str().into(),
            user.is_enabled().to_string().into(),
            user.username.as_str().into(),
            age(&user.metadata, now),
        ]
    }

    fn validate(&self, user: &User, _live: Option<&User>) -> ErrorList {
        let mut seen = HashSet::new();
        let path = Path::root("principalIds");
        let entries = user.principal_ids.iter().enumerate();
        let repeated = entries.filter(|(_, principal)| !seen.insert(principal.as_str()));
        repeated
            .map(|(index, principal)| {
                field::Error::duplicate(&path.index(index), principal.as_str())
            })
            .collect()
    }
}
