//! `rbac.authorization.k8s.io/v1`: roles, bindings, and the policy made of them.
//!
//! ```text
//! ClusterRoles Roles ClusterRoleBindings RoleBindings --RbacPolicy--> auth::rbac::RbacAuthorizer
//! ```
//!
//! One file for each kind holds its strategy. The rules of validation, escalation and matching are
//! those of `auth::rbac`; here they meet the stored objects. A change of any of the four kinds acts
//! with the next request. So do the rules of aggregated roles, and [`aggregation::run`] writes them
//! into the roles for people to read.

pub mod aggregation;
mod authority;
mod binding_cells;
pub mod cluster_role;
pub mod cluster_role_binding;
mod policy;
pub mod role;
pub mod role_binding;

pub use authority::Authority;
pub use policy::{RbacPolicy, RbacRegistries};

use apiserver::cell;
use machinery::meta::ObjectMeta;
use machinery::table::Column;
use serde_json::Value;

/// The version of the group.
const VERSION: &str = "v1";

/// Roles have no columns of their own.
const ROLE_COLUMNS: [Column; 2] = [Column::NAME, Column::CREATED_AT];

fn role_cells(metadata: &ObjectMeta) -> Vec<Value> {
    vec![cell::name(metadata), cell::created_at(metadata)]
}
