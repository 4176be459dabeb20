//! The server behind a real kube-apiserver.

mod fail_closed;
mod neighbour;
mod replicas;
mod service_accounts;
mod transcripts;
