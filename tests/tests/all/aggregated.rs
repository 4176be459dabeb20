//! The server behind a real kube-apiserver.

mod downloads;
mod fail_closed;
mod logins;
mod neighbour;
mod references;
mod replicas;
mod service_accounts;
mod transcripts;
