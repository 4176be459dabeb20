//! Whole requests to a server with real kinds: path, query, media types, continue tokens, bodies, patches.
//!
//! An input is a request as HTTP/1.1 has it: a line of method and target, header fields, an empty line, a body.

use apiserver::testing::{Fixture, TestServer};
use auth::{AuthorizerUnion, PrivilegedGroup};
use axum::body::Body;
use builtins::Builtins;
use fuzz::Target;
use http::{Request, header};
use http_body_util::BodyExt;
use serde_json::Value;
use std::sync::Arc;
use tokio::runtime::Runtime;

const SEEDS: &[&[u8]] = &[
    b"GET /api/v1/namespaces/default/secrets?limit=1&labelSelector=a%3Db&fieldSelector=metadata.name%3Dx&resourceVersion=0&resourceVersionMatch=NotOlderThan\naccept:application/json;as=Table;v=v1;g=meta.k8s.io\n\n",
    b"GET /api/v1/configmaps?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhXHUwMDAwIn0\naccept:application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json\n\n",
    b"POST /api/v1/namespaces/default/configmaps?fieldValidation=Strict&fieldManager=m&dryRun=All\ncontent-type:application/json\n\n{\"metadata\":{\"generateName\":\"x-\",\"labels\":{\"a\":\"b\"}},\"data\":{\"k\":\"v\"}}",
    b"PATCH /api/v1/namespaces/default/configmaps/x?fieldManager=m&force=true\ncontent-type:application/apply-patch+yaml\n\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  a: b\n",
    b"PATCH /api/v1/namespaces/default/configmaps/x\ncontent-type:application/json-patch+json\n\n[{\"op\":\"add\",\"path\":\"/data/z\",\"value\":\"1\"}]",
    b"PATCH /api/v1/namespaces/default/configmaps/x\ncontent-type:application/strategic-merge-patch+json\n\n{\"metadata\":{\"annotations\":{\"a\":null}},\"data\":{\"$patch\":\"replace\"}}",
    b"PUT /api/v1/namespaces/default/configmaps/x\ncontent-type:application/yaml\n\nmetadata: {name: x, resourceVersion: \"1\", managedFields: [{manager: m, operation: Update, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {\"f:data\": {}}}]}\n",
    b"DELETE /api/v1/namespaces/default/configmaps?labelSelector=x&propagationPolicy=Foreground\ncontent-type:application/json\n\n{\"kind\":\"DeleteOptions\",\"preconditions\":{\"uid\":\"x\",\"resourceVersion\":\"1\"},\"gracePeriodSeconds\":0}",
    b"POST /apis/authorization.k8s.io/v1/subjectaccessreviews\ncontent-type:application/json\n\n{\"spec\":{\"user\":\"a\",\"resourceAttributes\":{\"verb\":\"get\",\"resource\":\"pods\",\"labelSelector\":{\"requirements\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"b\"]}]}}}}",
    b"POST /apis/authentication.k8s.io/v1/selfsubjectreviews\ncontent-type:application/vnd.kubernetes.protobuf\n\nk8s\0\n\x2a\n\x18authentication.k8s.io/v1\x12\x11SelfSubjectReview\x12\x04\n\0\x12\0",
    b"GET /openapi/v3\naccept:application/com.github.proto-openapi.spec.v2@v1.0+protobuf\nimpersonate-user:alice\nimpersonate-extra-a%2fb:c\n\n",
];

const WORDS: &[&str] = &[
    "/api/v1/",
    "/apis/",
    "namespaces/",
    "secrets",
    "/status",
    "?watch=true",
    "&timeoutSeconds=",
    "&limit=",
    "&continue=",
    "&resourceVersion=",
    "&sendInitialEvents=true",
    "&allowWatchBookmarks=true",
    "&dryRun=All",
    "%00",
    "%2f",
    "..",
    "//",
    "content-type:",
    "accept:",
    "application/yaml",
    "as=Table",
    "\n",
    "\n\n",
    "{",
    "}",
    "\"metadata\":",
    "\"finalizers\":[\"a/b\"]",
    "\"ownerReferences\":[{}]",
    "9223372036854775807",
];

fn read(input: &[u8]) -> Option<Request<Body>> {
    let end = input.windows(2).position(|pair| pair == b"\n\n")?;
    let head = str::from_utf8(&input[..end]).ok()?;
    let mut lines = head.split('\n');
    let (method, target) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::AUTHORIZATION, "Bearer root/system:masters");
    for line in lines {
        let (name, value) = line.split_once(':')?;
        request = request.header(name, value);
    }
    request.body(Body::from(input[end + 2..].to_vec())).ok()
}

async fn server() -> TestServer {
    let mut fixture = Fixture::new();
    let builtins = Builtins::register(&mut fixture.registries);
    let authorizer = AuthorizerUnion::new(vec![Arc::new(PrivilegedGroup::system_masters())]);
    let bootstrap = async { builtins.bootstrap(Vec::new(), Vec::new()).await.unwrap() };
    let serve = |builder| builtins.serve(builder);
    fixture.start(Arc::new(authorizer), serve, bootstrap).await
}

/// The code and the reason of the answer. A refusal is a Status, and nothing is the fault of the server.
async fn answer(server: &TestServer, request: Request<Body>) -> String {
    let response = server.send(request).await;
    let code = response.status().as_u16();
    assert!(code < 500 || code == 504, "{code}");
    let is_json = response.headers().get(header::CONTENT_TYPE);
    let is_json = is_json.is_some_and(|it| it == "application/json");
    if code < 400 || !is_json {
        return code.to_string();
    }
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let status: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status["kind"], "Status", "{status}");
    assert_eq!(status["code"], code, "{status}");
    let message = status["message"].as_str().unwrap_or_default();
    let kind: String = message
        .chars()
        .filter(|it| it.is_alphabetic())
        .take(40)
        .collect();
    format!("{code} {} {kind}", status["reason"])
}

#[test]
fn requests() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(server());
    let target = Target {
        name: "requests",
        seeds: SEEDS,
        dictionary: WORDS,
    };
    target.run_inputs(1500, |input| match read(input) {
        Some(request) => runtime.block_on(answer(&server, request)),
        None => "no request".to_owned(),
    });
}
