//! The rules of aggregated ClusterRoles, as they are stored and as they act.

use std::sync::Arc;

use auth::rbac::PolicySource;
use k8s_openapi::api::rbac::v1::PolicyRule;
use machinery::meta::ObjectKey;
use serde_json::{Value, json};

use crate::server::{ROOT, Server, start};

const CLUSTER_ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";

fn rule(resource: &str) -> Value {
    json!({"apiGroups": ["shop"], "resources": [resource], "verbs": ["get"]})
}

/// Creates a ClusterRole with these labels and one rule on each resource.
async fn source(server: &Server, name: &str, labels: Value, resources: &[&str]) {
    let rules: Vec<Value> = resources.iter().map(|resource| rule(resource)).collect();
    let body = json!({"metadata": {"name": name, "labels": labels}, "rules": rules});
    server.done(&format!("POST {CLUSTER_ROLES}"), body).await;
}

/// Creates a ClusterRole that aggregates the roles that one of the selectors selects.
async fn aggregate(server: &Server, name: &str, labels: Value, selectors: Value) {
    let body = json!({
        "metadata": {"name": name, "labels": labels},
        "aggregationRule": {"clusterRoleSelectors": selectors},
    });
    server.done(&format!("POST {CLUSTER_ROLES}"), body).await;
}

async fn patch(server: &Server, name: &str, patch: Value) {
    server
        .done(&format!("PATCH {CLUSTER_ROLES}/{name}"), patch)
        .await;
}

/// Waits until the stored role has one rule on each of these resources.
async fn holds(server: &Server, name: &str, resources: &[&str]) {
    let roles = &server.kinds.rbac.cluster_roles;
    let expected: Vec<PolicyRule> = resources
        .iter()
        .map(|resource| serde_json::from_value(rule(resource)).unwrap())
        .collect();
    let view = roles.cache().view();
    let mut changes = roles.collection().watch_from(view.revision).unwrap();
    loop {
        let role = roles.cache().get(ObjectKey::cluster(name)).unwrap();
        if role.rules.unwrap_or_default() == expected {
            return;
        }
        changes.next().await.unwrap();
    }
}

#[tokio::test]
async fn rules_follow_their_sources() {
    let server = start().await;
    let selector = json!([{"matchLabels": {"to": "all"}}]);
    aggregate(&server, "all", json!({}), selector).await;
    holds(&server, "all", &[]).await;
    source(&server, "b", json!({"to": "all"}), &["carts"]).await;
    holds(&server, "all", &["carts"]).await;
    source(&server, "a", json!({"to": "all"}), &["orders"]).await;
    holds(&server, "all", &["orders", "carts"]).await;
    patch(&server, "b", json!({"rules": [rule("baskets")]})).await;
    holds(&server, "all", &["orders", "baskets"]).await;
    patch(
        &server,
        "a",
        json!({"metadata": {"labels": {"to": "none"}}}),
    )
    .await;
    holds(&server, "all", &["baskets"]).await;
    server
        .done(&format!("DELETE {CLUSTER_ROLES}/b"), Value::Null)
        .await;
    holds(&server, "all", &[]).await;
}

#[tokio::test]
async fn a_source_that_several_selectors_select_is_added_once() {
    let server = start().await;
    source(&server, "both", json!({"x": "1", "y": "1"}), &["carts"]).await;
    source(&server, "one", json!({"y": "1"}), &["orders", "carts"]).await;
    source(&server, "none", json!({"z": "1"}), &["secrets"]).await;
    let selectors = json!([{"matchLabels": {"x": "1"}}, {"matchLabels": {"y": "1"}}]);
    aggregate(&server, "all", json!({}), selectors).await;
    holds(&server, "all", &["carts", "orders"]).await;
}

#[tokio::test]
async fn expressions_select_sources() {
    let server = start().await;
    source(&server, "a", json!({"tier": "a"}), &["carts"]).await;
    source(&server, "b", json!({"tier": "b"}), &["orders"]).await;
    source(&server, "c", json!({"tier": "c"}), &["secrets"]).await;
    let requirement = json!({"key": "tier", "operator": "In", "values": ["a", "b"]});
    let selectors = json!([{"matchExpressions": [requirement]}]);
    aggregate(&server, "all", json!({}), selectors).await;
    holds(&server, "all", &["carts", "orders"]).await;
}

