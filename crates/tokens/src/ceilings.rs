//! Tokens with `spec.access`: they may do less than their users.
//!
//! The ceilings of a token are those of its own record and of all tokens that it descends from. They
//! are enforced where this server sees the requests: at the gateway, and at the management API by
//! [`CeilingAuthorizer`]. A cluster that checks tokens itself would not enforce them, so neither
//! token reviews nor clusters that verify tokens accept a token with a ceiling.

use std::sync::Arc;

use api::ext::access::Access;
use async_trait::async_trait;
use auth::ceiling::{Ceiling, is_unambiguous};
use auth::rbac::validation::validate_cluster_role;
use auth::{Attributes, Authorizer, AuthorizerError, Decision, Rules, Target, UserInfo};
use k8s_openapi::api::rbac::v1::ClusterRole;
use machinery::field::{Error, ErrorList, Path};
use machinery::time::Clock;
use machinery::validation::dns1123_label;

use crate::origin::token_of;
use crate::validity::Validity;

/// Maximum number of namespaces and of rules.
const MAX_NAMESPACES: usize = 100;
const MAX_RULES: usize = 100;

/// The reason for the denial of a request whose token has ended since it was authenticated.
const NO_TOKEN: &str = "the token of this request is no longer valid";

/// Returns the ceiling that `spec.access` describes.
pub(crate) fn ceiling_of(access: &Access) -> Ceiling {
    Ceiling {
        read_only: access.read_only,
        namespaces: access.namespaces.clone(),
        rules: access.rules.clone(),
    }
}

/// Returns the problems with `spec.access`.
pub fn validate_access(access: &Access, path: &Path) -> ErrorList {
    if *access == Access::default() {
        let why = "set readOnly, namespaces or rules, or leave access out";
        return vec![Error::required(path, why)];
    }
    let namespaces = path.child("namespaces");
    if access.namespaces.len() > MAX_NAMESPACES {
        return vec![Error::too_many(
            &namespaces,
            access.namespaces.len(),
            MAX_NAMESPACES,
        )];
    }
    let rules = path.child("rules");
    if access.rules.len() > MAX_RULES {
        return vec![Error::too_many(&rules, access.rules.len(), MAX_RULES)];
    }
    let mut errors = ErrorList::new();
    for (index, namespace) in access.namespaces.iter().enumerate() {
        let problems = dns1123_label(namespace).into_iter();
        let path = namespaces.index(index);
        errors.extend(problems.map(|why| Error::invalid(&path, namespace.as_str(), why)));
    }
    let role = ClusterRole {
        rules: Some(access.rules.clone()),
        ..ClusterRole::default()
    };
    for mut error in validate_cluster_role(&role) {
        error.path = path.child(&error.path.to_string());
        errors.push(error);
    }
    errors
}

/// Returns the reason that a request does not pass these ceilings, or `None` if it passes.
pub fn refusal(
    ceilings: &[Arc<Ceiling>],
    attributes: &Attributes,
    path: &str,
) -> Option<&'static str> {
    if ceilings.is_empty() {
        return None;
    }
    if !is_unambiguous(path) {
        return Some(
            "spec.access of the token of this request permits no path with empty segments or encoded separators",
        );
    }
    let passes = ceilings.iter().all(|ceiling| ceiling.permits(attributes));
    (!passes).then_some("spec.access of the token of this request does not permit it")
}

/// Limits callers with tokens to what the ceilings of the tokens permit.
pub struct CeilingAuthorizer {
    inner: Arc<dyn Authorizer>,
    validity: Arc<Validity>,
    clock: Arc<dyn Clock>,
}

impl CeilingAuthorizer {
    /// Creates an authorizer that permits what `inner` permits, within the ceilings.
    pub fn new(inner: Arc<dyn Authorizer>, validity: Arc<Validity>, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            validity,
            clock,
        }
    }

    /// Returns the ceilings of a caller, or `None` if the caller's token is no longer valid.
    async fn ceilings(&self, user: &UserInfo) -> Option<Vec<Arc<Ceiling>>> {
        match token_of(user) {
            Some(token) => {
                self.validity
                    .ceilings_by_name(token, self.clock.now())
                    .await
            }
            None => Some(Vec::new()),
        }
    }
}

#[async_trait]
impl Authorizer for CeilingAuthorizer {
    async fn authorize(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError> {
        let path = match &attributes.target {
            Target::Path(path) => path,
            Target::Resource { .. } => "/",
        };
        let refused = match self.ceilings(user).await {
            Some(ceilings) => refusal(&ceilings, attributes, path),
            None => Some(NO_TOKEN),
        };
        match refused {
            Some(reason) => Ok(Decision::Deny {
                reason: reason.to_owned(),
            }),
            None => self.inner.authorize(user, attributes).await,
        }
    }

    async fn rules(&self, user: &UserInfo, namespace: &str) -> Result<Rules, AuthorizerError> {
        let Some(ceilings) = self.ceilings(user).await else {
            return Ok(Rules::default());
        };
        let mut rules = self.inner.rules(user, namespace).await?;
        for ceiling in ceilings {
            rules = ceiling.limit(rules, namespace);
        }
        Ok(rules)
    }
}
