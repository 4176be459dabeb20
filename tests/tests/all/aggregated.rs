//! The server behind a real kube-apiserver.

mod fail_closed;
mod replicas;
mod transcripts;
