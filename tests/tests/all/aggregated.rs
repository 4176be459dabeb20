//! The server behind a real kube-apiserver.

mod transcripts;
