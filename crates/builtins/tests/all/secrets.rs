//! Secrets: their types, updates and immutability.

use serde_json::{Value, json};

use crate::server::{ROOT, Server, start};
use crate::statuses::{cause, invalid};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

async fn create(server: &Server, code: u16, body: Value) -> Value {
    server
        .call(code, ROOT, &format!("POST {SECRETS}"), body)
        .await
}

async fn patch(server: &Server, code: u16, body: Value) -> Value {
    server
        .call(code, ROOT, &format!("PATCH {SECRETS}/s"), body)
        .await
}

async fn read(server: &Server) -> Value {
    server
        .call(200, ROOT, &format!("GET {SECRETS}/s"), Value::Null)
        .await
}

fn required(field: &str) -> Value {
    cause("FieldValueRequired", field, "Required value")
}

fn frozen(field: &str) -> Value {
    let text = "Forbidden: field is immutable when `immutable` is set";
    cause("FieldValueForbidden", field, text)
}

/// Checks that a Secret of this type with these entries is invalid for these causes.
async fn check(server: &Server, type_: &str, entries: Value, causes: &[Value]) {
    let body = json!({"metadata": {"name": "s"}, "type": type_, "stringData": entries});
    let refused = create(server, 422, body).await;
    assert_eq!(refused, invalid("Secret", "", "s", causes));
}

#[tokio::test]
async fn a_type_requires_its_entries() {
    let server = start().await;
    let tls = [required("data[tls.crt]"), required("data[tls.key]")];
    check(&server, "kubernetes.io/tls", json!({}), &tls).await;
    let without_key = json!({"tls.crt": "c"});
    check(&server, "kubernetes.io/tls", without_key, &tls[1..]).await;
    let basic = [required("data[username]"), required("data[password]")];
    check(
        &server,
        "kubernetes.io/basic-auth",
        json!({"user": "a"}),
        &basic,
    )
    .await;
    let ssh = [required("data[ssh-privatekey]")];
    check(&server, "kubernetes.io/ssh-auth", json!({}), &ssh).await;
    let dockercfg = [required("data[.dockercfg]")];
    check(
        &server,
        "kubernetes.io/dockercfg",
        json!({".dockerconfigjson": "{}"}),
        &dockercfg,
    )
    .await;
    let dockerconfigjson = [required("data[.dockerconfigjson]")];
    let entries = json!({".dockercfg": "{}"});
    check(
        &server,
        "kubernetes.io/dockerconfigjson",
        entries,
        &dockerconfigjson,
    )
    .await;
    let account = [required(
        "metadata.annotations[kubernetes.io/service-account.name]",
    )];
    check(
        &server,
        "kubernetes.io/service-account-token",
        json!({}),
        &account,
    )
    .await;
}

#[tokio::test]
async fn an_error_does_not_show_the_contents() {
    let server = start().await;
    let text = r#"Invalid value: "<secret contents redacted>": must be JSON"#;
    for key in [".dockercfg", ".dockerconfigjson"] {
        let type_ = format!("kubernetes.io/{}", &key[1..]);
        let field = format!("data[{key}]");
        let expected = [cause("FieldValueInvalid", &field, text)];
        check(&server, &type_, json!({key: "hunter2"}), &expected).await;
        check(&server, &type_, json!({key: "{} {}"}), &expected).await;
    }
}

#[tokio::test]
async fn complete_secrets_of_every_type_are_stored() {
    let server = start().await;
    let types = [
        json!({"type": "kubernetes.io/tls", "data": {"tls.crt": "", "tls.key": ""}}),
        json!({"type": "kubernetes.io/basic-auth", "data": {"username": "YQ=="}}),
        json!({"type": "kubernetes.io/basic-auth", "data": {"password": "YQ=="}}),
        json!({"type": "kubernetes.io/ssh-auth", "data": {"ssh-privatekey": "YQ=="}}),
        json!({"type": "kubernetes.io/dockercfg", "data": {".dockercfg": "e30="}}),
        json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}}),
        json!({"type": "example.com/own", "data": {"any": "YQ=="}}),
    ];
    for (index, mut body) in types.into_iter().enumerate() {
        body["metadata"] = json!({"name": format!("s{index}")});
        let created = create(&server, 201, body.clone()).await;
        assert_eq!(
            (&created["type"], &created["data"]),
            (&body["type"], &body["data"])
        );
    }
    let annotations = json!({"kubernetes.io/service-account.name": "bot"});
    let body = json!({
        "metadata": {"name": "token", "annotations": annotations},
        "type": "kubernetes.io/service-account-token",
    });
    create(&server, 201, body).await;
    let annotations = json!({"kubernetes.io/service-account.name": ""});
    let body = json!({
        "metadata": {"name": "empty", "annotations": annotations},
        "type": "kubernetes.io/service-account-token",
    });
    let refused = create(&server, 422, body).await;
    let field = "metadata.annotations[kubernetes.io/service-account.name]";
    assert_eq!(refused, invalid("Secret", "", "empty", &[required(field)]));
}

