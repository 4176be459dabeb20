//! The verbs `escalate` and `bind`, and the permissions that roles and bindings grant.

use serde_json::{Value, json};

use crate::server::{ROOT, Server, start};
use crate::statuses::failure;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const GROUP: &str = "rbac.authorization.k8s.io";

/// Starts a server on which bob may write all RBAC objects, and has these additional rules in the
/// whole server.
async fn with_bob(more: &[Value]) -> Server {
    let server = start().await;
    let verbs = ["create", "update", "patch", "get", "list", "delete"];
    let mut rules = vec![json!({"apiGroups": [GROUP], "resources": ["*"], "verbs": verbs})];
    rules.extend_from_slice(more);
    let body = json!({"metadata": {"name": "bob"}, "rules": rules});
    server
        .done(&format!("POST {RBAC}/clusterroles"), body)
        .await;
    let mut body = binding("bob", "ClusterRole", "bob");
    body["subjects"][0]["name"] = "bob".into();
    server
        .done(&format!("POST {RBAC}/clusterrolebindings"), body)
        .await;
    server
}

fn role(name: &str, resource: &str, verbs: &[&str]) -> Value {
    let rule = json!({"apiGroups": [""], "resources": [resource], "verbs": verbs});
    json!({"metadata": {"name": name}, "rules": [rule]})
}

/// Returns a binding of a role to carol.
fn binding(name: &str, kind: &str, role: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "roleRef": {"kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": "carol"}],
    })
}

async fn bob(server: &Server, code: u16, line: &str, body: Value) -> Value {
    let (method, path) = line.split_once(' ').unwrap();
    server
        .call(code, "bob", &format!("{method} {RBAC}/{path}"), body)
        .await
}

/// Returns the Status of a role or binding that grants more than bob holds.
fn beyond(resource: &str, name: &str, missing: &[&str]) -> Value {
    let text = format!(
        "{resource}.{GROUP} {name:?} is forbidden: user \"bob\" (groups=[\"system:authenticated\"]) \
         is attempting to grant RBAC permissions not currently held:\n{}",
        missing.join("\n"),
    );
    let mut status = failure(403, "Forbidden", &text);
    status["details"] = json!({"name": name, "group": GROUP, "kind": resource});
    status
}

const SECRETS: &str = r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#;

#[tokio::test]
async fn a_role_grants_no_more_than_its_author_holds() {
    let held = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]});
    let server = with_bob(&[held]).await;
    let kinds = ["roles", "clusterroles"];
    let paths = ["namespaces/default/roles", "clusterroles"];
    for (kind, path) in kinds.into_iter().zip(paths) {
        let less = role("less", "configmaps", &["get"]);
        bob(&server, 201, &format!("POST {path}"), less.clone()).await;
        let more = role("more", "secrets", &["get"]);
        let refused = bob(&server, 403, &format!("POST {path}"), more.clone()).await;
        assert_eq!(refused, beyond(kind, "more", &[SECRETS]));
        let both = json!({"rules": [less["rules"][0], more["rules"][0]]});
        let refused = bob(&server, 403, &format!("PATCH {path}/less"), both).await;
        assert_eq!(refused, beyond(kind, "less", &[SECRETS]));
        let line = format!("GET {RBAC}/{path}/less");
        let live = server.done(&line, Value::Null).await;
        assert_eq!(live["rules"], less["rules"]);
    }
}

