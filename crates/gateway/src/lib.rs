//! The cluster gateway: `/k8s/clusters/<id>/…` leads to the API of that cluster, as the user of the
//! token.
//!
//! ```text
//! raw path → token → validity → clean headers → identity → upstream connection → clean answer
//! ```
//!
//! The gateway authenticates the caller but does not authorize the request: it impersonates the
//! user at the cluster, whose own rules then decide. The gateway's credential there may only
//! impersonate, and request its own successor.
//!
//! If a zone is configured, clusters also have host names of their own ([`endpoint`]).
//!
//! [`prober`] checks every cluster periodically and writes the result to its status. It also renews
//! the gateway's credentials ([`renewal`]).
//!
//! [`upstream`] connects to clusters. It knows nothing of users' tokens.

mod access;
mod answer_headers;
mod bearer;
mod by_name;
mod caller;
mod ceiling;
mod cluster_request;
mod edge;
pub mod endpoint;
mod forward;
mod gateway;
mod passthrough;
pub mod prober;
mod redirect;
mod relay;
pub mod renewal;
mod request_headers;
mod route;
mod self_review;
mod service;
mod sessions;
mod small_request;
mod status;
pub mod token_claims;
mod tunnel;
mod unread;
pub mod upstream;
mod via;
mod whole_body;

#[cfg(test)]
mod fake_cluster;
#[cfg(test)]
mod fuzz;

pub use edge::credential_owner::{LoginClient, LoginClients};
pub use gateway::{Gateway, GatewayParts};
