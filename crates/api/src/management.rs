//! `management.cattle.io/v3`: the surroundings that kubeconfigs are made in.
//!
//! Where Rancher runs these are its own objects and are only read; standalone, this server serves
//! them itself. All kinds but [`Node`] are cluster-scoped.

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
/// `apiVersion` of its objects.
pub const API_VERSION: &str = "management.cattle.io/v3";
