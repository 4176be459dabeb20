//! Faults of the machine under the running server: its log, its disk, its files.

mod full;
mod log;
mod rollback;
mod store;

use std::time::Duration;

use e2e::http::{Client, Request};
use e2e::server::Options;
use e2e::{Faults, Server, poll};
use serde_json::json;

use crate::record;

/// Time limit, far more than any step here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Starts a server with the demo users, and a control of the faults of its machine.
fn start() -> (Server, Faults) {
    let faults = Faults::new().unwrap();
    let options = Options {
        environment: faults.environment().unwrap(),
        ..Options::default()
    };
    (Server::start_with(options).unwrap(), faults)
}

/// Creates a record, and returns the code of the answer.
#[track_caller]
fn create_code(client: &Client) -> u16 {
    let answer = client.post(record::PATH, &record::wanted(json!({})));
    answer.unwrap().status
}

/// Deletes a record, and returns the code of the answer.
#[track_caller]
fn delete_code(client: &Client, name: &str) -> u16 {
    let deletion = Request::new("DELETE", &record::at(name));
    client.send(&deletion).unwrap().status
}

/// Waits until a health path answers with this code.
#[track_caller]
fn wait_for_health(server: &Server, path: &str, code: u16) {
    let what = format!("{path} with {code}");
    let is_so = || Ok((health(server, path) == code).then_some(()));
    poll::until(&what, LIMIT, is_so).unwrap();
}

/// Returns the code of a health path.
#[track_caller]
fn health(server: &Server, path: &str) -> u16 {
    let client = server.client("admin").unwrap();
    client.get(path).unwrap().status
}

/// Returns the value of a metric without labels; 0 if it is not exported.
#[track_caller]
fn metric(server: &Server, name: &str) -> u64 {
    let shown = server.client("admin").unwrap().get("/metrics").unwrap();
    let text = String::from_utf8(shown.body).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}
