//! `clustergrants.ext.cattle.io`: which users may use which clusters, and as what.
//!
//! ```text
//! ClusterGrants + labels of Clusters ─▶ GrantPolicy ─▶ GrantAuthorizer  may get the cluster
//!                                                   ├▶ groups           in tokens at the cluster
//!                                                   └▶ GrantLimits      lifetimes, administrators' files
//! ```
//!
//! Grants only add to RBAC. [`GrantAuthorizer`] is one of the authorizers of a server, so every
//! check of the right to `get` a cluster takes grants into account: lists of clusters, new
//! kubeconfigs, and tokens in use. The groups of a grant are computed for each use of a token, so
//! that a deleted grant has no effect any more.
//!
//! The author of a grant must have, by RBAC, the permissions that it grants ([`ClusterGrants`]).

mod authorizer;
mod limits;
mod policy;
mod resource;
mod validation;

pub use authorizer::GrantAuthorizer;
pub use limits::GrantLimits;
pub use policy::{Grant, GrantPolicy, GrantedGroups, Grants, Labels, is_for};
pub use resource::{ClusterGrants, INDEX, description};
