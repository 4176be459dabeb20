//! `management.cattle.io/v3`: the objects with which an administrator configures this server.
//!
//! Clusters, the nodes of clusters with a direct endpoint, users, settings and features, as
//! resources of the generic server; and the readers for the rest of the program
//! ([`settings::Settings`], [`feature::Features`]). Readers use the watch cache each time, so that
//! a change by an administrator takes effect at once.
//!
//! The meaning of the values is left to the code that reads them.

pub mod access;
pub mod bootstrap;
pub mod ca_bundle;
pub mod cluster;
pub mod cluster_secret;
pub mod display_text;
pub mod feature;
pub mod group_filter;
pub mod node;
pub mod record_size;
pub mod server_host;
pub mod setting;
pub mod settings;
pub mod user;

mod description;