#[tokio::test]
async fn rules_that_a_client_writes_into_an_aggregated_role_disappear() {
    let server = start().await;
    source(&server, "a", json!({"to": "all"}), &["carts"]).await;
    let selector = json!([{"matchLabels": {"to": "all"}}]);
    aggregate(&server, "all", json!({}), selector).await;
    holds(&server, "all", &["carts"]).await;
    patch(&server, "all", json!({"rules": [rule("secrets")]})).await;
    holds(&server, "all", &["carts"]).await;
    // A role without an aggregation rule keeps its rules.
    let own = json!({"aggregationRule": null, "rules": [rule("secrets")]});
    patch(&server, "all", own).await;
    patch(&server, "a", json!({"rules": [rule("orders")]})).await;
    let selector = json!([{"matchLabels": {"to": "all"}}]);
    aggregate(&server, "second", json!({}), selector).await;
    holds(&server, "second", &["orders"]).await;
    holds(&server, "all", &["secrets"]).await;
}

#[tokio::test]
async fn a_change_at_the_bottom_reaches_the_top() {
    let server = start().await;
    let to = |label: &str| json!([{"matchLabels": {"to": label}}]);
    aggregate(&server, "top", json!({}), to("top")).await;
    aggregate(&server, "middle", json!({"to": "top"}), to("middle")).await;
    source(&server, "bottom", json!({"to": "middle"}), &["carts"]).await;
    holds(&server, "middle", &["carts"]).await;
    holds(&server, "top", &["carts"]).await;
    patch(&server, "bottom", json!({"rules": []})).await;
    holds(&server, "middle", &[]).await;
    holds(&server, "top", &[]).await;
}

#[tokio::test]
async fn a_rule_that_a_source_has_lost_does_not_act_any_more() {
    let server = start().await;
    let selector = json!([{"matchLabels": {"to": "all"}}]);
    aggregate(&server, "all", json!({}), selector).await;
    let rule = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]});
    let body = json!({"metadata": {"name": "a", "labels": {"to": "all"}}, "rules": [rule]});
    server.done(&format!("POST {CLUSTER_ROLES}"), body).await;
    let body = json!({
        "metadata": {"name": "carol"},
        "roleRef": {"kind": "ClusterRole", "name": "all"},
        "subjects": [{"kind": "User", "name": "carol"}],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    server.done(&format!("POST {bindings}"), body).await;
    let line = "GET /api/v1/secrets";
    server.call(200, "carol", line, Value::Null).await;
    let none = json!({"metadata": {"labels": {"to": null}}});
    server
        .call(200, ROOT, &format!("PATCH {CLUSTER_ROLES}/a"), none)
        .await;
    server.call(403, "carol", line, Value::Null).await;
}

#[tokio::test]
async fn the_policy_is_built_once_after_a_change_of_any_kind() {
    let server = start().await;
    let policy = server.kinds.policy();
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let reference = json!({"kind": "ClusterRole", "name": "view"});
    let bound = json!({"metadata": {"name": "x"}, "roleRef": reference});
    let plain = json!({"metadata": {"name": "x"}, "rules": []});
    let writes = [
        ("clusterroles", plain.clone()),
        ("clusterrolebindings", bound.clone()),
        ("namespaces/default/roles", plain),
        ("namespaces/default/rolebindings", bound),
    ];
    for (kind, body) in writes {
        let before = policy.policy();
        assert!(Arc::ptr_eq(&before, &policy.policy()), "{kind}");
        server.done(&format!("POST {rbac}/{kind}"), body).await;
        assert!(!Arc::ptr_eq(&before, &policy.policy()), "{kind}");
    }
    let before = policy.policy();
    let secret = json!({"metadata": {"name": "s"}});
    server
        .done("POST /api/v1/namespaces/default/secrets", secret)
        .await;
    assert!(Arc::ptr_eq(&before, &policy.policy()));
}
