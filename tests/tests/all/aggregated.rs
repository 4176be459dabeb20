//! The server behind a real kube-apiserver.

mod downloads;
mod fail_closed;
mod keys;
mod logins;
mod neighbour;
mod replicas;
mod service_accounts;
mod transcripts;
