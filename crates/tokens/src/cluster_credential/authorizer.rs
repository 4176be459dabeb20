//! Authorization of clusters on this server.

use async_trait::async_trait;
use auth::authorizer::{AuthorizerError, Decision, Rules};
use auth::{Attributes, Authorizer, Target, UserInfo};
use k8s_openapi::Resource;
use k8s_openapi::api::authentication::v1::TokenReview;

use super::{GROUP, cluster_of};

/// Allows clusters to ask about tokens, even if no role allows it. Has no opinion on all other
/// requests.
pub struct ClusterAuthorizer;

#[async_trait]
impl Authorizer for ClusterAuthorizer {
    async fn authorize(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError> {
        let is_cluster = cluster_of(user).is_some() && user.groups.iter().any(|it| it == GROUP);
        Ok(match is_cluster && asks_about_a_token(attributes) {
            true => Decision::Allow {
                reason: "clusters may review tokens".to_owned(),
            },
            false => Decision::NoOpinion {
                reason: String::new(),
            },
        })
    }

    async fn rules(&self, _: &UserInfo, _: &str) -> Result<Rules, AuthorizerError> {
        Ok(Rules::default())
    }
}

fn asks_about_a_token(attributes: &Attributes) -> bool {
    match &attributes.target {
        Target::Resource {
            group,
            resource,
            subresource,
            ..
        } => {
            attributes.verb == "create"
                && group == TokenReview::GROUP
                && resource == TokenReview::URL_PATH_SEGMENT
                && subresource.is_empty()
        }
        Target::Path(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_credential::user_of;

    #[tokio::test]
    async fn clusters_ask_about_tokens_and_do_nothing_else() {
        let create = Attributes::resource("create", "authentication.k8s.io", "tokenreviews");
        let cluster = user_of("c-a");
        let mut lookalike = cluster.clone();
        lookalike.groups.clear();
        for (user, attributes, allowed) in [
            (&cluster, create.clone(), true),
            (&lookalike, create.clone(), false),
            (&UserInfo::named("alice"), create.clone(), false),
            (&cluster, create.clone().subresource("status"), false),
            (
                &cluster,
                Attributes::resource("get", "authentication.k8s.io", "tokenreviews"),
                false,
            ),
            (
                &cluster,
                Attributes::resource("create", "ext.cattle.io", "tokenreviews"),
                false,
            ),
            (
                &cluster,
                Attributes::resource("create", "ext.cattle.io", "kubeconfigs"),
                false,
            ),
            (&cluster, Attributes::path("create", "/tokenreviews"), false),
        ] {
            let decision = ClusterAuthorizer
                .authorize(user, &attributes)
                .await
                .unwrap();
            assert_eq!(decision.is_allowed(), allowed, "{user:?} {attributes:?}");
        }
    }
}
