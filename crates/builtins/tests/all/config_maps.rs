//! ConfigMaps: their entries and immutability.

use serde_json::{Value, json};

use crate::server::{ROOT, Server, start};
use crate::statuses::{cause, invalid};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn create(server: &Server, code: u16, body: Value) -> Value {
    server
        .call(code, ROOT, &format!("POST {CONFIG_MAPS}"), body)
        .await
}

fn frozen(field: &str) -> Value {
    let text = "Forbidden: field is immutable when `immutable` is set";
    cause("FieldValueForbidden", field, text)
}

#[tokio::test]
async fn keys_are_file_names_and_occur_once() {
    let server = start().await;
    let body = json!({
        "metadata": {"name": "c"},
        "data": {"..": "a", "both": "b", "good.conf": "c"},
        "binaryData": {"both": "AA==", "a b": "AA=="},
    });
    let refused = create(&server, 422, body).await;
    let rule = "Invalid value: \"a b\": a valid config key must consist of alphanumeric \
        characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used \
        for validation is '[-._a-zA-Z0-9]+')";
    let twice = r#"Invalid value: "both": duplicate of key present in binaryData"#;
    let expected = [
        cause(
            "FieldValueInvalid",
            "data[..]",
            r#"Invalid value: "..": must not be '..'"#,
        ),
        cause("FieldValueInvalid", "data[both]", twice),
        cause("FieldValueInvalid", "binaryData[a b]", rule),
    ];
    assert_eq!(refused, invalid("ConfigMap", "", "c", &expected));
}

#[tokio::test]
async fn texts_and_bytes_share_the_maximum_size() {
    let server = start().await;
    let text = "x".repeat((1 << 20) - 3);
    let mut body = json!({
        "metadata": {"name": "c"},
        "data": {"a": text},
        "binaryData": {"b": "AAAA"},
    });
    create(&server, 201, body.clone()).await;
    body["metadata"]["name"] = "large".into();
    body["binaryData"]["c"] = "AA==".into();
    let refused = create(&server, 422, body).await;
    let text = "Too long: may not be more than 1048576 bytes";
    let causes = json!([{"reason": "FieldValueTooLong", "message": text}]);
    assert_eq!(refused["details"]["causes"], causes);
    let text = format!("ConfigMap \"large\" is invalid: : {text}");
    assert_eq!(refused["message"], text);
}

#[tokio::test]
async fn all_fields_of_an_immutable_config_map_are_fixed() {
    let server = start().await;
    let body = json!({
        "metadata": {"name": "c"},
        "data": {"a": "b"},
        "binaryData": {"c": "AA=="},
    });
    create(&server, 201, body).await;
    let line = format!("PATCH {CONFIG_MAPS}/c");
    let frozen_now = json!({"immutable": true, "data": {"a": "last"}});
    let live = server.call(200, ROOT, &line, frozen_now).await;
    let refused = server
        .call(422, ROOT, &line, json!({"binaryData": {"c": "AAA="}}))
        .await;
    let expected = [frozen("binaryData")];
    assert_eq!(refused, invalid("ConfigMap", "", "c", &expected));
    let refused = server
        .call(422, ROOT, &line, json!({"immutable": false}))
        .await;
    let expected = [frozen("immutable")];
    assert_eq!(refused, invalid("ConfigMap", "", "c", &expected));
    let all = json!({"immutable": null, "data": null, "binaryData": null});
    let refused = server.call(422, ROOT, &line, all).await;
    let expected = [frozen("immutable"), frozen("data"), frozen("binaryData")];
    assert_eq!(refused, invalid("ConfigMap", "", "c", &expected));
    let read = server
        .call(200, ROOT, &format!("GET {CONFIG_MAPS}/c"), Value::Null)
        .await;
    assert_eq!(read, live);
    assert_eq!(read["data"], json!({"a": "last"}));
}

#[tokio::test]
async fn a_config_map_that_is_not_immutable_may_say_so_and_change() {
    let server = start().await;
    let body = json!({"metadata": {"name": "c"}, "data": {"a": "b"}, "immutable": false});
    let created = create(&server, 201, body).await;
    assert_eq!(created["immutable"], false);
    let line = format!("PATCH {CONFIG_MAPS}/c");
    let changed = server
        .call(200, ROOT, &line, json!({"data": {"a": "c"}}))
        .await;
    assert_eq!(changed["data"], json!({"a": "c"}));
}
