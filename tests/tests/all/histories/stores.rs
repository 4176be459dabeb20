//! The servers that clients use, and that are killed.

use std::thread;
use std::time::Duration;

use e2e::http::{Client, expect};
use e2e::{Host, Server};
use serde_json::json;
use test_cluster::EtcdCluster;

use super::kind::Kind;

/// Processes over one store.
pub(super) trait Site {
    /// Returns a client for each process as one of the users. It remains usable across restarts.
    fn clients(&self, user: &str) -> Vec<Client>;

    /// Makes a part fail for a while, a different one each turn. Returns when all serve again.
    fn fail(&mut self, turn: usize, away: Duration) -> Failed;
}

/// The limits of a user, who creates more objects here than in practice.
const LIMITS: [&str; 4] = [
    "auth-token-max-per-user",
    "kubeconfig-max-bytes-per-user",
    "kubeconfig-max-creates-per-minute",
    "kubeconfig-max-per-user",
];

/// Number of members of an etcd cluster, which keeps working without one of them.
pub(super) const MEMBERS: usize = 3;

/// Time for which a member is suspended.
const PAUSE: Duration = Duration::from_millis(1500);

const UNLIMITED: &str = "1000000000";

/// Removes the limits of a server.
pub(super) fn unlimited(server: Server) -> Server {
    let admin = server.client("admin").unwrap();
    for limit in LIMITS {
        let request = Kind::Setting.patch(limit, UNLIMITED);
        expect(admin.send(&request).unwrap(), 200).unwrap();
    }
    server
}

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// A process of the server was killed.
    Killed,
    /// A member of the store was suspended.
    Paused,
}

impl Site for Server {
    fn clients(&self, user: &str) -> Vec<Client> {
        vec![self.client(user).unwrap()]
    }

    fn fail(&mut self, _: usize, away: Duration) -> Failed {
        self.kill().unwrap();
        pass(away);
        self.restart().unwrap();
        Failed::Killed
    }
}

/// Replicas behind a host, accessed directly.
pub(super) struct Replicas {
    host: Host,
    etcd: Option<EtcdCluster>,
}

impl Replicas {
    /// Removes the limits of the replicas. `etcd` contains their records, if it is their store.
    pub(super) fn of(host: Host, etcd: Option<EtcdCluster>) -> Self {
        for limit in LIMITS {
            let setting = json!({
                "apiVersion": "management.cattle.io/v3", "kind": "Setting",
                "metadata": {"name": limit}, "value": UNLIMITED,
            });
            host.admin().unwrap().apply(&setting).unwrap();
        }
        host.wait_until_ready().unwrap();
        Self { host, etcd }
    }
}

impl Site for Replicas {
    fn clients(&self, user: &str) -> Vec<Client> {
        let replicas = self.host.replicas.iter();
        let client = |port| self.host.client_at(port, user).unwrap();
        replicas
            .map(|replica| client(replica.secure_port()))
            .collect()
    }

    fn fail(&mut self, turn: usize, away: Duration) -> Failed {
        let parts = if self.etcd.is_some() { 3 } else { 2 };
        let (round, part) = (turn / parts, turn % parts);
        let failed = match (&self.etcd, self.host.replicas.get_mut(part)) {
            (_, Some(replica)) => {
                replica.kill().unwrap();
                pass(away);
                replica.restart().unwrap();
                Failed::Killed
            }
            (etcd, None) => {
                // A replica connected to this member receives nothing, while the others continue to
                // write.
                let etcd = etcd.as_ref().unwrap();
                let member = round % MEMBERS;
                etcd.pause(member).unwrap();
                pass(PAUSE);
                etcd.resume(member).unwrap();
                Failed::Paused
            }
        };
        self.host.wait_until_ready().unwrap();
        failed
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "clients work while nothing fails, and while a process is away"
)]
pub(super) fn pass(time: Duration) {
    thread::sleep(time);
}
