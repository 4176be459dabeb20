//! Authentication and authorization that are delegated to the host.
//!
//! The host forwards requests as a front proxy, validates bearer tokens and authorizes requests.
//! One ConfigMap says how to recognise its front proxy and its users' certificates, and
//! [`AuthenticationConfiguration`] follows it. [`HostReviews`] asks the host about tokens and
//! permissions. The rules, and the caching of answers, are in `auth`: `front_proxy`,
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
