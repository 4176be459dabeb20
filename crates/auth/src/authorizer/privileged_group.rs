//! A group whose members may do everything.

use async_trait::async_trait;

use super::{Attributes, Authorizer, AuthorizerError, Decision, Rules};
use crate::user::{SYSTEM_MASTERS, UserInfo};

/// Allows members of one group everything, regardless of the policy.
#[derive(Clone, Debug)]
pub struct PrivilegedGroup {
    group: String,
}

impl PrivilegedGroup {
    /// Creates an authorizer that allows members of `group` everything.
    pub fn new(group: impl Into<String>) -> Self {
        Self {
            group: group.into(),
        }
    }

    /// Creates an authorizer for the group of Kubernetes: `system:masters`.
    pub fn system_masters() -> Self {
        Self::new(SYSTEM_MASTERS)
    }
}

#[async_trait]
impl Authorizer for PrivilegedGroup {
    async fn authorize(
        &self,
        user: &UserInfo,
        _attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError> {
        if user.in_group(&self.group) {
            let reason = String::new();
            return Ok(Decision::Allow { reason });
        }
        Ok(Decision::no_opinion())
    }

    /// Returns no rules. Reviews show those of the binding of `cluster-admin` to the group.
    async fn rules(&self, _user: &UserInfo, _namespace: &str) -> Result<Rules, AuthorizerError> {
        Ok(Rules::default())
    }
}
