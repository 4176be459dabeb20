//! The group whose members may do everything.

use async_trait::async_trait;

use super::{Attributes, Authorizer, AuthorizerError, Decision, Rules};
use crate::user::{SYSTEM_MASTERS, UserInfo};

/// Allows everything to the members of one group, whatever the policy says.
#[derive(Clone, Debug)]
pub struct PrivilegedGroup {
    group: String,
}

impl PrivilegedGroup {
    /// Allows everything to members of `group`.
    pub fn new(group: impl Into<String>) -> Self {
        Self {
            group: group.into(),
        }
    }

    /// The group of Kubernetes: `system:masters`.
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

    /// None: the binding of `cluster-admin` to the group says what a review shows.
    async fn rules(&self, _user: &UserInfo, _namespace: &str) -> Result<Rules, AuthorizerError> {
        Ok(Rules::default())
    }
}
