//! The errors of malformed roles and bindings (`pkg/apis/rbac/validation`), as whole Statuses.

use serde_json::{Value, json};

use crate::server::{ROOT, Server, start};
use crate::statuses::{cause, invalid};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Returns the path of the objects of a kind, in the namespace `default` if they are namespaced.
fn path(kind: &str) -> String {
    let plural = format!("{}s", kind.to_lowercase());
    match kind.starts_with("Cluster") {
        true => format!("/apis/{GROUP}/v1/{plural}"),
        false => format!("/apis/{GROUP}/v1/namespaces/default/{plural}"),
    }
}

/// Checks that an object with these fields cannot be created, and is invalid for these causes.
async fn check(server: &Server, kind: &str, fields: Value, causes: &[Value]) {
    let mut body = fields;
    body["metadata"] = json!({"name": "bad"});
    let line = format!("POST {}", path(kind));
    let refused = server.call(422, ROOT, &line, body).await;
    assert_eq!(refused, invalid(kind, GROUP, "bad", causes));
    let line = format!("GET {}/bad", path(kind));
    server.call(404, ROOT, &line, Value::Null).await;
}

fn required(field: &str, detail: &str) -> Value {
    let message = match detail {
        "" => "Required value".to_owned(),
        detail => format!("Required value: {detail}"),
    };
    cause("FieldValueRequired", field, &message)
}

fn wrong(field: &str, message: &str) -> Value {
    let message = format!("Invalid value: {message}");
    cause("FieldValueInvalid", field, &message)
}

fn unsupported(field: &str, message: &str) -> Value {
    let message = format!("Unsupported value: {message}");
    cause("FieldValueNotSupported", field, &message)
}

#[tokio::test]
async fn rules_are_about_resources_or_about_paths() {
    let server = start().await;
    let nothing = json!({"rules": [{"verbs": []}]});
    let urls = json!({"rules": [
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
        {"verbs": ["get"], "nonResourceURLs": ["/healthz"], "resources": ["pods"]},
    ]});
    let both = wrong(
        "rules[1].nonResourceURLs",
        r#"["/healthz"]: rules cannot apply to both regular resources and non-resource URLs"#,
    );
    let namespaced = wrong(
        "rules[1].nonResourceURLs",
        r#"["/healthz"]: namespaced rules cannot apply to non-resource URLs"#,
    );
    for kind in ["Role", "ClusterRole"] {
        let expected = [
            required("rules[0].verbs", "verbs must contain at least one value"),
            required(
                "rules[0].apiGroups",
                "resource rules must supply at least one api group",
            ),
            required(
                "rules[0].resources",
                "resource rules must supply at least one resource",
            ),
        ];
        check(&server, kind, nothing.clone(), &expected).await;
    }
    check(
        &server,
        "ClusterRole",
        urls.clone(),
        std::slice::from_ref(&both),
    )
    .await;
    check(&server, "Role", urls, &[namespaced, both]).await;
}

