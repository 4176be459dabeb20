//! Real Kubernetes for tests: etcd and kube-apiserver, as released, on this machine.
//!
//! [`TestCluster`] starts both with a CA, RBAC and a folder of its own; several run side by side.
//! There are no nodes, controllers or pods that run: [`Kubelet`] plays the one node that `logs`,
//! `exec` and `port-forward` need, and runs nothing. [`http::Client`] sends requests
//! byte by byte as a test wants them; [`poll::until`] waits; a [`Terminal`] is what some programs look for. [`EtcdCluster`] is etcd alone, with several
//! members that can fail.
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
