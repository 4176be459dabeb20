//! Roles and bindings: the permissions to write them, and the time at which they take effect.

use machinery::meta::ObjectKey;
use serde_json::{Value, json};

use crate::server::{ROOT, Server, named, start};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn role(name: &str, resource: &str, verbs: &[&str]) -> Value {
    let rule = json!({"apiGroups": [""], "resources": [resource], "verbs": verbs});
    json!({"metadata": {"name": name}, "rules": [rule]})
}

fn binding(name: &str, role: &str, user: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "roleRef": {"kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": user}],
    })
}

async fn create(server: &Server, code: u16, user: &str, kind: &str, body: Value) -> Value {
    server
        .call(code, user, &format!("POST {RBAC}/{kind}"), body)
        .await
}

/// Starts a server on which bob may write all RBAC objects and read ConfigMaps, but grant nothing
/// more.
async fn with_bob() -> Server {
    let server = start().await;
    let write = json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": [
        "create", "update", "patch", "get", "list", "delete",
    ]});
    let read = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]});
    let body = json!({"metadata": {"name": "bob"}, "rules": [write, read]});
    create(&server, 201, ROOT, "clusterroles", body).await;
    create(
        &server,
        201,
        ROOT,
        "clusterrolebindings",
        binding("bob", "bob", "bob"),
    )
    .await;
    server
}

#[tokio::test]
async fn a_binding_acts_with_the_next_request() {
    let server = start().await;
    let line = "GET /api/v1/namespaces/default/configmaps";
    let refused = server.call(403, "carol", line, Value::Null).await;
    let text = r#"configmaps is forbidden: User "carol" cannot list resource "configmaps" in API group "" in the namespace "default""#;
    assert_eq!(refused["message"], text);
    create(
        &server,
        201,
        ROOT,
        "clusterrolebindings",
        binding("carol", "view", "carol"),
    )
    .await;
    server.call(200, "carol", line, Value::Null).await;
    server
        .done(
            &format!("DELETE {RBAC}/clusterrolebindings/carol"),
            Value::Null,
        )
        .await;
    server.call(403, "carol", line, Value::Null).await;
}

#[tokio::test]
async fn nobody_writes_a_role_beyond_their_own() {
    let server = with_bob().await;
    create(
        &server,
        201,
        "bob",
        "clusterroles",
        role("less", "configmaps", &["get"]),
    )
    .await;
    let more = role("more", "secrets", &["get"]);
    let refused = create(&server, 403, "bob", "clusterroles", more.clone()).await;
    let text = "clusterroles.rbac.authorization.k8s.io \"more\" is forbidden: user \"bob\" \
        (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
        {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}";
    assert_eq!(refused["message"], text);
    create(
        &server,
        403,
        "bob",
        "namespaces/default/roles",
        more.clone(),
    )
    .await;
    let line = format!("PATCH {RBAC}/clusterroles/less");
    server
        .call(403, "bob", &line, json!({"rules": more["rules"]}))
        .await;
    create(&server, 201, ROOT, "clusterroles", more).await;
}

#[tokio::test]
async fn nobody_binds_a_role_beyond_their_own() {
    let server = with_bob().await;
    let grab = binding("grab", "cluster-admin", "bob");
    create(&server, 403, "bob", "clusterrolebindings", grab.clone()).await;
    create(&server, 403, "bob", "namespaces/default/rolebindings", grab).await;
    create(
        &server,
        201,
        "bob",
        "clusterrolebindings",
        binding("own", "bob", "carol"),
    )
    .await;
    let missing = binding("missing", "none", "carol");
    let refused = create(&server, 404, "bob", "clusterrolebindings", missing.clone()).await;
    let text = r#"clusterrole.rbac.authorization.k8s.io "none" not found"#;
    assert_eq!(refused["message"], text);
    create(&server, 201, ROOT, "clusterrolebindings", missing).await;
}

