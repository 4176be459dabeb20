//! The limits of grants, and their permissions beyond the right to get a cluster.

use std::sync::Arc;

use apiserver::request_context::{RequestContext, decide};
use auth::{Attributes, Authorizer, Ceiling, UserInfo};
use jiff::SignedDuration;
use machinery::status::Status;
use management::cluster::{may_delete, may_get};

use crate::policy::Grants;

/// Determines the limits of grants.
#[derive(Clone)]
pub struct GrantLimits {
    grants: Grants,
    /// The authorizer without the grants.
    rbac: Arc<dyn Authorizer>,
}

impl GrantLimits {
    /// Creates the limits of these grants. `rbac` decides without them.
    pub fn new(grants: Grants, rbac: Arc<dyn Authorizer>) -> Self {
        Self { grants, rbac }
    }

    /// Returns the maximum lifetime of a kubeconfig or token of the caller for a cluster: the
    /// longest that a grant permits. Returns `None` if a grant sets no maximum, or if the caller may
    /// get the cluster without grants.
    ///
    /// # Errors
    /// 500 if the right of the caller cannot be decided.
    pub async fn max_ttl(
        &self,
        cx: &RequestContext,
        cluster: &str,
    ) -> Result<Option<SignedDuration>, Status> {
        let longest = self.grants.decide(&cx.user, cluster, |grants| {
            let limits: Option<Vec<_>> = grants.iter().map(|grant| grant.max_ttl()).collect();
            limits.and_then(|limits| limits.into_iter().max())
        });
        match longest {
            Some(longest) if !self.rbac_allows(&cx.user, &may_get(cluster)).await? => {
                Ok(Some(longest))
            }
            _ => Ok(None),
        }
    }

    /// Returns the ceilings of a user in a cluster, one of which a request must pass. Returns none if
    /// a grant sets none, or if the user may get the cluster without grants.
    ///
    /// # Errors
    /// 500 if the right of the user cannot be decided.
    pub async fn ceilings(
        &self,
        user: &UserInfo,
        cluster: &str,
    ) -> Result<Vec<Arc<Ceiling>>, Status> {
        let ceilings = self.grants.decide(user, cluster, |grants| {
            let ceilings = grants.iter().map(|grant| grant.ceiling().cloned());
            ceilings.collect::<Option<Vec<_>>>().unwrap_or_default()
        });
        if ceilings.is_empty() || self.rbac_allows(user, &may_get(cluster)).await? {
            return Ok(Vec::new());
        }
        Ok(ceilings)
    }

    /// Returns the grants.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Returns whether the caller may have the administrator's file of a cluster.
    ///
    /// # Errors
    /// 500 if the right of the caller cannot be decided.
    pub async fn may_administer(&self, cx: &RequestContext, cluster: &str) -> Result<bool, Status> {
        Ok(cx.may(&may_delete(cluster)).await? || self.permits_admin_downloads(&cx.user, cluster))
    }

    /// Returns whether a grant permits a user to have the administrator's file of a cluster.
    pub fn permits_admin_downloads(&self, user: &UserInfo, cluster: &str) -> bool {
        self.grants.decide(user, cluster, |grants| {
            grants.iter().any(|grant| grant.permits_admin_downloads())
        })
    }

    /// Returns whether a user has a right without grants.
    pub(crate) async fn rbac_allows(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<bool, Status> {
        let decision = decide(&*self.rbac, user, attributes).await?;
        Ok(decision.is_allowed())
    }
}
