//! `management.cattle.io/v3`: what an administrator tells this server.
//!
//! Clusters, the nodes of those with a direct endpoint, users, settings and features, as resources of the generic server; and the readers
//! by which the rest of the program asks them ([`settings::Settings`], [`feature::Features`]). Readers look at the watch cache each time:
//! what an administrator sets acts at once, and nothing is kept.
//!
//! What the values are for is the business of those who read them.

pub mod bootstrap;
pub mod ca_bundle;
pub mod cluster;
pub mod cluster_secret;
pub mod display_text;
pub mod feature;
pub mod node;
pub mod record_size;
pub mod server_host;
pub mod setting;
pub mod settings;
pub mod user;

mod description;
