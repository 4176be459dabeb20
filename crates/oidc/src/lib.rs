//! ID tokens of an OpenID Connect provider as logins.
//!
//! The counterpart of `k8s.io/apiserver/plugin/pkg/authenticator/token/oidc`, with the rules of its
//! command line: one issuer, one client, claims that give the name and the groups.
//!
//! ```text
//! provider --HTTPS--> Keys (followed) ─┐
//! bearer --> IdToken (form, header) ───┴─> signature --> Claims --> times, audience --> UserInfo
//! ```
//!
//! The keys of the provider are followed by a task; a token that names an unknown one makes it look
//! again, now and then. While the provider was never reached, its tokens are refused; the server runs,
//! and takes them once it is.
//!
//! Left out, unlike upstream: distributed claims, and ES512, which the library does not have.
//!
//! A token is a login to one server: it must be bound to that (`binding`), unless the administrator names its
//! client as one whose tokens are not.
//!
//! Invariants: no claim is believed before the signature holds; the algorithm is one that the
//! administrator allowed, and of the kind of the key; a name or a group that begins with `system:`
//! is refused.

mod authenticator;
mod binding;
mod claims;
mod config;
mod fetch;
mod id_token;
mod key_set;
mod provider;

pub use authenticator::OidcAuthenticator;
pub use binding::OwnUrl;
pub use config::{Config, ConfigError, Options};
pub use fetch::FetchError;
pub use provider::Provider;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod fuzz;
