//! `users.management.cattle.io`: the users who may create kubeconfigs.

use std::collections::HashSet;

use api::management::User;
use apiserver::cell::{AGE, age};
use apiserver::description::{Description, KindSchema};
use apiserver::registry::Registry;
use apiserver::resource::Resource;
use apiserver::stored_object::Index;
use async_trait::async_trait;
use auth::identity::Part;
use jiff::Timestamp;
use machinery::field::{self, ErrorList, Path};
use machinery::table::Column;
use serde_json::Value;

use crate::description::describe;

/// Returns the description of the kind.
pub fn description() -> Description {
    describe(
        User::KIND,
        User::PLURAL,
        User::SINGULAR,
        KindSchema::of::<User>(),
    )
}

/// The index of users, which can be selected by name and labels only.
pub const INDEX: Index<User> = Index::NONE;

const COLUMNS: [Column; 5] = [
    Column::NAME,
    Column::string("Display Name", "Display name of the user."),
    Column::string("Enabled", "Whether the user is enabled."),
    Column::string("Username", "Login name of the user.").wide(),
    AGE,
];

/// The strategy of users.
pub struct Users {
    /// The stored users.
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

    fn validate(&self, user: &User, live: Option<&User>) -> ErrorList {
        principals(user, live)
    }
}

/// Returns the problems with the principals. Each must be listed once and be a valid user name. A
/// stored principal may stay, so that the user can be edited. It is checked again at use.
fn principals(user: &User, live: Option<&User>) -> ErrorList {
    let mut seen = HashSet::new();
    let path = Path::root("principalIds");
    let is_kept = |principal| live.is_some_and(|live| live.principal_ids.contains(principal));
    let mut errors = ErrorList::new();
    for (index, principal) in user.principal_ids.iter().enumerate() {
        let path = path.index(index);
        if !seen.insert(principal.as_str()) {
            errors.push(field::Error::duplicate(&path, principal.as_str()));
        }
        if let Err(error) = Part::UserName.check(principal)
            && !is_kept(principal)
        {
            let problem = error.problem.to_string();
            errors.push(field::Error::invalid(&path, principal.as_str(), &problem));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(principals: &[&str]) -> User {
        User {
            principal_ids: principals.iter().map(|&text| text.to_owned()).collect(),
            ..User::default()
        }
    }

    #[test]
    fn a_principal_is_a_name_that_can_be_asserted() {
        #[track_caller]
        fn check(sent: &[&str], live: Option<&[&str]>, expected: &[&str]) {
            let live = live.map(user);
            let errors = principals(&user(sent), live.as_ref());
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(errors, expected);
        }
        check(&["alice@example.com", "github_user://7"], None, &[]);
        let blank =
            "principalIds[0]: Invalid value: \" alice\": must not begin or end with white space";
        check(&[" alice"], None, &[blank]);
        check(&[" alice"], Some(&["alice"]), &[blank]);
        check(&[" alice"], Some(&[" alice"]), &[]);
        let twice = "principalIds[1]: Duplicate value: \"alice\"";
        check(&["alice", "alice"], None, &[twice]);
        let spelling = "principalIds[0]: Invalid value: \"SYSTEM:admin\": must not be another spelling of a name that begins with \"system:\"";
        check(&["SYSTEM:admin"], None, &[spelling]);
    }
}
