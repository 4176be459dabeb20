//! Authentication by ID tokens of an OpenID Connect provider.
//!
//! The counterpart of `k8s.io/apiserver/plugin/pkg/authenticator/token/oidc`, with the same rules
//! for the command line: one issuer, one client, and claims for the name and the groups.
//!
//! ```text
//! provider --HTTPS--> Keys (refreshed) ┐
//! bearer --> IdToken (form, header) ───┴─> signature --> Claims --> times, audience --> UserInfo
//! ```
//!
//! A task refreshes the keys of the provider. A token that the known keys cannot verify triggers
//! another refresh, at most once in ten seconds. Until the provider is reached for the first time,
//! the server runs but refuses its tokens.
//!
//! Not supported, unlike upstream: distributed claims, and ES512, which the library lacks.
//!
//! A token is a login to one server. It must be bound to that server (`binding`), unless the
//! administrator lists its client as unbound.
//!
//! Invariants: no claim is trusted before the signature is verified; the algorithm is one that the
//! administrator allowed, and matches the type of the key; a name or a group that begins with
//! `system:` is refused.

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
