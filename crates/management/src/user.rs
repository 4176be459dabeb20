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
use machinery::meta::ObjectMeta;
use machinery::table::Column;
use machinery::validation::dns1123_subdomain;
use serde_json::Value;
use signing::secret::sha256_hex;

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

/// The maximum length of the readable part of the name of an object, in characters.
const MAX_READABLE: usize = 40;

/// The length of the part of a hash that distinguishes names whose readable parts are equal.
const HASH: usize = 12;

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

/// Returns the object of a new user who logs in with this name.
pub fn who_logs_in_as(name: &str) -> User {
    User {
        metadata: ObjectMeta {
            name: Some(object_name(name)),
            ..ObjectMeta::default()
        },
        display_name: name.to_owned(),
        username: name.to_owned(),
        principal_ids: vec![name.to_owned()],
        enabled: Some(true),
        ..User::default()
    }
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
