//! The identity of a request and the names that Kubernetes reserves.
//!
//! Names and groups follow `k8s.io/apiserver/pkg/authentication/user`.

use std::collections::BTreeMap;

/// The user name of a request that carries no credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// The group of every authenticated user.
pub const ALL_AUTHENTICATED: &str = "system:authenticated";
/// The group of every anonymous user.
pub const ALL_UNAUTHENTICATED: &str = "system:unauthenticated";
/// The group whose members may do everything, regardless of the policy.
pub const SYSTEM_MASTERS: &str = "system:masters";
/// The key in extra that identifies the credential that authenticated a request
/// (`CredentialIDKey`).
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
/// Prefix of every user and group name that has a meaning in Kubernetes.
pub const RESERVED_PREFIX: &str = "system:";

/// The user that makes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserInfo {
    /// The name that distinguishes this user from all other active users.
    pub name: String,
    /// Distinguishes users of the same name over time. Empty if unknown.
    pub uid: String,
    /// The groups that the user is a member of, in the order set by the authenticator.
    pub groups: Vec<String>,
    /// Additional information from the authenticator, by lower-case key.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// Returns a user of this name without uid, groups and extra.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Returns the user of a request without credentials.
    pub fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.to_owned(),
            groups: vec![ALL_UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// Returns whether this is [`UserInfo::anonymous`], by name.
    pub fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }

    /// Returns the ID of the credential that authenticated the user at another API server.
    pub fn credential(&self) -> Option<&str> {
        let ids = self.extra.get(CREDENTIAL_ID)?;
        ids.first().map(String::as_str)
    }

    /// Returns whether the user is a member of `group`.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|name| name == group)
    }

    /// Adds `system:authenticated`, unless the user is anonymous or already belongs to it or to
    /// `system:unauthenticated` (`pkg/authentication/group/authenticated_group_adder.go`).
    #[must_use]
    pub fn with_authenticated_group(mut self) -> Self {
        let is_decided = self.in_group(ALL_AUTHENTICATED) || self.in_group(ALL_UNAUTHENTICATED);
        if !self.is_anonymous() && !is_decided {
            self.groups.push(ALL_AUTHENTICATED.to_owned());
        }
        self
    }

    /// Returns the first name or group of this identity that is reserved by Kubernetes: an empty
    /// user name, or any name that starts with `system:` except the group `system:authenticated`.
    ///
    /// An identity from an external source, or one that is about to be impersonated at another
    /// server, is rejected if this returns a name and no administrator has explicitly mapped it.
    pub fn reserved_identity(&self) -> Option<&str> {
        if self.name.is_empty() || self.name.starts_with(RESERVED_PREFIX) {
            return Some(&self.name);
        }
        let is_reserved = |group: &&String| is_reserved_group(group);
        self.groups.iter().find(is_reserved).map(String::as_str)
    }
}

fn is_reserved_group(group: &str) -> bool {
    group.starts_with(RESERVED_PREFIX) && group != ALL_AUTHENTICATED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, groups: &[&str]) -> UserInfo {
        UserInfo {
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..UserInfo::named(name)
        }
    }

    #[test]
    fn authenticated_group_is_added_once_and_never_to_anonymous() {
        #[track_caller]
        fn check(name: &str, groups: &[&str], expected: &[&str]) {
            let completed = user(name, groups).with_authenticated_group();
            assert_eq!(completed, user(name, expected));
        }
        check("alice", &[], &["system:authenticated"]);
        check("alice", &["dev"], &["dev", "system:authenticated"]);
        check(
            "alice",
            &["system:authenticated", "dev"],
            &["system:authenticated", "dev"],
        );
        check(
            "alice",
            &["system:unauthenticated"],
            &["system:unauthenticated"],
        );
        check(
            "system:anonymous",
            &["system:unauthenticated"],
            &["system:unauthenticated"],
        );
        check("system:anonymous", &[], &[]);
    }

    #[test]
    fn reserved_names_and_groups_are_found() {
        #[track_caller]
        fn check(name: &str, groups: &[&str], expected: Option<&str>) {
            assert_eq!(user(name, groups).reserved_identity(), expected);
        }
        check("alice", &["dev", "system:authenticated"], None);
        check("alice@example.com", &[], None);
        check("", &[], Some(""));
        check("system:admin", &[], Some("system:admin"));
        check(
            "system:serviceaccount:ns:bot",
            &[],
            Some("system:serviceaccount:ns:bot"),
        );
        check("alice", &["dev", "system:masters"], Some("system:masters"));
        check("alice", &["system:nodes"], Some("system:nodes"));
    }
}
