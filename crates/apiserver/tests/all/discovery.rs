//! Discovery, OpenAPI and the index over HTTP. Unit tests check their content.

use serde_json::{Value, json};

use crate::fixture::{Call, Server};

#[test]
fn the_index_lists_what_can_be_asked_for() {
    let server = Server::start();
    let index = server.get("/").json();
    let paths: Vec<&str> = index["paths"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(paths.is_sorted());
    for path in [
        "/apis",
        "/apis/test.example.com",
        "/apis/test.example.com/v1",
        "/metrics",
        "/openapi/v2",
        "/readyz",
        "/version",
    ] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
    for path in paths {
        assert_eq!(server.get(path).code, 200, "{path}");
    }
}

#[test]
fn verbs_are_the_truth() {
    let server = Server::start();
    let list = server.get("/apis/test.example.com/v1").json();
    let verbs = |name: &str| {
        let mut resources = list["resources"].as_array().unwrap().iter();
        resources.find(|resource| resource["name"] == name).unwrap()["verbs"].clone()
    };
    let all = json!([
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch"
    ]);
    assert_eq!(
        (verbs("notes"), verbs("letters"), verbs("echoes")),
        (all.clone(), all, json!(["create"]))
    );
}

#[test]
fn the_aggregated_form_is_chosen_in_the_order_of_accept() {
    let server = Server::start();
    let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let v2beta1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    let cases = [
        (
            format!("{v2},{v2beta1},application/json"),
            v2,
            "APIGroupDiscoveryList",
        ),
        (
            format!("{v2};profile=nopeer,application/json"),
            v2,
            "APIGroupDiscoveryList",
        ),
        (
            format!("{v2beta1},application/json"),
            v2beta1,
            "APIGroupDiscoveryList",
        ),
        (
            "application/json".to_owned(),
            "application/json",
            "APIGroupList",
        ),
        ("*/*".to_owned(), "application/json", "APIGroupList"),
    ];
    for (accept, content_type, kind) in cases {
        let answer = server.send(Call::get("/apis").accept(&accept));
        assert_eq!(
            (answer.code, answer.header("content-type")),
            (200, content_type),
            "{accept}"
        );
        assert_eq!(answer.json()["kind"], kind, "{accept}");
    }
    assert_eq!(
        server.send(Call::get("/apis").accept("text/html")).code,
        406
    );
    let yaml = server.send(Call::get("/apis").accept("application/yaml"));
    assert!(
        yaml.text().starts_with("kind: APIGroupList\n"),
        "{}",
        yaml.text()
    );
}

#[test]
fn documents_that_a_client_has_are_not_sent_again() {
    let server = Server::start();
    let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    for (path, accept) in [
        ("/apis", v2),
        ("/openapi/v2", "application/json"),
        ("/openapi/v3", "application/json"),
        ("/openapi/v3/apis/test.example.com/v1", "application/json"),
    ] {
        let first = server.send(Call::get(path).accept(accept));
        let tag = first.header("etag").to_owned();
        assert_eq!((first.code, tag.len()), (200, 130), "{path} {tag}");
        assert_eq!(first.header("vary"), "Accept");
        let second = server.send(Call::get(path).accept(accept).header("if-none-match", &tag));
        assert_eq!(
            (second.code, second.text(), second.header("etag")),
            (304, "", tag.as_str()),
            "{path}"
        );
    }
}

#[test]
fn openapi_comes_as_protobuf_for_those_who_ask() {
    let server = Server::start();
    let named = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    for accept in [
        named,
        "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    ] {
        let answer = server.send(Call::get("/openapi/v2").accept(accept));
        assert_eq!((answer.code, answer.header("content-type")), (200, named));
    }
    let refused = server.send(Call::get("/openapi/v2").accept("text/html"));
    assert_eq!((refused.code, refused.text()), (406, ""));
    assert_eq!(server.get("/openapi/v3/apis/unknown").code, 404);
}
