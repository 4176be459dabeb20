//! The requests of controllers' informers, verbatim.

use e2e::Host;
use e2e::http::Request;
use serde_json::{Value, json};

/// The header of the metadata client: protobuf first, which our server does not support, then JSON.
const ACCEPT: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
     application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// Checks that the list arrives as events, with a bookmark at its end, all as metadata.
pub(super) fn streaming_list_of_metadata(host: &Host) {
    let record = super::create_kubeconfig(&host.kubectl("alice").unwrap(), &json!({}));
    let request = Request::get("/apis/ext.cattle.io/v1/kubeconfigs")
        .query("watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=60")
        .accept(ACCEPT);
    let mut stream = host.client("admin").unwrap().open(&request).unwrap();
    let mut events = Vec::new();
    loop {
        let event = stream.next_event().unwrap().unwrap();
        let meta = &event["object"]["metadata"];
        let ends = meta["annotations"]["k8s.io/initial-events-end"] == "true";
        events.push(json!([
            event["type"],
            event["object"]["kind"],
            meta["name"],
            event["object"]["spec"]
        ]));
        if ends {
            break;
        }
    }
    let added = json!([
        "ADDED",
        "PartialObjectMetadata",
        record["metadata"]["name"],
        Value::Null
    ]);
    let end = json!([
        "BOOKMARK",
        "PartialObjectMetadata",
        Value::Null,
        Value::Null
    ]);
    assert_eq!(events, [added, end]);
}
