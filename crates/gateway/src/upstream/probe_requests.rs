//! Clusters to probe soon, because an answer contradicted their status.

use std::collections::HashSet;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The clusters to probe soon.
#[derive(Default)]
pub(super) struct ProbeRequests {
    clusters: Mutex<HashSet<Box<str>>>,
    arrived: Notify,
}

impl ProbeRequests {
    /// Adds a cluster.
    pub(super) fn add(&self, cluster: &str) {
        let is_new = self.clusters.lock().insert(cluster.into());
        if is_new {
            self.arrived.notify_one();
        }
    }

    /// Waits for clusters, and removes them. Cancel safe.
    pub(super) async fn take(&self) -> HashSet<Box<str>> {
        loop {
            let requested = std::mem::take(&mut *self.clusters.lock());
            if !requested.is_empty() {
                return requested;
            }
            self.arrived.notified().await;
        }
    }
}
