//! Who calls and what they may do, as the host says.
//!
//! The host passes requests on as a front proxy, knows bearer tokens and decides about permissions.
//! How its front proxy and its users' certificates are recognised stands in one ConfigMap, which
//! [`AuthenticationConfiguration`] follows; [`HostReviews`] asks about tokens and permissions. The
//! rules, and what is remembered of the answers, are those of `auth`: `front_proxy`,
//! `client_certificate` and `delegated`.
//!
//! The account of the server needs the Role `extension-apiserver-authentication-reader` in
//! `kube-system` and the ClusterRole `system:auth-delegator`.

pub use authorities::ConfigurationError;
pub use configuration::{AuthenticationConfiguration, Options};
pub use reviews::HostReviews;

mod authorities;
mod configuration;
mod reviews;
