//! Kubeconfig records as tests make and see them, whichever client asks.

use e2e::http::{Answer, Client, Request, expect};
use serde_json::{Value, json};

/// Where the records are.
pub(crate) const PATH: &str = "/apis/ext.cattle.io/v1/kubeconfigs";

/// Query of a watch that first tells of all there is.
pub(crate) const INITIAL_EVENTS: &str = "watch=true&sendInitialEvents=true\
    &allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";

/// Where one record is.
pub(crate) fn at(name: &str) -> String {
    format!("{PATH}/{name}")
}

/// A request for a kubeconfig.
pub(crate) fn wanted(spec: Value) -> Value {
    json!({ "apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig", "spec": spec })
}

/// Makes a record and returns it as the answer to create shows it, secrets and all.
#[track_caller]
pub(crate) fn create(client: &Client, spec: Value) -> Value {
    let answer = client.post(PATH, &wanted(spec)).unwrap();
    expect(answer, 201).unwrap().json().unwrap()
}

/// The name of an object.
#[track_caller]
pub(crate) fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

/// The answer to a request; of a watch with [`INITIAL_EVENTS`], as far as those go.
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

/// The names that a list shows, in its order.
#[track_caller]
pub(crate) fn names(client: &Client) -> Vec<String> {
    let list = expect(client.get(PATH).unwrap(), 200).unwrap();
    let list = list.json().unwrap();
    list["items"].as_array().unwrap().iter().map(name).collect()
}

/// A user of a file with a token.
pub(crate) struct FileUser {
    pub(crate) name: String,
    pub(crate) token: String,
}

/// The users in the file of a record just made.
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

/// The tokens in the file of a record just made.
#[track_caller]
pub(crate) fn tokens(created: &Value) -> Vec<String> {
    users(created).into_iter().map(|user| user.token).collect()
}
