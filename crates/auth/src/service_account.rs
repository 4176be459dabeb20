//! The user name and the groups of a ServiceAccount.

use machinery::validation::{dns1123_label, dns1123_subdomain};

/// Prefix of the user name of every ServiceAccount.
pub const USERNAME_PREFIX: &str = "system:serviceaccount:";
/// Prefix of the name under which a ServiceAccount of the host owns objects of this server
/// ([`HostAccount`]). No login may bring such a name.
pub const OWNER_PREFIX: &str = "serviceaccount:";
/// The group of all ServiceAccounts.
pub const ALL_SERVICE_ACCOUNTS_GROUP: &str = "system:serviceaccounts";

/// A ServiceAccount of the host, which is the cluster that this server runs in.
///
/// Clusters have ServiceAccounts of the same names. In a cluster the account is therefore known as
/// `serviceaccount:<host>:<namespace>:<name>`, which no cluster gives to an account of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAccount<'a> {
    /// The host name of this server, which distinguishes its accounts from those of other servers.
    pub host: &'a str,
    /// The name in the host.
    pub account: ServiceAccountName<'a>,
}

/// The two names that make up the user name of a ServiceAccount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceAccountName<'a> {
    /// The namespace of the ServiceAccount.
    pub namespace: &'a str,
    /// The name within the namespace.
    pub name: &'a str,
}

impl<'a> HostAccount<'a> {
    /// Splits `serviceaccount:<host>:<namespace>:<name>`. Returns `None` for any other user name,
    /// including one with an invalid part.
    pub fn from_owner(owner: &'a str) -> Option<Self> {
        let (host, rest) = owner.strip_prefix(OWNER_PREFIX)?.split_once(':')?;
        let account = ServiceAccountName::split(rest)?;
        (!host.is_empty()).then_some(Self { host, account })
    }

    /// Returns the user name that owns the objects of this account.
    pub fn owner(&self) -> String {
        let ServiceAccountName { namespace, name } = self.account;
        format!("{OWNER_PREFIX}{}:{namespace}:{name}", self.host)
    }
}

impl<'a> ServiceAccountName<'a> {
    /// Splits `system:serviceaccount:<namespace>:<name>`. Returns `None` for any other user name,
    /// including one with an invalid namespace or name.
    pub fn from_username(username: &'a str) -> Option<Self> {
        Self::split(username.strip_prefix(USERNAME_PREFIX)?)
    }

    /// Splits `<namespace>:<name>`.
    fn split(names: &'a str) -> Option<Self> {
        let (namespace, name) = names.split_once(':')?;
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
    fn owners_have_a_host_and_a_well_formed_account() {
        #[track_caller]
        fn check(owner: &str, expected: Option<HostAccount<'_>>) {
            let read = HostAccount::from_owner(owner);
            assert_eq!(read, expected);
            if let Some(read) = read {
                assert_eq!(read.owner(), owner);
            }
        }
        let account = ServiceAccountName {
            namespace: "ns",
            name: "bot.v1",
        };
        let host = "a.example";
        check(
            "serviceaccount:a.example:ns:bot.v1",
            Some(HostAccount { host, account }),
        );
        check("serviceaccount::ns:bot", None);
        check("serviceaccount:a.example:ns", None);
        check("serviceaccount:a.example:ns:", None);
        check("serviceaccount:a.example:ns:bot:x", None);
        check("serviceaccount:a.example:443:ns:bot", None);
        check("serviceaccount:a.example:NS:bot", None);
        check("system:serviceaccount:ns:bot", None);
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
