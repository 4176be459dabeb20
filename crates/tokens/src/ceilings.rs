//! Tokens with `spec.access`: they may do less than their users.
//!
//! The ceilings of a token are those of its own record and of all tokens that it descends from, and
//! in a cluster those of the grants by which its user may get the cluster. They are enforced where
//! this server sees the requests: at the gateway, and at the management API by
//! [`CeilingAuthorizer`]. A cluster that checks tokens itself would not enforce them, so neither
//! token reviews nor clusters that verify tokens accept a token with a ceiling.

use std::sync::Arc;

use async_trait::async_trait;
use auth::ceiling::is_unambiguous;
use auth::{Attributes, Authorizer, AuthorizerError, Ceilings, Decision, Rules, Target, UserInfo};
use machinery::time::Clock;

use crate::origin::token_of;
use crate::validity::Validity;

/// The reason for the denial of a request whose token has ended since it was authenticated.
const NO_TOKEN: &str = "the token of this request is no longer valid";

/// Returns the reason that a request for this raw path does not pass these ceilings, or `None` if it
/// passes.
pub fn refusal(ceilings: &Ceilings, attributes: &Attributes, path: &str) -> Option<&'static str> {
    if ceilings.is_empty() {
        return None;
    }
    if !is_unambiguous(path) {
        return Some(
            "spec.access of the token or grant of this request permits no path with empty segments or encoded separators",
        );
    }
    (!ceilings.permits(attributes))
        .then_some("spec.access of the token or grant of this request does not permit it")
}

/// Like [`refusal`], for attributes that do not come from a path.
pub fn refusal_of(ceilings: &Ceilings, attributes: &Attributes) -> Option<&'static str> {
    let path = match &attributes.target {
        Target::Path(path) => path,
        Target::Resource { .. } => "/",
    };
    refusal(ceilings, attributes, path)
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
    async fn ceilings(&self, user: &UserInfo) -> Option<Ceilings> {
        match token_of(user) {
            Some(token) => {
                self.validity
                    .ceilings_by_name(token, self.clock.now())
                    .await
            }
            None => Some(Ceilings::default()),
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
        let refused = match self.ceilings(user).await {
            Some(ceilings) => refusal_of(&ceilings, attributes),
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
        let rules = self.inner.rules(user, namespace).await?;
        Ok(ceilings.limit(rules, namespace))
    }
}
