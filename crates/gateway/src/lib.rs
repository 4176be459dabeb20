//! The cluster gateway: `/k8s/clusters/<id>/…` leads to the API of that cluster, as the user of the
//! token.
//!
//! ```text
//! raw path → token → validity → clean headers → identity → upstream connection → clean answer
//! ```
//!
//! The gateway decides *who* calls, never *what they may do*: it impersonates the user at the
//! cluster, whose own rules then decide. Its own credential there may do nothing but impersonate.
//!
//! Where a zone is configured, clusters also have host names of their own ([`endpoint`]).
//!
//! [`prober`] looks at every cluster now and then and says in its status how it is; it also renews the
//! gateway's credentials ([`renewal`]).
//!
//! [`upstream`] is the way to a cluster, for whoever needs one; it knows nothing of users.

mod access;
mod answer_headers;
mod ask;
mod bearer;
mod door;
mod edge;
pub mod endpoint;
mod forward;
mod front;
mod gateway;
mod passthrough;
pub mod prober;
mod redirect;
mod relay;
pub mod renewal;
mod request_headers;
mod route;
mod sessions;
mod status;
pub mod token_claims;
mod tunnel;
mod unread;
pub mod upstream;

#[cfg(test)]
mod fake_cluster;
#[cfg(test)]
mod fuzz;

pub use edge::credential_owner::LoginClient;
pub use gateway::{Gateway, GatewayParts};
