//! Real Kubernetes for tests: etcd and kube-apiserver, as released, on this machine.
//!
//! [`TestCluster`] starts both with a CA, RBAC and a folder of its own; several can run
//! concurrently. There are no nodes, controllers or pods that run: [`Kubelet`] simulates the one
//! node that `logs`, `exec` and `port-forward` need. [`http::Client`] sends requests byte by byte
//! as a test specifies them; [`poll::until`] waits; a [`Terminal`] is for programs that require
//! one. [`EtcdCluster`] is etcd alone, with several members that can fail.
//!
//! The programs are those of `KUBEBUILDER_ASSETS`, else the pinned ones, which `hack/tools.sh`
//! builds once.

pub mod http;
pub mod poll;
pub mod tools;

mod authority;
mod cluster;
mod daemon;
mod etcd;
mod kubelet;
mod terminal;

pub use authority::Certificate;
pub use cluster::{AnotherApiserver, Options, TestCluster, free_port};
pub use etcd::EtcdCluster;
pub use kubelet::Kubelet;
pub use terminal::Terminal;
