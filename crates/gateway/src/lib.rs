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
//! [`upstream`] is the way to a cluster, for whoever needs one; it knows nothing of users.

pub mod upstream;
