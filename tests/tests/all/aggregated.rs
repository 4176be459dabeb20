//! The server behind a real kube-apiserver.

mod replicas;
mod transcripts;
