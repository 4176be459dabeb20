//! The server behind a real kube-apiserver.

mod access;
mod containment;
mod damage;
mod downloads;
mod fail_closed;
mod forgery;
mod keys;
mod login_replay;
mod logins;
mod merge;
mod names;
mod neighbour;
mod redirects;
mod references;
mod replicas;
mod service_accounts;
mod transcripts;
mod users;
