//! `ext.cattle.io/v1`: the requests of users to this server. All kinds are cluster-scoped.

pub mod access;
pub mod cluster_access_review;
pub mod cluster_grant;
pub mod key_operation;
pub mod kubeconfig;
pub mod token;
mod token_reference;
pub mod user_login;

pub use access::Access;
pub use cluster_access_review::ClusterAccessReview;
pub use cluster_grant::{ClusterGrant, ClusterGrantSpec};
pub use key_operation::{KeyAction, KeyOperation, KeyOperationSpec, KeyOperationStatus};
pub use kubeconfig::{Kubeconfig, KubeconfigSpec, KubeconfigStatus};
pub use token::{Token, TokenPrincipal, TokenSpec, TokenStatus};
pub use token_reference::TokenReference;
pub use user_login::{LastLogin, UserLogin, UserLoginStatus};

/// The API group.
pub const GROUP: &str = "ext.cattle.io";
/// The only version of the group.
pub const VERSION: &str = "v1";
/// `apiVersion` of the objects of the group.
pub const API_VERSION: &str = "ext.cattle.io/v1";