#[tokio::test]
async fn a_path_is_a_rule_of_a_cluster_role_only() {
    let server = start().await;
    let rules = json!([{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]);
    let body = json!({"metadata": {"name": "paths"}, "rules": rules});
    let line = format!("POST {}", path("ClusterRole"));
    let created = server.call(201, ROOT, &line, body).await;
    assert_eq!(created["rules"], rules);
    let text = r#"["/healthz"]: namespaced rules cannot apply to non-resource URLs"#;
    let expected = [wrong("rules[0].nonResourceURLs", text)];
    check(&server, "Role", json!({"rules": rules}), &expected).await;
}

#[tokio::test]
async fn aggregation_rules_have_valid_selectors() {
    let server = start().await;
    let empty = json!({"aggregationRule": {"clusterRoleSelectors": []}});
    let text = "at least one clusterRoleSelector required if aggregationRule is non-nil";
    let expected = [required("aggregationRule.clusterRoleSelectors", text)];
    check(&server, "ClusterRole", empty, &expected).await;
    check(
        &server,
        "ClusterRole",
        json!({"aggregationRule": {}}),
        &expected,
    )
    .await;

    let selector = json!({"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]});
    let body = json!({
        "metadata": {"name": "bad"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}, selector]},
    });
    let line = format!("POST {}", path("ClusterRole"));
    let refused = server.call(422, ROOT, &line, body).await;
    let causes = refused["details"]["causes"].as_array().unwrap();
    assert_eq!(causes.len(), 1);
    assert_eq!(causes[0]["reason"], "FieldValueInvalid");
    assert_eq!(
        causes[0]["field"],
        "aggregationRule.clusterRoleSelectors[1]"
    );
}

#[tokio::test]
async fn a_binding_names_a_role_of_its_scope() {
    let server = start().await;
    let of = |kind: &str, name: &str| json!({"roleRef": {"kind": kind, "name": name}});
    let text = r#""Role": supported values: "ClusterRole""#;
    let expected = [unsupported("roleRef.kind", text)];
    check(&server, "ClusterRoleBinding", of("Role", "view"), &expected).await;
    let text = r#""Pod": supported values: "Role", "ClusterRole""#;
    let expected = [unsupported("roleRef.kind", text)];
    check(&server, "RoleBinding", of("Pod", "view"), &expected).await;
    for kind in ["RoleBinding", "ClusterRoleBinding"] {
        let expected = [required("roleRef.name", "")];
        check(&server, kind, of("ClusterRole", ""), &expected).await;
        let expected = [wrong("roleRef.name", r#""a/b": may not contain '/'"#)];
        check(&server, kind, of("ClusterRole", "a/b"), &expected).await;
        let mut foreign = of("ClusterRole", "view");
        foreign["roleRef"]["apiGroup"] = "example.com".into();
        let text = r#""example.com": supported values: "rbac.authorization.k8s.io""#;
        let expected = [unsupported("roleRef.apiGroup", text)];
        check(&server, kind, foreign, &expected).await;
    }
}

#[tokio::test]
async fn the_subjects_of_a_binding_are_named() {
    let server = start().await;
    let subjects = json!([
        {"kind": "User", "name": ""},
        {"kind": "Group", "name": ""},
        {"kind": "User", "name": "alice", "apiGroup": "example.com"},
        {"kind": "Robot", "name": "r2"},
        {"kind": "ServiceAccount", "name": "Bot", "namespace": "default"},
        {"kind": "ServiceAccount", "name": "bot"},
        {"kind": "ServiceAccount", "name": "bot", "namespace": "default", "apiGroup": GROUP},
    ]);
    let body = json!({"roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": subjects});
    let dns = r#""Bot": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#;
    let common = [
        required("subjects[0].name", ""),
        wrong("subjects[0].name", r#""": user name cannot be empty"#),
        required("subjects[1].name", ""),
        wrong("subjects[1].name", r#""": group name cannot be empty"#),
        unsupported(
            "subjects[2].apiGroup",
            r#""example.com": supported values: "rbac.authorization.k8s.io""#,
        ),
        unsupported(
            "subjects[3].kind",
            r#""Robot": supported values: "ServiceAccount", "User", "Group""#,
        ),
        wrong("subjects[4].name", dns),
    ];
    let account = unsupported(
        "subjects[6].apiGroup",
        r#""rbac.authorization.k8s.io": supported values: """#,
    );
    let mut local = common.to_vec();
    local.push(account.clone());
    check(&server, "RoleBinding", body.clone(), &local).await;
    let mut global = common.to_vec();
    global.push(required("subjects[5].namespace", ""));
    global.push(account);
    check(&server, "ClusterRoleBinding", body, &global).await;
}

#[tokio::test]
async fn an_update_is_checked_like_a_create() {
    let server = start().await;
    for kind in ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"] {
        let reference = json!({"kind": "ClusterRole", "name": "view"});
        let mut body = json!({"metadata": {"name": "good"}});
        let (patch, causes) = if kind.ends_with("Binding") {
            body["roleRef"] = reference;
            let patch = json!({"subjects": [{"kind": "Robot", "name": "r2"}]});
            let text = r#""Robot": supported values: "ServiceAccount", "User", "Group""#;
            (patch, vec![unsupported("subjects[0].kind", text)])
        } else {
            let rule = json!({"verbs": [], "apiGroups": [""], "resources": ["pods"]});
            let text = "verbs must contain at least one value";
            (
                json!({"rules": [rule]}),
                vec![required("rules[0].verbs", text)],
            )
        };
        let line = format!("POST {}", path(kind));
        let created = server.call(201, ROOT, &line, body).await;
        let line = format!("PATCH {}/good", path(kind));
        let refused = server.call(422, ROOT, &line, patch).await;
        assert_eq!(refused, invalid(kind, GROUP, "good", &causes));
        let line = format!("GET {}/good", path(kind));
        assert_eq!(server.call(200, ROOT, &line, Value::Null).await, created);
    }
}

#[tokio::test]
async fn a_role_reference_changes_in_no_part() {
    let server = start().await;
    let reference = json!({"kind": "Role", "name": "reader"});
    let body = json!({"metadata": {"name": "b"}, "roleRef": reference});
    let line = format!("POST {}", path("RoleBinding"));
    server.call(201, ROOT, &line, body).await;
    let line = format!("PATCH {}/b", path("RoleBinding"));
    let patch = json!({"roleRef": {"kind": "ClusterRole"}});
    let refused = server.call(422, ROOT, &line, patch).await;
    let text = r#"{"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"reader"}: cannot change roleRef"#;
    let expected = invalid("RoleBinding", GROUP, "b", &[wrong("roleRef", text)]);
    assert_eq!(refused, expected);
    // The API group is completed, so that a client may leave it out.
    let line = format!("PUT {}/b", path("RoleBinding"));
    let subject = json!({"kind": "Group", "name": "dev"});
    let body = json!({"metadata": {"name": "b"}, "roleRef": reference, "subjects": [subject]});
    let updated = server.call(200, ROOT, &line, body).await;
    let subject = json!({"kind": "Group", "name": "dev", "apiGroup": GROUP});
    assert_eq!(updated["subjects"], json!([subject]));
    let reference = json!({"apiGroup": GROUP, "kind": "Role", "name": "reader"});
    assert_eq!(updated["roleRef"], reference);
}

#[tokio::test]
async fn names_are_path_segments() {
    let server = start().await;
    let kinds = ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];
    for kind in kinds {
        let reference = json!({"kind": "ClusterRole", "name": "view"});
        let mut body = json!({"metadata": {"name": "a%b"}});
        if kind.ends_with("Binding") {
            body["roleRef"] = reference;
        }
        let line = format!("POST {}", path(kind));
        let refused = server.call(422, ROOT, &line, body.clone()).await;
        let causes = [wrong("metadata.name", r#""a%b": may not contain '%'"#)];
        assert_eq!(refused, invalid(kind, GROUP, "a%b", &causes));
        body["metadata"]["name"] = "System:With:Colons".into();
        let created = server.call(201, ROOT, &line, body).await;
        assert_eq!(created["metadata"]["name"], "System:With:Colons");
    }
}
