//! Authentication and authorization: authenticators, authorizers and the identity of a request.
//!
//! The crate is the counterpart of `k8s.io/apiserver/pkg/authentication` and `pkg/authorization`,
//! and also contains Kubernetes' RBAC. A request passes through it as follows:
//!
//! ```text
//! credentials --Union--> Identity --Impersonation--> Identity --AuthorizerUnion--> Decision
//! ```
//!
//! The crate depends on neither HTTP nor storage. The calling code passes certificates, headers and
//! decoded RBAC objects, and turns the results into responses. No code here reads the time by
//! itself: a clock is an argument.
//!
//! Invariant: [`Identity::check`] is the only source of identities, so that no name has one meaning
//! here and another at the next server. Invariant: a request that cannot be decided on is rejected.
//! A failed credential never becomes anonymous, an authorizer that fails never allows, and an empty
//! verb is denied.

pub mod authenticator;
pub mod authorizer;
pub mod bearer;
pub mod ceiling;
pub mod client_certificate;
pub mod delegated;
mod extra_key;
pub mod front_proxy;
mod go_format;
pub mod identity;
pub mod impersonation;
mod login;
pub mod rbac;
pub mod request_headers;
pub mod service_account;
pub mod user;

pub use authenticator::{Authentication, Authenticator, Credentials, FailureReason, Union};
pub use authorizer::{
    AlwaysAllowPaths, Attributes, Authorizer, AuthorizerError, AuthorizerUnion, Decision,
    PrivilegedGroup, Rules, Target,
};
pub use ceiling::{Ceiling, Ceilings};
pub use identity::{Identity, IdentityError};
pub use login::Login;
pub use request_headers::RequestHeaders;
pub use user::UserInfo;
