//! The targets of each figure, for the machine of the baselines: two cores of a server processor
//! and a virtual disk. Ratios are valid on any machine.
//!
//! The baseline of most aims is a Go API server on etcd (the sample API server, 0.36, on etcd 3.5)
//! on that machine: 1,512 creates/s at 16 clients, 3,969 linearizable gets/s at 32, a list of
//! 10,000 in 160-280 ms and four at once 7.8 times a second, 31,500 watch deliveries/s, 13.7 KB per
//! record. A floor is the minimum for the design to be valid at all.

use std::time::Duration;

use crate::host::Store;
use crate::report::{Bound, Figure, Target};

/// Aims at one flush of the disk for a single create. The aim leaves room for a second, shorter
/// flush, and for the work itself.
pub(crate) fn create_alone(flush: Duration) -> Vec<Target> {
    let millis = flush.as_secs_f64() * 1000.0 * 2.0 + 0.3;
    vec![
        Target::aim(Figure::P50, Bound::AtMost(millis)),
        Target::floor(Figure::P50, Bound::AtMost(1.0)),
    ]
}

/// Aims at five times the Go server.
pub(crate) fn create_together() -> Vec<Target> {
    vec![
        Target::aim(Figure::Value, Bound::AtLeast(7_500.0)),
        Target::floor(Figure::Value, Bound::AtLeast(5_000.0)),
    ]
}

/// Limits a list of the clusters that grants permit, of 40.
pub(crate) fn list_by_grant() -> Vec<Target> {
    vec![Target::floor(Figure::P50, Bound::AtMost(5.0))]
}

/// Limits what grants add to the time of a create, compared with a create that a role permits.
pub(crate) fn create_by_grant(by_role: Duration) -> Vec<Target> {
    let millis = by_role.as_secs_f64() * 1000.0;
    vec![Target::floor(Figure::P50, Bound::AtMost(millis + 2.0))]
}

/// Aims at most of the throughput of the stack below.
pub(crate) fn get() -> Vec<Target> {
    vec![
        Target::aim(Figure::Ratio, Bound::AtLeast(0.6)),
        Target::floor(Figure::Value, Bound::AtLeast(20_000.0)),
    ]
}

/// Aims at a few copies of the bytes at most.
pub(crate) fn list() -> Vec<Target> {
    vec![
        Target::aim(Figure::Ratio, Bound::AtMost(3.0)),
        Target::floor(Figure::Value, Bound::AtMost(60.0)),
    ]
}

/// Rows are computed, so they may take longer than objects.
pub(crate) fn table() -> Vec<Target> {
    vec![
        Target::aim(Figure::Value, Bound::AtMost(60.0)),
        Target::floor(Figure::Value, Bound::AtMost(80.0)),
    ]
}

/// Aims at six times the Go server.
pub(crate) fn lists_together() -> Vec<Target> {
    vec![Target::aim(Figure::Value, Bound::AtLeast(47.0))]
}

/// Lists are written piece by piece: whole answers would take 16 MB each and more.
pub(crate) fn list_growth() -> Vec<Target> {
    vec![
        Target::aim(Figure::Value, Bound::AtMost(64.0)),
        Target::floor(Figure::Value, Bound::AtMost(128.0)),
    ]
}

/// Limits the cost of listing an owner's few records, which must not depend on the many of other
/// users.
pub(crate) fn own_list() -> Vec<Target> {
    vec![Target::floor(Figure::P99, Bound::AtMost(3.0))]
}

/// Aims at four times the Go server, and most of a broadcast of shared bytes. The floor is three
/// times the Go server.
pub(crate) fn fan_out() -> Vec<Target> {
    vec![
        Target::aim(Figure::Value, Bound::AtLeast(126_000.0)),
        Target::aim(Figure::Ratio, Bound::AtLeast(0.6)),
        Target::floor(Figure::Value, Bound::AtLeast(94_500.0)),
    ]
}

/// Aims at half of the Go server's delay at ten events a second.
pub(crate) fn delay() -> Vec<Target> {
    vec![Target::aim(Figure::P99, Bound::AtMost(21.0))]
}

/// Aims at one signature verified per review. The floor is the maximum rate of a busy API server.
pub(crate) fn review_cold() -> Vec<Target> {
    vec![
        Target::aim(Figure::Value, Bound::AtLeast(10_000.0)),
        Target::floor(Figure::Value, Bound::AtLeast(5_000.0)),
    ]
}

/// Aims at most of the throughput of the stack below.
pub(crate) fn review_warm() -> Vec<Target> {
    vec![
        Target::aim(Figure::Value, Bound::AtLeast(30_000.0)),
        Target::aim(Figure::Ratio, Bound::AtLeast(0.45)),
    ]
}

