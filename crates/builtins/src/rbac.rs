//! `rbac.authorization.k8s.io/v1`: roles, bindings, and the policy that is built from them.
//!
//! ```text
//! ClusterRoles Roles ClusterRoleBindings RoleBindings --RbacPolicy--> auth::rbac::RbacAuthorizer
//! ```
//!
//! Each kind has one file with its strategy. The rules of validation, escalation and matching are
//! in `auth::rbac`; this module applies them to the stored objects. A change of any of the four
//! kinds takes effect with the next request. This includes the rules of aggregated roles;
//! [`aggregation::run`] writes them into the roles only for people to read.

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

/// The columns of roles. Roles have none of their own.
const ROLE_COLUMNS: [Column; 2] = [Column::NAME, Column::CREATED_AT];

fn role_cells(metadata: &ObjectMeta) -> Vec<Value> {
    vec![cell::name(metadata), cell::created_at(metadata)]
}
