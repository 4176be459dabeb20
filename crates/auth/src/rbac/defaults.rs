//! The roles and bindings that a server starts with.
//!
//! The counterpart of `plugin/pkg/auth/authorizer/rbac/bootstrappolicy` of Kubernetes, with the
//! rules that make sense for the kinds of a small server: `admin`, `edit` and `view` cover
//! namespaces, ConfigMaps, Secrets, Roles and RoleBindings, and can be extended by aggregation.
//!
//! There is one deviation: `system:public-info-viewer` (version and health) is bound to
//! authenticated users only, so that anonymous callers can read only what is explicitly opened to
//! them.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{
    AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::aggregation::aggregate;
use crate::user::{ALL_AUTHENTICATED, SYSTEM_MASTERS};

/// The annotation of objects that a new version of the server may update.
pub const AUTO_UPDATE_ANNOTATION: &str = "rbac.authorization.kubernetes.io/autoupdate";

const BOOTSTRAPPING_LABEL: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");
const AGGREGATE_TO_ADMIN: &str = "rbac.authorization.k8s.io/aggregate-to-admin";
const AGGREGATE_TO_EDIT: &str = "rbac.authorization.k8s.io/aggregate-to-edit";
const AGGREGATE_TO_VIEW: &str = "rbac.authorization.k8s.io/aggregate-to-view";

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const READ_WRITE: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const HEALTH_AND_VERSION: [&str; 5] = ["/healthz", "/livez", "/readyz", "/version", "/version/"];

/// Returns the initial ClusterRoles. The rules of aggregated ones are filled in.
pub fn cluster_roles() -> Vec<ClusterRole> {
    let mut roles = vec![
        cluster_role(
            "cluster-admin",
            vec![on_resources(&["*"], "*", &["*"]), on_paths(&["*"], &["*"])],
        ),
        discovery(),
        cluster_role(
            "system:public-info-viewer",
            vec![on_paths(&["get"], &HEALTH_AND_VERSION)],
        ),
        basic_user(),
    ];
    roles.extend(roles_to_aggregate());
    roles.extend(aggregated_roles());
    fill_aggregated(&mut roles);
    roles
}

/// Returns the initial ClusterRoleBindings.
pub fn cluster_role_bindings() -> Vec<ClusterRoleBinding> {
    vec![
        group_binding("cluster-admin", SYSTEM_MASTERS),
        group_binding("system:discovery", ALL_AUTHENTICATED),
        group_binding("system:public-info-viewer", ALL_AUTHENTICATED),
        group_binding("system:basic-user", ALL_AUTHENTICATED),
    ]
}

/// Returns the role for API discovery.
fn discovery() -> ClusterRole {
    let mut paths = vec![
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/openapi",
        "/openapi/*",
    ];
    paths.extend(HEALTH_AND_VERSION);
    paths.sort_unstable();
    cluster_role("system:discovery", vec![on_paths(&["get"], &paths)])
}

/// Returns the role that allows users to request reviews of themselves.
fn basic_user() -> ClusterRole {
    let access = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"];
    cluster_role(
        "system:basic-user",
        vec![
            on_resources(&["create"], "authorization.k8s.io", &access),
            on_resources(
                &["create"],
                "authentication.k8s.io",
                &["selfsubjectreviews"],
            ),
        ],
    )
}

/// Returns the roles whose rules are aggregated into `admin`, `edit` and `view`.
fn roles_to_aggregate() -> Vec<ClusterRole> {
    let rbac = ["rolebindings", "roles"];
    let reviews = ["localsubjectaccessreviews"];
    vec![
        labelled(
            cluster_role(
                "system:aggregate-to-admin",
                vec![
                    on_resources(&["create"], "authorization.k8s.io", &reviews),
                    on_resources(READ_WRITE, super::GROUP, &rbac),
                ],
            ),
            AGGREGATE_TO_ADMIN,
        ),
        labelled(
            cluster_role(
                "system:aggregate-to-edit",
                vec![
                    on_resources(READ, "", &["secrets"]),
                    on_resources(WRITE, "", &["configmaps", "secrets"]),
                ],
            ),
            AGGREGATE_TO_EDIT,
        ),
        labelled(
            cluster_role(
                "system:aggregate-to-view",
                vec![on_resources(READ, "", &["configmaps", "namespaces"])],
            ),
            AGGREGATE_TO_VIEW,
        ),
    ]
}

/// Returns `view`, `edit` (which includes `view`) and `admin` (which includes `edit`).
fn aggregated_roles() -> Vec<ClusterRole> {
    let view = aggregating(cluster_role("view", vec![]), AGGREGATE_TO_VIEW);
    let edit = aggregating(cluster_role("edit", vec![]), AGGREGATE_TO_EDIT);
    let admin = aggregating(cluster_role("admin", vec![]), AGGREGATE_TO_ADMIN);
    vec![
        labelled(view, AGGREGATE_TO_EDIT),
        labelled(edit, AGGREGATE_TO_ADMIN),
        admin,
    ]
}

/// Aggregates until nothing changes: each round completes one level.
fn fill_aggregated(roles: &mut [ClusterRole]) {
    loop {
        let before = roles.to_vec();
        for role in roles.iter_mut() {
            if let Some(rules) = aggregate(role, &before) {
                role.rules = Some(rules);
            }
        }
        if *roles == *before {
            return;
        }
    }
}

fn cluster_role(name: &str, rules: Vec<PolicyRule>) -> ClusterRole {
    ClusterRole {
        metadata: metadata(name),
        rules: Some(rules),
        ..ClusterRole::default()
    }
}

fn group_binding(role: &str, group: &str) -> ClusterRoleBinding {
    ClusterRoleBinding {
        metadata: metadata(role),
        role_ref: RoleRef {
            api_group: Some(super::GROUP.to_owned()),
            kind: "ClusterRole".to_owned(),
            name: role.to_owned(),
        },
        subjects: Some(vec![Subject {
            api_group: Some(super::GROUP.to_owned()),
            kind: "Group".to_owned(),
            name: group.to_owned(),
            namespace: None,
        }]),
    }
}

fn metadata(name: &str) -> ObjectMeta {
    let (label, value) = BOOTSTRAPPING_LABEL;
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(BTreeMap::from([(label.to_owned(), value.to_owned())])),
        annotations: Some(BTreeMap::from([(
            AUTO_UPDATE_ANNOTATION.to_owned(),
            "true".to_owned(),
        )])),
        ..ObjectMeta::default()
    }
}

fn labelled(mut role: ClusterRole, label: &str) -> ClusterRole {
    let labels = role.metadata.labels.get_or_insert_default();
    labels.insert(label.to_owned(), "true".to_owned());
    role
}

fn aggregating(mut role: ClusterRole, label: &str) -> ClusterRole {
    let selector = LabelSelector {
        match_labels: Some(BTreeMap::from([(label.to_owned(), "true".to_owned())])),
        ..LabelSelector::default()
    };
    role.aggregation_rule = Some(AggregationRule {
        cluster_role_selectors: Some(vec![selector]),
    });
    role
}

fn on_resources(verbs: &[&str], group: &str, resources: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(owned(&[group])),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

fn on_paths(verbs: &[&str], paths: &[&str]) -> PolicyRule {
    PolicyRule {
        non_resource_urls: Some(owned(paths)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[cfg(test)]
mod tests;
