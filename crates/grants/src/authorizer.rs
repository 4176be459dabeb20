//! The right to get clusters, by grants.

use std::sync::Arc;

use api::management::{self, Cluster};
use async_trait::async_trait;
use auth::authorizer::{AuthorizerError, Rules, Target};
use auth::{Attributes, Authorizer, AuthorizerUnion, Decision, UserInfo};
use k8s_openapi::api::authorization::v1::ResourceRule;

use crate::policy::Grants;

/// Allows users to `get` the clusters of their grants, and to list and watch clusters. A list
/// contains only the clusters that the caller may get.
pub struct GrantAuthorizer {
    grants: Grants,
}

impl GrantAuthorizer {
    /// Returns an authorizer that asks the grants first, which are in memory, and then `authorizer`.
    pub fn before(grants: Grants, authorizer: Arc<dyn Authorizer>) -> Arc<dyn Authorizer> {
        let granted = Arc::new(Self { grants });
        Arc::new(AuthorizerUnion::new(vec![granted, authorizer]))
    }

    fn reason(&self, user: &UserInfo, verb: &str, name: &str) -> Option<String> {
        let allowed = |grant: &str| format!("allowed by ClusterGrant {grant:?}");
        match verb {
            "get" if !name.is_empty() => self.grants.decide(user, name, |grants| {
                grants.first().map(|it| allowed(it.name()))
            }),
            "list" | "watch" if name.is_empty() => {
                let policy = self.grants.policy();
                policy.of_user(user).next().map(|it| allowed(it.name()))
            }
            _ => None,
        }
    }
}

#[async_trait]
impl Authorizer for GrantAuthorizer {
    async fn authorize(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError> {
        let reason = match &attributes.target {
            Target::Resource {
                group,
                resource,
                subresource,
                name,
                ..
            } if group == management::GROUP
                && resource == Cluster::PLURAL
                // A review may name a namespace, which clusters do not have, as for RBAC.
                && subresource.is_empty() =>
            {
                self.reason(user, &attributes.verb, name)
            }
            _ => None,
        };
        Ok(match reason {
            Some(reason) => Decision::Allow { reason },
            None => Decision::NoOpinion {
                reason: String::new(),
            },
        })
    }

    async fn rules(&self, user: &UserInfo, _namespace: &str) -> Result<Rules, AuthorizerError> {
        let policy = self.grants.policy();
        let own: Vec<_> = policy.of_user(user).collect();
        if own.is_empty() {
            return Ok(Rules::default());
        }
        let view = self.grants.clusters().cache().view();
        let granted = view.iter().filter(|(key, object)| {
            let mut own = own.iter();
            own.any(|grant| grant.is_for(key.name(), |label| object.label(label)))
        });
        let names: Vec<String> = granted.map(|(key, _)| key.name().to_owned()).collect();
        let rule = |verbs: &[&str], names: Option<Vec<String>>| ResourceRule {
            api_groups: Some(vec![management::GROUP.to_owned()]),
            resources: Some(vec![Cluster::PLURAL.to_owned()]),
            resource_names: names,
            verbs: verbs.iter().map(|&verb| verb.to_owned()).collect(),
        };
        let get = (!names.is_empty()).then(|| rule(&["get"], Some(names)));
        let list = rule(&["list", "watch"], None);
        Ok(Rules {
            resource_rules: get.into_iter().chain([list]).collect(),
            ..Rules::default()
        })
    }
}
