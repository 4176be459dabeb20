//! What each figure is to reach, for the machine of the baselines: two cores of a server processor
//! and a virtual disk. Ratios hold anywhere.
//!
//! The baseline of most aims is a Go API server on etcd (the sample API server, 0.36, on etcd 3.5)
//! on that machine: 1,512 creates/s at 16 clients, 3,969 linearizable gets/s at 32, a list of
//! 10,000 in 160-280 ms and four at once 7.8 times a second, 31,500 watch deliveries/s, 13.7 KB per
//! record. A floor is what must hold for the design to be right at all.

use std::time::Duration;

use crate::host::Store;
use crate::report::{Bound, Figure, Target};

/// A create alone waits for one flush of the disk; the aim leaves room for a second, shorter one,
/// and for the work itself.
pub(crate) fn create_alone(flush: Duration) -> Vec<Target> {
    let millis = flush.as_secs_f64() * 1000.0 * 2.0 + 0.3;
    vec![
        Target::aim(Figure::P50, Bound::AtMost(millis)),
        Target::floor(Figure::P50, Bound::AtMost(1.0)),
    ]
}

/// Five times the Go server.
pub(crate) fn create_together() -> Vec<Target> {
    vec![
        Target::aim(Figure::Value, Bound::AtLeast(7_500.0)),
        Target::floor(Figure::Value, Bound::AtLeast(5_000.0)),
    ]
}

/// Most of what the stack below can do.
pub(crate) fn get() -> Vec<Target> {
    vec![
        Target::aim(Figure::Ratio, Bound::AtLeast(0.6)),
        Target::floor(Figure::Value, Bound::AtLeast(20_000.0)),
    ]
}

/// A few copies of the bytes at most.
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

/// Six times the Go server.
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

/// An owner's few records do not cost the many of others.
pub(crate) fn own_list() -> Vec<Target> {
    vec![Target::floor(Figure::P99, Bound::AtMost(3.0))]
}

/// Four times the Go server, and most of a broadcast of shared bytes; three times at least.
pub(crate) fn fan_out() -> Vec<Target> {
    vec![
        Target::aim(Figure::Value, Bound::AtLeast(126_000.0)),
        Target::aim(Figure::Ratio, Bound::AtLeast(0.6)),
        Target::floor(Figure::Value, Bound::AtLeast(94_500.0)),
    ]
}

/// Half of the Go server's delay at ten events a second.
pub(crate) fn delay() -> Vec<Target> {
    vec![Target::aim(Figure::P99, Bound::AtMost(21.0))]
}

/// One signature verified for each; the floor is the most that a busy API server asks for.
pub(crate) fn review_cold() -> Vec<Target> {
    vec![
        Target::aim(Figure::Value, Bound::AtLeast(10_000.0)),
        Target::floor(Figure::Value, Bound::AtLeast(5_000.0)),
    ]
}

/// Most of what the stack below can do.
pub(crate) fn review_warm() -> Vec<Target> {
    vec![
        Target::aim(Figure::Value, Bound::AtLeast(30_000.0)),
        Target::aim(Figure::Ratio, Bound::AtLeast(0.45)),
    ]
}

/// What the gateway is to be beside another proxy.
#[derive(Clone, Copy)]
pub(crate) struct Beside {
    /// Requests for the same processor time, as a ratio: what is wanted, and what must be.
    per_core: [f64; 2],
    /// Added time, as a ratio.
    added: f64,
}

/// A proxy that checks nothing.
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
    /// Of requests in a second of a processor.
    pub(crate) fn per_core(self) -> Vec<Target> {
        let [aim, floor] = self.per_core;
        vec![
            Target::aim(Figure::Ratio, Bound::AtLeast(aim)),
            Target::floor(Figure::Ratio, Bound::AtLeast(floor)),
        ]
    }

    /// Of the median time that is added for one client.
    pub(crate) fn added(self) -> Vec<Target> {
        vec![
            Target::aim(Figure::Ratio, Bound::AtMost(self.added)),
            Target::floor(Figure::Value, Bound::AtMost(0.1)),
        ]
    }
}

/// Nearly what a proxy carries that looks at no byte.
pub(crate) fn tunnel() -> Vec<Target> {
    vec![Target::aim(Figure::Ratio, Bound::AtLeast(0.8))]
}

/// A quarter of the Go server's.
pub(crate) fn memory_per_record() -> Vec<Target> {
    vec![
        Target::aim(Figure::Value, Bound::AtMost(3.5)),
        Target::floor(Figure::Value, Bound::AtMost(6.0)),
    ]
}

/// 50 ms without a record and 600 ms with 100,000; in proportion in between.
pub(crate) fn cold_start(records: usize) -> Vec<Target> {
    let millis = 50.0 + 550.0 * records as f64 / 100_000.0;
    vec![
        Target::aim(Figure::Value, Bound::AtMost(millis)),
        Target::floor(Figure::Value, Bound::AtMost(2.0 * millis)),
    ]
}

/// Half of what etcd takes from clients that do nothing else, and more than twice the Go server on etcd.
pub(crate) fn create_in_etcd(clients: usize) -> Vec<Target> {
    let mut targets = vec![Target::aim(Figure::Ratio, Bound::AtLeast(0.5))];
    if clients >= 64 {
        targets.push(Target::aim(Figure::Value, Bound::AtLeast(3_415.0)));
        targets.push(Target::floor(Figure::Value, Bound::AtLeast(2_732.0)));
    }
    targets
}

/// A transaction that compares is little more work for etcd than a put.
pub(crate) fn etcd_of_creates() -> Vec<Target> {
    vec![Target::aim(Figure::Ratio, Bound::AtMost(2.0))]
}

/// More than the kind as a custom resource: kube-apiserver has the most work either way.
pub(crate) fn through_a_host(creates: bool, store: Store) -> Vec<Target> {
    let aim = match (creates, store) {
        (false, _) => 1.8,
        (true, Store::Etcd) => 3.0,
        // Two writes of the host, where a custom resource is one.
        (true, Store::Kubernetes) => 0.5,
    };
    vec![Target::aim(Figure::Ratio, Bound::AtLeast(aim))]
}

/// As [`through_a_host`], without the host in the way.
pub(crate) fn beside_a_host(creates: bool, store: Store) -> Vec<Target> {
    let aim = match (creates, store) {
        (false, _) => 20.0,
        (true, Store::Etcd) => 4.0,
        (true, Store::Kubernetes) => 0.5,
    };
    vec![Target::aim(Figure::Ratio, Bound::AtLeast(aim))]
}

/// What is left is kube-apiserver's and etcd's.
pub(crate) fn share_of_a_host() -> Vec<Target> {
    vec![Target::aim(Figure::Value, Bound::AtMost(15.0))]
}

/// What a host spends on passing a request on, beside doing it itself.
pub(crate) fn host_of_requests() -> Vec<Target> {
    vec![Target::aim(Figure::Ratio, Bound::AtMost(1.0))]
}

/// The factor by which an attack may slow the requests of honest users.
pub(crate) const ATTACKED_RATIO: f64 = 3.0;

/// Memory of the server in an attack, in MiB: the limit of the pod in the chart.
pub(crate) const ATTACKED_MEMORY: f64 = 512.0;
