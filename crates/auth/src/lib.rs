//! Who is calling, and may they: authenticators, authorizers and the identity of a request.
//!
//! The crate is the counterpart of `k8s.io/apiserver/pkg/authentication` and `pkg/authorization`,
//! with Kubernetes' RBAC beside them. The path of a request through it:
//!
//! ```text
//! credentials --Union--> Identity --Impersonation--> Identity --AuthorizerUnion--> Decision
//! ```
//!
//! It knows neither HTTP nor storage. Callers hand it certificates, headers and already
//! decoded RBAC objects, and turn its answers into responses. Nothing here reads the time by itself:
//! a clock is an argument.
//!
//! Invariant: an identity comes from [`Identity::check`] alone, so that no name means one thing here and
//! another at the next server. Invariant: whatever cannot be decided is refused. A failed credential never becomes anonymous,
//! an authorizer that fails never allows, and an empty verb is denied.

pub mod authenticator;
pub mod authorizer;
pub mod bearer;
pub mod client_certificate;
pub mod delegated;
mod extra_key;
pub mod front_proxy;
mod go_format;
pub mod identity;
pub mod impersonation;
pub mod rbac;
pub mod request_headers;
pub mod service_account;
pub mod user;

pub use authenticator::{Authentication, Authenticator, Credentials, FailureReason, Union};
pub use authorizer::{
    AlwaysAllowPaths, Attributes, Authorizer, AuthorizerError, AuthorizerUnion, Decision,
    PrivilegedGroup, Rules, Target,
};
pub use identity::{Identity, IdentityError};
pub use request_headers::RequestHeaders;
pub use user::UserInfo;
