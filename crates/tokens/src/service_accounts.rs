//! ServiceAccounts of the host as owners of kubeconfigs.
//!
//! The setting `kubeconfig-service-accounts` turns this on. A ServiceAccount is known under two
//! names:
//!
//! ```text
//! host:  system:serviceaccount:<namespace>:<name>          its roles, and its logins
//! here:  serviceaccount:<host>:<namespace>:<name>          its records, grants and tokens
//! ```
//!
//! A login is renamed when it arrives (`ServiceAccounts::as_owner`), and the host is asked about
//! its own name ([`HostAuthorizer`]). All other code knows one name only. Clusters get it as well:
//! `system:serviceaccount:…` would be an account of the cluster itself.

use std::sync::Arc;

use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use async_trait::async_trait;
use auth::authorizer::{AuthorizerError, Rules};
use auth::service_account::{HostAccount, ServiceAccountName};
use auth::user::{ALL_AUTHENTICATED, RESERVED_PREFIX};
use auth::{Attributes, Authorizer, Decision, UserInfo};
use k8s_openapi::api::core::v1::ServiceAccount;
use machinery::meta::ObjectKey;
use management::settings::Settings;

use crate::user_directory::{Known, UserFacts};

/// Returns the description of the kind, which is read from the host and not served.
pub fn description() -> Description {
    Description {
        group: "",
        version: "v1",
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: Verb::ALL,
        subresources: &[],
        schema: KindSchema::of::<ServiceAccount>(),
    }
}

/// The ServiceAccounts of the host.
#[derive(Clone)]
pub struct ServiceAccounts {
    registry: Registry<ServiceAccount>,
    settings: Settings,
    known: Known,
}

impl ServiceAccounts {
    /// Creates a reader of these objects. `known` returns whether they are up to date.
    pub fn new(registry: Registry<ServiceAccount>, settings: Settings, known: Known) -> Self {
        Self {
            registry,
            settings,
            known,
        }
    }

    /// Returns a user under the name that owns its objects, or `None` if the user is not a
    /// ServiceAccount that may own any. The groups that Kubernetes reserves are removed, because
    /// they follow from the name at the host.
    pub(crate) fn as_owner(&self, user: &UserInfo) -> Option<UserInfo> {
        let account = ServiceAccountName::from_username(&user.name)?;
        let host = self.host()?;
        let account = HostAccount {
            host: &host,
            account,
        };
        let mut owner = UserInfo {
            name: account.owner(),
            ..user.clone()
        };
        owner
            .groups
            .retain(|group| group == ALL_AUTHENTICATED || !group.starts_with(RESERVED_PREFIX));
        Some(owner)
    }

    /// Returns a user of this server under its name at the host.
    fn at_host(&self, user: &UserInfo) -> Option<UserInfo> {
        let account = self.account(&user.name)?;
        let mut groups = account.groups();
        groups.extend(user.groups.iter().cloned());
        Some(UserInfo {
            name: account.username(),
            groups,
            ..user.clone()
        })
    }

    /// Returns the facts about the ServiceAccount that owns objects under this name.
    pub(crate) fn find(&self, owner: &str) -> Option<Arc<UserFacts>> {
        let ServiceAccountName { namespace, name } = self.account(owner)?;
        if !(self.known)() {
            return None;
        }
        let key = ObjectKey { namespace, name };
        self.registry
            .cache()
            .derived(key, |account: &ServiceAccount| {
                UserFacts::of_object(&account.metadata)
            })
    }

    /// Returns the account of this host that owns objects under this name.
    fn account<'a>(&self, owner: &'a str) -> Option<ServiceAccountName<'a>> {
        let owner = HostAccount::from_owner(owner)?;
        (self.host()? == owner.host).then_some(owner.account)
    }

    /// Returns the host name of this server, or `None` if ServiceAccounts own nothing.
    fn host(&self) -> Option<String> {
        match self.settings.service_accounts() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                tracing::error!(%error, "ServiceAccounts have no kubeconfigs until this setting is valid");
                return None;
            }
        }
        let server = self.settings.server_host().ok()??;
        // The name of an account has no colon, so an IPv6 address cannot be a part of it.
        let host = server.host_name().trim_end_matches('.');
        if host.contains(':') {
            tracing::error!(
                host,
                "ServiceAccounts have no kubeconfigs: this server needs a host name or an IPv4 address"
            );
            return None;
        }
        Some(host.to_ascii_lowercase())
    }
}

/// Asks the host about ServiceAccounts under their names at the host.
pub struct HostAuthorizer {
    inner: Arc<dyn Authorizer>,
    accounts: ServiceAccounts,
}

impl HostAuthorizer {
    /// Creates an authorizer that asks `inner`.
    pub fn new(inner: Arc<dyn Authorizer>, accounts: ServiceAccounts) -> Self {
        Self { inner, accounts }
    }
}

#[async_trait]
impl Authorizer for HostAuthorizer {
    async fn authorize(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError> {
        match self.accounts.at_host(user) {
            Some(account) => self.inner.authorize(&account, attributes).await,
            None => self.inner.authorize(user, attributes).await,
        }
    }

    async fn rules(&self, user: &UserInfo, namespace: &str) -> Result<Rules, AuthorizerError> {
        match self.accounts.at_host(user) {
            Some(account) => self.inner.rules(&account, namespace).await,
            None => self.inner.rules(user, namespace).await,
        }
    }
}
