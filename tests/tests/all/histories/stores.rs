//! The servers that clients talk to, and that are killed.

use std::thread;
use std::time::Duration;

use e2e::http::{Client, expect};
use e2e::{Host, Server};
use serde_json::json;

use super::kind::Kind;

/// Processes over one store.
pub(super) trait Site {
    /// A client at each process as one of the users; it stays of use over restarts.
    fn clients(&self, user: &str) -> Vec<Client>;

    /// Kills a process, and starts it again after a while. Returns when it serves.
    fn kill(&mut self, process: usize, away: Duration);
}

/// Limits of a user, who makes more here than people do.
const LIMITS: [&str; 4] = [
    "auth-token-max-per-user",
    "kubeconfig-max-bytes-per-user",
    "kubeconfig-max-creates-per-minute",
    "kubeconfig-max-per-user",
];

const UNLIMITED: &str = "1000000000";

/// A server without the limits.
pub(super) fn unlimited(server: Server) -> Server {
    let admin = server.client("admin").unwrap();
    for limit in LIMITS {
        let request = Kind::Setting.patch(limit, UNLIMITED);
        expect(admin.send(&request).unwrap(), 200).unwrap();
    }
    server
}

impl Site for Server {
    fn clients(&self, user: &str) -> Vec<Client> {
        vec![self.client(user).unwrap()]
    }

    fn kill(&mut self, _: usize, away: Duration) {
        Server::kill(self).unwrap();
        pass(away);
        self.restart().unwrap();
    }
}

/// Replicas behind a host, reached without it.
pub(super) struct Replicas(Host);

impl Replicas {
    /// Replicas without the limits.
    pub(super) fn of(host: Host) -> Self {
        for limit in LIMITS {
            let setting = json!({
                "apiVersion": "management.cattle.io/v3", "kind": "Setting",
                "metadata": {"name": limit}, "value": UNLIMITED,
            });
            host.admin().unwrap().apply(&setting).unwrap();
        }
        host.wait_until_ready().unwrap();
        Self(host)
    }
}

impl Site for Replicas {
    fn clients(&self, user: &str) -> Vec<Client> {
        let replicas = self.0.replicas.iter();
        let client = |port| self.0.client_at(port, user).unwrap();
        replicas
            .map(|replica| client(replica.secure_port()))
            .collect()
    }

    fn kill(&mut self, process: usize, away: Duration) {
        self.0.replicas[process].kill().unwrap();
        pass(away);
        self.0.replicas[process].restart().unwrap();
        self.0.wait_until_ready().unwrap();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "clients work while nothing fails, and while a process is away"
)]
pub(super) fn pass(time: Duration) {
    thread::sleep(time);
}
