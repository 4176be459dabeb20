//! Secrets and ConfigMaps.

use serde_json::{Value, json};

use crate::server::{ROOT, start};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn string_data_is_written_and_never_read() {
    let server = start().await;
    let body = json!({"metadata": {"name": "s"}, "stringData": {"user": "alice"}});
    server
        .call(201, ROOT, &format!("POST {SECRETS}"), body)
        .await;
    let read = server
        .call(200, ROOT, &format!("GET {SECRETS}/s"), Value::Null)
        .await;
    assert_eq!(read["data"], json!({"user": "YWxpY2U="}));
    assert_eq!(read["type"], "Opaque");
    assert_eq!(read.get("stringData"), None);
}

#[tokio::test]
async fn data_survives_a_patch() {
    let server = start().await;
    let body = json!({"metadata": {"name": "c"}, "data": {"k": "v"}, "binaryData": {"b": "AA=="}});
    server
        .call(201, ROOT, &format!("POST {CONFIG_MAPS}"), body)
        .await;
    let patch = json!({"data": {"l": "w"}});
    server
        .call(200, ROOT, &format!("PATCH {CONFIG_MAPS}/c"), patch)
        .await;
    let read = server
        .call(200, ROOT, &format!("GET {CONFIG_MAPS}/c"), Value::Null)
        .await;
    assert_eq!(read["data"], json!({"k": "v", "l": "w"}));
    assert_eq!(read["binaryData"], json!({"b": "AA=="}));
    assert_eq!(
        (&read["kind"], &read["apiVersion"]),
        (&json!("ConfigMap"), &json!("v1"))
    );
}

#[tokio::test]
async fn tables_count_entries() {
    let server = start().await;
    let secret = json!({"metadata": {"name": "s"}, "data": {"a": "", "b": ""}});
    server
        .call(201, ROOT, &format!("POST {SECRETS}"), secret)
        .await;
    let config_map = json!({"metadata": {"name": "c"}, "data": {"a": ""}, "binaryData": {"b": ""}});
    server
        .call(201, ROOT, &format!("POST {CONFIG_MAPS}"), config_map)
        .await;
    let (columns, rows) = server.table(SECRETS).await;
    assert_eq!(columns, ["Name", "Type", "Data", "Age"]);
    assert_eq!(rows, [json!(["s", "Opaque", 2, "0s"])]);
    let (columns, rows) = server.table(CONFIG_MAPS).await;
    assert_eq!(columns, ["Name", "Data", "Age"]);
    assert_eq!(rows, [json!(["c", 2, "0s"])]);
}

#[tokio::test]
async fn immutable_config_maps_keep_their_data() {
    let server = start().await;
    let body = json!({"metadata": {"name": "c"}, "data": {"k": "v"}, "immutable": true});
    server
        .call(201, ROOT, &format!("POST {CONFIG_MAPS}"), body)
        .await;
    let line = format!("PATCH {CONFIG_MAPS}/c");
    let refused = server
        .call(422, ROOT, &line, json!({"data": {"k": "w"}}))
        .await;
    let text =
        "ConfigMap \"c\" is invalid: data: Forbidden: field is immutable when `immutable` is set";
    assert_eq!(refused["message"], text);
    server
        .call(
            200,
            ROOT,
            &line,
            json!({"metadata": {"labels": {"a": "b"}}}),
        )
        .await;
}

#[tokio::test]
async fn secrets_are_selected_by_type() {
    let server = start().await;
    for (name, type_) in [("a", "example.com/x"), ("b", "Opaque")] {
        let body = json!({"metadata": {"name": name}, "type": type_});
        server
            .call(201, ROOT, &format!("POST {SECRETS}"), body)
            .await;
    }
    let line = format!("GET {SECRETS}?fieldSelector=type%3DOpaque");
    let list = server.call(200, ROOT, &line, Value::Null).await;
    let names: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["metadata"]["name"])
        .collect();
    assert_eq!(names, ["b"]);
}
