//! The user name and the groups of a ServiceAccount.

use machinery::validation::{dns1123_label, dns1123_subdomain};

/// Prefix of the user name of every ServiceAccount.
pub const USERNAME_PREFIX: &str = "system:serviceaccount:";
/// The group of all ServiceAccounts.
pub const ALL_SERVICE_ACCOUNTS_GROUP: &str = "system:serviceaccounts";

/// The two names that make up the user name of a ServiceAccount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceAccountName<'a> {
    /// The namespace of the ServiceAccount.
    pub namespace: &'a str,
    /// The name within the namespace.
    pub name: &'a str,
}

impl<'a> ServiceAccountName<'a> {
    /// Splits `system:serviceaccount:<namespace>:<name>`. Returns `None` for any other user name,
    /// including one with an invalid namespace or name.
    pub fn from_username(username: &'a str) -> Option<Self> {
        let (namespace, name) = username.strip_prefix(USERNAME_PREFIX)?.split_once(':')?;
        let is_valid = dns1123_label(namespace).is_empty() && dns1123_subdomain(name).is_empty();
        is_valid.then_some(Self { namespace, name })
    }

    /// Returns the user name of this ServiceAccount.
    pub fn username(&self) -> String {
        format!("{USERNAME_PREFIX}{}:{}", self.namespace, self.name)
    }

    /// Returns the groups of this ServiceAccount: that of all ServiceAccounts, and that of its
    /// namespace.
    pub fn groups(&self) -> Vec<String> {
        vec![
            ALL_SERVICE_ACCOUNTS_GROUP.to_owned(),
            format!("{ALL_SERVICE_ACCOUNTS_GROUP}:{}", self.namespace),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_user_names_are_service_accounts() {
        #[track_caller]
        fn check(username: &str, expected: Option<(&str, &str)>) {
            let expected = expected.map(|(namespace, name)| ServiceAccountName { namespace, name });
            assert_eq!(ServiceAccountName::from_username(username), expected);
        }
        check("system:serviceaccount:ns:bot", Some(("ns", "bot")));
        check("system:serviceaccount:ns:bot.v1", Some(("ns", "bot.v1")));
        check("system:serviceaccount:ns", None);
        check("system:serviceaccount:ns:", None);
        check("system:serviceaccount::bot", None);
        check("system:serviceaccount:ns:bot:x", None);
        check("system:serviceaccount:n.s:bot", None);
        check("system:serviceaccount:NS:bot", None);
        check("system:serviceaccount:ns:-bot", None);
        check("system:serviceaccount:ns:bot..v1", None);
        check("alice", None);
    }

    #[test]
    fn user_name_and_groups_are_those_of_kubernetes() {
        let bot = ServiceAccountName {
            namespace: "ns",
            name: "bot",
        };
        assert_eq!(bot.username(), "system:serviceaccount:ns:bot");
        assert_eq!(
            bot.groups(),
            ["system:serviceaccounts", "system:serviceaccounts:ns"]
        );
    }
}
