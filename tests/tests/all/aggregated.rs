//! The server behind a real kube-apiserver.

mod fail_closed;
mod login;
mod neighbour;
mod replicas;
mod service_accounts;
mod transcripts;
