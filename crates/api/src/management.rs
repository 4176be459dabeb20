//! `management.cattle.io/v3`: the objects that the creation of kubeconfigs depends on.
//!
//! In a Rancher installation these are Rancher's own objects and are only read; in standalone mode,
//! this server serves them itself. All kinds except [`Node`] are cluster-scoped.

pub mod cluster;
pub mod feature;
pub mod node;
pub mod setting;
pub mod user;

pub use cluster::{Cluster, ClusterSpec, ClusterStatus};
pub use feature::{Feature, FeatureSpec, FeatureStatus};
pub use node::{Node, NodeSpec, NodeStatus};
pub use setting::Setting;
pub use user::User;

/// The API group.
pub const GROUP: &str = "management.cattle.io";
/// The only version of the group.
pub const VERSION: &str = "v3";
/// `apiVersion` of the objects of the group.
pub const API_VERSION: &str = "management.cattle.io/v3";