/// The targets of the gateway relative to another proxy.
#[derive(Clone, Copy)]
pub(crate) struct Beside {
    /// Requests for the same CPU time, as a ratio: the aim and the floor.
    per_core: [f64; 2],
    /// Added latency, as a ratio.
    added: f64,
}

/// A proxy that does not check requests.
pub(crate) const HAPROXY: Beside = Beside {
    per_core: [1.0, 0.8],
    added: 1.0,
};

/// A proxy for one user.
pub(crate) const KUBECTL: Beside = Beside {
    per_core: [3.0, 0.8],
    added: 0.5,
};

impl Beside {
    /// Returns the targets for the requests per second of CPU time.
    pub(crate) fn per_core(self) -> Vec<Target> {
        let [aim, floor] = self.per_core;
        vec![
            Target::aim(Figure::Ratio, Bound::AtLeast(aim)),
            Target::floor(Figure::Ratio, Bound::AtLeast(floor)),
        ]
    }

    /// Returns the targets for the median latency that is added for one client.
    pub(crate) fn added(self) -> Vec<Target> {
        vec![
            Target::aim(Figure::Ratio, Bound::AtMost(self.added)),
            Target::floor(Figure::Value, Bound::AtMost(0.1)),
        ]
    }
}

/// Aims at nearly the throughput of a proxy that does not inspect the bytes.
pub(crate) fn tunnel() -> Vec<Target> {
    vec![Target::aim(Figure::Ratio, Bound::AtLeast(0.8))]
}

/// Aims at a quarter of the Go server's.
pub(crate) fn memory_per_record() -> Vec<Target> {
    vec![
        Target::aim(Figure::Value, Bound::AtMost(3.5)),
        Target::floor(Figure::Value, Bound::AtMost(6.0)),
    ]
}

/// Aims at 50 ms without a record and 600 ms with 100,000; in proportion in between.
pub(crate) fn cold_start(records: usize) -> Vec<Target> {
    let millis = 50.0 + 550.0 * records as f64 / 100_000.0;
    vec![
        Target::aim(Figure::Value, Bound::AtMost(millis)),
        Target::floor(Figure::Value, Bound::AtMost(2.0 * millis)),
    ]
}

/// Aims at half of the throughput of etcd for clients that do nothing else, and more than twice the
/// Go server on etcd.
pub(crate) fn create_in_etcd(clients: usize) -> Vec<Target> {
    let mut targets = vec![Target::aim(Figure::Ratio, Bound::AtLeast(0.5))];
    if clients >= 64 {
        targets.push(Target::aim(Figure::Value, Bound::AtLeast(3_415.0)));
        targets.push(Target::floor(Figure::Value, Bound::AtLeast(2_732.0)));
    }
    targets
}

/// Allows for a transaction with a comparison, which costs etcd little more than a put.
pub(crate) fn etcd_of_creates() -> Vec<Target> {
    vec![Target::aim(Figure::Ratio, Bound::AtMost(2.0))]
}

/// Aims at more than the kind as a custom resource: kube-apiserver does most of the work in both
/// cases.
pub(crate) fn through_a_host(creates: bool, store: Store) -> Vec<Target> {
    let aim = match (creates, store) {
        (false, _) => 1.8,
        (true, Store::Etcd) => 3.0,
        // Two writes on the host, compared with one for a custom resource.
        (true, Store::Kubernetes) => 0.5,
    };
    vec![Target::aim(Figure::Ratio, Bound::AtLeast(aim))]
}

/// Returns the targets of the requests of [`through_a_host`], sent directly to the server.
pub(crate) fn beside_a_host(creates: bool, store: Store) -> Vec<Target> {
    let aim = match (creates, store) {
        (false, _) => 20.0,
        (true, Store::Etcd) => 4.0,
        (true, Store::Kubernetes) => 0.5,
    };
    vec![Target::aim(Figure::Ratio, Bound::AtLeast(aim))]
}

/// Limits the server's share of the CPU time. The rest is that of kube-apiserver and etcd.
pub(crate) fn share_of_a_host() -> Vec<Target> {
    vec![Target::aim(Figure::Value, Bound::AtMost(15.0))]
}

/// Limits the host's CPU time for proxying a request, relative to serving it itself.
pub(crate) fn host_of_requests() -> Vec<Target> {
    vec![Target::aim(Figure::Ratio, Bound::AtMost(1.0))]
}

/// The factor by which an attack may slow the requests of honest users.
pub(crate) const ATTACKED_RATIO: f64 = 3.0;

/// Memory of the server in an attack, in MiB: the limit of the pod in the chart.
pub(crate) const ATTACKED_MEMORY: f64 = 512.0;