#[tokio::test]
async fn the_type_is_kept_if_an_update_leaves_it_out_and_never_changes() {
    let server = start().await;
    let body = json!({"metadata": {"name": "s"}, "type": "example.com/own", "data": {"a": "YQ=="}});
    create(&server, 201, body).await;
    let body = json!({"metadata": {"name": "s"}, "data": {"b": "Yg=="}});
    let line = format!("PUT {SECRETS}/s");
    let updated = server.call(200, ROOT, &line, body).await;
    assert_eq!(updated["type"], "example.com/own");
    assert_eq!(updated["data"], json!({"b": "Yg=="}));
    let refused = patch(&server, 422, json!({"type": "Opaque"})).await;
    let text = r#"Invalid value: "Opaque": field is immutable"#;
    let expected = [cause("FieldValueInvalid", "type", text)];
    assert_eq!(refused, invalid("Secret", "", "s", &expected));
    assert_eq!(read(&server).await, updated);
}

#[tokio::test]
async fn string_data_of_an_update_replaces_entries() {
    let server = start().await;
    let data = json!({"a": "b2xk", "b": "a2VwdA=="});
    create(
        &server,
        201,
        json!({"metadata": {"name": "s"}, "data": data}),
    )
    .await;
    let updated = patch(
        &server,
        200,
        json!({"stringData": {"a": "new", "c": "more"}}),
    )
    .await;
    let expected = json!({"a": "bmV3", "b": "a2VwdA==", "c": "bW9yZQ=="});
    assert_eq!(updated["data"], expected);
    assert_eq!(updated.get("stringData"), None);
    assert_eq!(read(&server).await, updated);
}

#[tokio::test]
async fn an_immutable_secret_keeps_its_entries() {
    let server = start().await;
    create(
        &server,
        201,
        json!({"metadata": {"name": "s"}, "data": {"a": "YQ=="}}),
    )
    .await;
    patch(&server, 200, json!({"stringData": {"a": "b"}})).await;
    patch(&server, 200, json!({"immutable": true})).await;
    let refused = patch(&server, 422, json!({"stringData": {"a": "c"}})).await;
    assert_eq!(refused, invalid("Secret", "", "s", &[frozen("data")]));
    let refused = patch(&server, 422, json!({"immutable": false})).await;
    assert_eq!(refused, invalid("Secret", "", "s", &[frozen("immutable")]));
    let refused = patch(&server, 422, json!({"immutable": null, "data": null})).await;
    let expected = [frozen("immutable"), frozen("data")];
    assert_eq!(refused, invalid("Secret", "", "s", &expected));
    let labelled = patch(&server, 200, json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(labelled["metadata"]["labels"], json!({"a": "b"}));
    assert_eq!(labelled["data"], json!({"a": "Yg=="}));
    server
        .call(200, ROOT, &format!("DELETE {SECRETS}/s"), Value::Null)
        .await;
}

#[tokio::test]
async fn all_values_together_have_a_maximum_size() {
    let server = start().await;
    let half = "x".repeat(1 << 19);
    let mut body = json!({"metadata": {"name": "s"}, "stringData": {"a": half, "b": half}});
    let created = create(&server, 201, body.clone()).await;
    assert_eq!(created["metadata"]["name"], "s");
    body["metadata"]["name"] = "large".into();
    body["stringData"]["c"] = "x".into();
    let refused = create(&server, 422, body).await;
    let text = "Too long: may not be more than 1048576 bytes";
    let expected = [cause("FieldValueTooLong", "data", text)];
    assert_eq!(refused, invalid("Secret", "", "large", &expected));
}

#[tokio::test]
async fn a_key_is_a_file_name() {
    let server = start().await;
    let text = r#"Invalid value: "..up": must not start with '..'"#;
    let expected = [cause("FieldValueInvalid", "data[..up]", text)];
    check(
        &server,
        "Opaque",
        json!({"..up": "a", "fine": "b"}),
        &expected,
    )
    .await;
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let server = start().await;
    let body = json!({"metadata": {"name": "s"}, "stringData": {"a": "b"}});
    let line = format!("POST {SECRETS}?dryRun=All");
    let answer = server.call(201, ROOT, &line, body).await;
    assert_eq!(answer["data"], json!({"a": "Yg=="}));
    assert_eq!(answer["type"], "Opaque");
    server
        .call(404, ROOT, &format!("GET {SECRETS}/s"), Value::Null)
        .await;
}
