//! The initial permissions on our own kinds. Administrators may do everything through
//! `cluster-admin`. Authenticated users have the permissions below.

use api::ext::{self, Kubeconfig, Token};
use api::management::{self, Cluster};
use k8s_openapi::Resource;
use k8s_openapi::api::authentication::v1::TokenReview;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject};
use kubeconfigs::download;
use machinery::meta::ObjectMeta;
use tokens::cluster_credential;

/// The role of all authenticated users.
const KUBECONFIG_USER: &str = "kubeconfig-user";

/// The role of clusters that request token reviews.
const TOKEN_REVIEWER: &str = "token-reviewer";

const EVERY_VERB: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// Returns the initial roles and bindings, in addition to those of Kubernetes.
pub(super) fn defaults() -> (Vec<ClusterRole>, Vec<ClusterRoleBinding>) {
    let user = role(
        KUBECONFIG_USER,
        vec![
            rule(ext::GROUP, Kubeconfig::PLURAL, &EVERY_VERB),
            // Deleting all tokens at once is not part of the role.
            rule(
                ext::GROUP,
                Token::PLURAL,
                &[
                    "create", "delete", "get", "list", "patch", "update", "watch",
                ],
            ),
            // A list of clusters contains only those that the user may get.
            rule(management::GROUP, Cluster::PLURAL, &["list", "watch"]),
            // The permission to download a file is checked for each file.
            PolicyRule {
                non_resource_urls: Some(vec![format!("{}*", download::PREFIX)]),
                verbs: vec!["get".to_owned()],
                ..PolicyRule::default()
            },
        ],
    );
    let reviews = rule(
        TokenReview::GROUP,
        TokenReview::URL_PATH_SEGMENT,
        &["create"],
    );
    (
        vec![user, role(TOKEN_REVIEWER, vec![reviews])],
        vec![
            binding(KUBECONFIG_USER, auth::user::ALL_AUTHENTICATED),
            binding(TOKEN_REVIEWER, cluster_credential::GROUP),
        ],
    )
}

fn role(name: &str, rules: Vec<PolicyRule>) -> ClusterRole {
    ClusterRole {
        metadata: automatic(name),
        rules: Some(rules),
        ..ClusterRole::default()
    }
}

fn rule(group: &str, resource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}

/// Binds a role to a group. The binding has the name of the role.
fn binding(role: &str, group: &str) -> ClusterRoleBinding {
    ClusterRoleBinding {
        metadata: automatic(role),
        role_ref: RoleRef {
            api_group: Some(auth::rbac::GROUP.to_owned()),
            kind: "ClusterRole".to_owned(),
            name: role.to_owned(),
        },
        subjects: Some(vec![Subject {
            api_group: Some(auth::rbac::GROUP.to_owned()),
            kind: "Group".to_owned(),
            name: group.to_owned(),
            ..Subject::default()
        }]),
    }
}

/// Returns metadata with the annotation that keeps the object up to date with later versions of the
/// server, unless an administrator removes the annotation.
fn automatic(name: &str) -> ObjectMeta {
    let annotation = (
        auth::rbac::defaults::AUTO_UPDATE_ANNOTATION.to_owned(),
        "true".to_owned(),
    );
    ObjectMeta {
        name: Some(name.to_owned()),
        annotations: Some([annotation].into()),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_may_review_tokens_and_nothing_else() {
        let (roles, bindings) = defaults();
        let is_for_clusters = |binding: &&ClusterRoleBinding| {
            let mut subjects = binding.subjects.iter().flatten();
            subjects.any(|subject| subject.name == "system:clusters")
        };
        let bound: Vec<&str> = bindings
            .iter()
            .filter(is_for_clusters)
            .map(|binding| binding.role_ref.name.as_str())
            .collect();
        assert_eq!(bound, ["token-reviewer"]);
        let role = roles
            .iter()
            .find(|role| role.metadata.name.as_deref() == Some("token-reviewer"));
        let reviews = rule("authentication.k8s.io", "tokenreviews", &["create"]);
        assert_eq!(role.unwrap().rules, Some(vec![reviews]));
    }
}