#[tokio::test]
async fn all_missing_permissions_are_listed_by_resource() {
    let server = with_bob(&[]).await;
    let rules = json!([
        {"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["list"]},
        {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
    ]);
    let body = json!({"metadata": {"name": "more"}, "rules": rules});
    let refused = bob(&server, 403, "POST clusterroles", body).await;
    let missing = [
        r#"{APIGroups:[""], Resources:["configmaps"], Verbs:["list"]}"#,
        r#"{APIGroups:[""], Resources:["secrets"], Verbs:["list"]}"#,
        r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#,
    ];
    assert_eq!(refused, beyond("clusterroles", "more", &missing));
}

#[tokio::test]
async fn the_verb_escalate_permits_any_rules_of_a_role() {
    let escalate = json!({"apiGroups": [GROUP], "resources": ["roles"], "verbs": ["escalate"]});
    let server = with_bob(&[escalate]).await;
    let more = role("more", "secrets", &["get"]);
    bob(&server, 201, "POST namespaces/default/roles", more.clone()).await;
    let refused = bob(&server, 403, "POST clusterroles", more).await;
    assert_eq!(refused, beyond("clusterroles", "more", &[SECRETS]));
}

#[tokio::test]
async fn the_verb_escalate_on_one_role_does_not_permit_its_creation() {
    let escalate = json!({
        "apiGroups": [GROUP],
        "resources": ["clusterroles"],
        "resourceNames": ["more"],
        "verbs": ["escalate"],
    });
    let server = with_bob(&[escalate]).await;
    // The name in the URL of a create is empty.
    let more = role("more", "secrets", &["get"]);
    let refused = bob(&server, 403, "POST clusterroles", more.clone()).await;
    assert_eq!(refused, beyond("clusterroles", "more", &[SECRETS]));
    let empty = json!({"metadata": {"name": "more"}, "rules": []});
    bob(&server, 201, "POST clusterroles", empty).await;
    bob(&server, 200, "PUT clusterroles/more", more.clone()).await;
    let empty = json!({"metadata": {"name": "other"}, "rules": []});
    bob(&server, 201, "POST clusterroles", empty).await;
    let rules = json!({"rules": more["rules"]});
    let refused = bob(&server, 403, "PATCH clusterroles/other", rules).await;
    assert_eq!(refused, beyond("clusterroles", "other", &[SECRETS]));
}

#[tokio::test]
async fn the_verb_bind_permits_bindings_of_a_role() {
    let bind = json!({
        "apiGroups": [GROUP],
        "resources": ["clusterroles"],
        "resourceNames": ["reader", "absent"],
        "verbs": ["bind"],
    });
    let server = with_bob(&[bind]).await;
    for name in ["reader", "other"] {
        let body = role(name, "secrets", &["get"]);
        server
            .done(&format!("POST {RBAC}/clusterroles"), body)
            .await;
    }
    let paths = ["namespaces/default/rolebindings", "clusterrolebindings"];
    let kinds = ["rolebindings", "clusterrolebindings"];
    for (kind, path) in kinds.into_iter().zip(paths) {
        let line = format!("POST {path}");
        bob(
            &server,
            201,
            &line,
            binding("reader", "ClusterRole", "reader"),
        )
        .await;
        // The verb suffices, so the role need not exist.
        bob(
            &server,
            201,
            &line,
            binding("absent", "ClusterRole", "absent"),
        )
        .await;
        let refused = bob(
            &server,
            403,
            &line,
            binding("other", "ClusterRole", "other"),
        )
        .await;
        assert_eq!(refused, beyond(kind, "other", &[SECRETS]));
    }
}

#[tokio::test]
async fn a_binding_of_an_absent_role_is_not_possible() {
    let server = with_bob(&[]).await;
    let refused = bob(
        &server,
        404,
        "POST namespaces/default/rolebindings",
        binding("b", "Role", "absent"),
    )
    .await;
    let text = r#"role.rbac.authorization.k8s.io "absent" not found"#;
    let mut expected = failure(404, "NotFound", text);
    expected["details"] = json!({"name": "absent", "group": GROUP, "kind": "role"});
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn a_role_of_another_namespace_is_not_bound() {
    let held = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]});
    let server = with_bob(&[held]).await;
    let line = format!("POST {RBAC}/namespaces/default/roles");
    let reader = role("reader", "configmaps", &["get"]);
    server.done(&line, reader).await;
    let reader = binding("b", "Role", "reader");
    let line = "POST namespaces/default/rolebindings";
    bob(&server, 201, line, reader.clone()).await;
    let line = "POST namespaces/kube-public/rolebindings";
    bob(&server, 404, line, reader).await;
}

#[tokio::test]
async fn changes_of_subjects_need_the_permissions_of_the_role() {
    let server = with_bob(&[]).await;
    let body = role("reader", "secrets", &["get"]);
    server
        .done(&format!("POST {RBAC}/clusterroles"), body)
        .await;
    let body = binding("b", "ClusterRole", "reader");
    let line = format!("POST {RBAC}/clusterrolebindings");
    server.done(&line, body).await;
    let more = json!({"subjects": [{"kind": "User", "name": "eve"}]});
    let refused = bob(&server, 403, "PATCH clusterrolebindings/b", more).await;
    assert_eq!(refused, beyond("clusterrolebindings", "b", &[SECRETS]));
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    bob(&server, 403, "PATCH clusterrolebindings/b", label).await;
    bob(&server, 200, "DELETE clusterrolebindings/b", Value::Null).await;
}

#[tokio::test]
async fn references_and_finalizers_change_without_the_permissions() {
    let server = with_bob(&[]).await;
    let rbac = |path: &str| format!("POST {RBAC}/{path}");
    let more = role("x", "secrets", &["get"]);
    server.done(&rbac("clusterroles"), more.clone()).await;
    server.done(&rbac("namespaces/default/roles"), more).await;
    let bound = binding("x", "ClusterRole", "x");
    server
        .done(&rbac("clusterrolebindings"), bound.clone())
        .await;
    server
        .done(&rbac("namespaces/default/rolebindings"), bound)
        .await;
    let paths = [
        "clusterroles",
        "clusterrolebindings",
        "namespaces/default/roles",
        "namespaces/default/rolebindings",
    ];
    for path in paths {
        let line = format!("PATCH {path}/x");
        let held = json!({"metadata": {"finalizers": ["example.com/held"]}});
        let patched = bob(&server, 200, &line, held).await;
        assert_eq!(
            patched["metadata"]["finalizers"],
            json!(["example.com/held"])
        );
        let both = json!({"metadata": {"finalizers": null, "labels": {"a": "b"}}});
        bob(&server, 403, &line, both).await;
    }
}

#[tokio::test]
async fn aggregation_needs_full_permissions_before_and_after() {
    let server = with_bob(&[]).await;
    let selectors = json!([{"matchLabels": {"a": "b"}}]);
    let aggregation = json!({"clusterRoleSelectors": selectors});
    let text = "is forbidden: must have cluster-admin privileges to use the aggregationRule";
    let empty = json!({"metadata": {"name": "plain"}, "rules": []});
    bob(&server, 201, "POST clusterroles", empty).await;
    let refused = bob(
        &server,
        403,
        "PATCH clusterroles/plain",
        json!({"aggregationRule": aggregation}),
    )
    .await;
    let expected = format!("clusterroles.{GROUP} \"plain\" {text}");
    assert_eq!(refused["message"], expected);
    let body = json!({"metadata": {"name": "all"}, "aggregationRule": aggregation});
    server
        .call(201, ROOT, &format!("POST {RBAC}/clusterroles"), body)
        .await;
    let none = json!({"aggregationRule": null});
    let refused = bob(&server, 403, "PATCH clusterroles/all", none).await;
    let expected = format!("clusterroles.{GROUP} \"all\" {text}");
    assert_eq!(refused["message"], expected);
}