#[tokio::test]
async fn gathering_roles_needs_everything() {
    let server = with_bob().await;
    let gather = json!({
        "metadata": {"name": "gather"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
    });
    let refused = create(&server, 403, "bob", "clusterroles", gather).await;
    let text = "clusterroles.rbac.authorization.k8s.io \"gather\" is forbidden: must have \
        cluster-admin privileges to use the aggregationRule";
    assert_eq!(refused["message"], text);
}

#[tokio::test]
async fn the_role_of_a_binding_is_fixed() {
    let server = start().await;
    create(
        &server,
        201,
        ROOT,
        "clusterrolebindings",
        binding("b", "view", "carol"),
    )
    .await;
    let line = format!("PATCH {RBAC}/clusterrolebindings/b");
    let refused = server
        .call(422, ROOT, &line, json!({"roleRef": {"name": "edit"}}))
        .await;
    let text = "ClusterRoleBinding.rbac.authorization.k8s.io \"b\" is invalid: roleRef: Invalid value: \
        {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"ClusterRole\",\"Name\":\"edit\"}: cannot change roleRef";
    assert_eq!(refused["message"], text);
}

#[tokio::test]
async fn bindings_are_completed() {
    let server = start().await;
    let created = create(
        &server,
        201,
        ROOT,
        "clusterrolebindings",
        binding("b", "view", "carol"),
    )
    .await;
    let group = "rbac.authorization.k8s.io";
    let subject = json!({"apiGroup": group, "kind": "User", "name": "carol"});
    assert_eq!(created["subjects"], json!([subject]));
    assert_eq!(created["roleRef"]["apiGroup"], group);
}

#[tokio::test]
async fn rules_are_checked() {
    let server = start().await;
    let body = json!({"metadata": {"name": "r"}, "rules": [{"verbs": []}]});
    let refused = create(&server, 422, ROOT, "clusterroles", body).await;
    let fields: Vec<_> = refused["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| &cause["field"])
        .collect();
    assert_eq!(
        fields,
        ["rules[0].verbs", "rules[0].apiGroups", "rules[0].resources"]
    );
    create(
        &server,
        201,
        ROOT,
        "clusterroles",
        named("system:with:colons"),
    )
    .await;
}

#[tokio::test]
async fn aggregated_rules_act_at_once_and_are_written_down() {
    let server = start().await;
    create(
        &server,
        201,
        ROOT,
        "clusterrolebindings",
        binding("carol", "view", "carol"),
    )
    .await;
    let line = "GET /api/v1/namespaces/default/secrets";
    server.call(403, "carol", line, Value::Null).await;
    let mut more = role("more", "secrets", &["list"]);
    more["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"});
    let more = create(&server, 201, ROOT, "clusterroles", more).await;
    server.call(200, "carol", line, Value::Null).await;

    let roles = &server.kinds.rbac.cluster_roles;
    let mut changes = roles
        .collection()
        .watch_from(roles.cache().view().revision)
        .unwrap();
    let rule = serde_json::from_value(more["rules"][0].clone()).unwrap();
    while !roles
        .cache()
        .get(ObjectKey::cluster("view"))
        .unwrap()
        .rules
        .unwrap_or_default()
        .contains(&rule)
    {
        changes.next().await.unwrap();
    }
}

#[tokio::test]
async fn tables_of_roles_and_bindings() {
    let server = start().await;
    create(
        &server,
        201,
        ROOT,
        "namespaces/default/roles",
        role("r", "secrets", &["get"]),
    )
    .await;
    create(
        &server,
        201,
        ROOT,
        "namespaces/default/rolebindings",
        binding("b", "view", "carol"),
    )
    .await;
    let (columns, rows) = server
        .table(&format!("{RBAC}/namespaces/default/roles"))
        .await;
    assert_eq!(columns, ["Name", "Created At"]);
    assert_eq!(rows, [json!(["r", "2026-01-02T03:04:05Z"])]);
    let (columns, rows) = server
        .table(&format!("{RBAC}/namespaces/default/rolebindings"))
        .await;
    assert_eq!(
        columns,
        [
            "Name",
            "Role",
            "Age",
            "+Users",
            "+Groups",
            "+ServiceAccounts"
        ]
    );
    assert_eq!(
        rows,
        [json!(["b", "ClusterRole/view", "0s", "carol", "", ""])]
    );
}

#[tokio::test]
async fn bootstrapping_again_repairs_and_changes_nothing_else() {
    let server = start().await;
    let roles = &server.kinds.rbac.cluster_roles;
    let read = || async {
        server
            .done(
                &format!("GET {RBAC}/clusterroles/system:discovery"),
                Value::Null,
            )
            .await
    };
    let original = read().await;
    let before = roles.cache().view().last_change();
    server
        .kinds
        .bootstrap(Vec::new(), Vec::new())
        .await
        .unwrap();
    assert_eq!(roles.cache().view().last_change(), before);

    let line = format!("PATCH {RBAC}/clusterroles/system:discovery");
    server.done(&line, json!({"rules": []})).await;
    server
        .kinds
        .bootstrap(Vec::new(), Vec::new())
        .await
        .unwrap();
    let held = |role: &Value| {
        let rules = role["rules"].as_array().unwrap().iter();
        let mut urls: Vec<String> = rules
            .map(|rule| rule["nonResourceURLs"].to_string())
            .collect();
        urls.sort();
        urls.join(" ").matches("\"/").count()
    };
    assert_eq!(held(&read().await), held(&original));

    let protect = json!({
        "metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}},
        "rules": [],
    });
    server.done(&line, protect).await;
    server
        .kinds
        .bootstrap(Vec::new(), Vec::new())
        .await
        .unwrap();
    assert_eq!(read().await["rules"], json!([]));
}
