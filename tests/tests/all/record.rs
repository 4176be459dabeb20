//! Helpers for kubeconfig records, for all clients.

use e2e::http::{Answer, Client, Request, expect};
use serde_json::{Value, json};

/// The path of the records.
pub(crate) const PATH: &str = "/apis/ext.cattle.io/v1/kubeconfigs";

/// Query of a watch that starts with the existing objects.
pub(crate) const INITIAL_EVENTS: &str = "watch=true&sendInitialEvents=true\
    &allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";

/// Returns the path of a record.
pub(crate) fn at(name: &str) -> String {
    format!("{PATH}/{name}")
}

/// Returns the object of a create request.
pub(crate) fn wanted(spec: Value) -> Value {
    json!({ "apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig", "spec": spec })
}

/// Creates a record and returns it as in the answer to create, including secrets.
#[track_caller]
pub(crate) fn create(client: &Client, spec: Value) -> Value {
    let answer = client.post(PATH, &wanted(spec)).unwrap();
    expect(answer, 201).unwrap().json().unwrap()
}

/// Returns the name of an object.
#[track_caller]
pub(crate) fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

/// Returns the answer to a request; for a watch with [`INITIAL_EVENTS`], up to their end.
#[track_caller]
pub(crate) fn state(client: &Client, request: &Request) -> Answer {
    let mut stream = client.open(request).unwrap();
    if stream.status != 200 || !request.to_string().contains(INITIAL_EVENTS) {
        return stream.finish().unwrap();
    }
    let (status, headers) = (stream.status, stream.headers.clone());
    let mut body = String::new();
    while !body.contains("k8s.io/initial-events-end") {
        body.push_str(&stream.next_line().unwrap().unwrap());
    }
    Answer {
        status,
        headers,
        body: body.into_bytes(),
    }
}

/// Returns the names in a list, in its order.
#[track_caller]
pub(crate) fn names(client: &Client) -> Vec<String> {
    let list = expect(client.get(PATH).unwrap(), 200).unwrap();
    let list = list.json().unwrap();
    list["items"].as_array().unwrap().iter().map(name).collect()
}

/// A user entry of a file with a token.
pub(crate) struct FileUser {
    pub(crate) name: String,
    pub(crate) token: String,
}

/// Returns the users in the file of a record that was just created.
#[track_caller]
pub(crate) fn users(created: &Value) -> Vec<FileUser> {
    let file = created["status"]["value"].as_str().unwrap();
    let file: Value = serde_saphyr::from_str(file).unwrap();
    let users = file["users"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    users
        .map(|user| FileUser {
            name: text(&user["name"]),
            token: text(&user["user"]["token"]),
        })
        .collect()
}

/// Returns the tokens in the file of a record that was just created.
#[track_caller]
pub(crate) fn tokens(created: &Value) -> Vec<String> {
    users(created).into_iter().map(|user| user.token).collect()
}
