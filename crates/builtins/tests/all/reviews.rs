//! `kubectl auth can-i`, `can-i --list` and `whoami`.

use serde_json::{Value, json};

use crate::server::{ROOT, Server, start};

const AUTHORIZATION: &str = "POST /apis/authorization.k8s.io/v1";

/// Starts a server on which alice may read ConfigMaps in the namespace `default`.
async fn with_alice() -> Server {
    let server = start().await;
    let binding = json!({
        "metadata": {"name": "alice"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "alice"}],
    });
    let line = "POST /apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    server.call(201, ROOT, line, binding).await;
    server
}

fn question(verb: &str, resource: &str, namespace: &str) -> Value {
    let attributes = json!({"verb": verb, "resource": resource, "namespace": namespace});
    json!({"spec": {"resourceAttributes": attributes}})
}

#[tokio::test]
async fn may_i() {
    let server = with_alice().await;
    let line = format!("{AUTHORIZATION}/selfsubjectaccessreviews");
    let yes = server
        .call(
            201,
            "alice",
            &line,
            question("get", "configmaps", "default"),
        )
        .await;
    let reason =
        r#"RBAC: allowed by RoleBinding "alice/default" of ClusterRole "view" to User "alice""#;
    assert_eq!(yes["status"], json!({"allowed": true, "reason": reason}));
    let no = server
        .call(201, "alice", &line, question("get", "secrets", "default"))
        .await;
    assert_eq!(no["status"], json!({"allowed": false}));
    let elsewhere = question("get", "configmaps", "kube-system");
    let no = server.call(201, "alice", &line, elsewhere).await;
    assert_eq!(no["status"], json!({"allowed": false}));
    let path = json!({"spec": {"nonResourceAttributes": {"verb": "get", "path": "/version"}}});
    let yes = server.call(201, "alice", &line, path).await;
    assert_eq!(yes["status"]["allowed"], true);
}

#[tokio::test]
async fn a_question_without_a_target_is_refused() {
    let server = with_alice().await;
    let line = format!("{AUTHORIZATION}/selfsubjectaccessreviews");
    let refused = server.call(422, "alice", &line, json!({"spec": {}})).await;
    let text = "SelfSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: \
        Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified";
    assert_eq!(refused["message"], text);
}

#[tokio::test]
async fn only_who_may_asks_about_others() {
    let server = with_alice().await;
    let line = format!("{AUTHORIZATION}/subjectaccessreviews");
    let mut about = question("get", "configmaps", "default");
    about["spec"]["user"] = "alice".into();
    server.call(403, "alice", &line, about.clone()).await;
    let yes = server.call(201, ROOT, &line, about).await;
    assert_eq!(yes["status"]["allowed"], true);
    let no_subject = server
        .call(422, ROOT, &line, question("get", "configmaps", ""))
        .await;
    assert_eq!(no_subject["details"]["causes"][0]["field"], "spec.user");
}

#[tokio::test]
async fn local_questions_stay_in_their_namespace() {
    let server = with_alice().await;
    let line = format!("{AUTHORIZATION}/namespaces/default/localsubjectaccessreviews");
    let mut about = question("get", "configmaps", "default");
    about["spec"]["user"] = "alice".into();
    let yes = server.call(201, ROOT, &line, about.clone()).await;
    assert_eq!(yes["status"]["allowed"], true);
    about["spec"]["resourceAttributes"]["namespace"] = "kube-system".into();
    let refused = server.call(422, ROOT, &line, about).await;
    let text = r#"Invalid value: "kube-system": must match metadata.namespace"#;
    assert_eq!(refused["details"]["causes"][0]["message"], text);
}

#[tokio::test]
async fn what_may_i() {
    let server = with_alice().await;
    let line = format!("{AUTHORIZATION}/selfsubjectrulesreviews");
    let listed = server
        .call(
            201,
            "alice",
            &line,
            json!({"spec": {"namespace": "default"}}),
        )
        .await;
    let view = json!({
        "apiGroups": [""],
        "resources": ["configmaps", "namespaces"],
        "verbs": ["get", "list", "watch"],
    });
    let rules = listed["status"]["resourceRules"].as_array().unwrap();
    assert!(rules.contains(&view), "{rules:?}");
    assert_eq!(listed["status"]["incomplete"], false);
    let refused = server.call(400, "alice", &line, json!({"spec": {}})).await;
    assert_eq!(refused["message"], "no namespace on request");
}

#[tokio::test]
async fn who_am_i() {
    let server = start().await;
    let line = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
    let me = server.call(201, "alice/dev", line, json!({})).await;
    let expected = json!({
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": "2026-01-02T03:04:05Z"},
        "status": {"userInfo": {"username": "alice", "groups": ["dev", "system:authenticated"]}},
    });
    assert_eq!(me, expected);
}
