//! Authentication by ID tokens of OpenID Connect providers.
//!
//! The counterpart of `k8s.io/apiserver/plugin/pkg/authenticator/token/oidc`. The issuers come from
//! the flags (one issuer, and claims for the name and the groups) or from a file
//! (`AuthenticationConfiguration`), which can map claims by expressions in CEL. Both become a
//! [`Config`] for each issuer.
//!
//! ```text
//! provider --HTTPS--> Keys (refreshed) ┐
//! bearer --> iss --> Issuer, IdToken ──┴─> signature --> Claims --> times, audience
//!                                              --> mappings --> rules --> UserInfo
//! ```
//!
//! A task refreshes the keys of the providers. A token that the known keys cannot verify triggers
//! another refresh, at most once in ten seconds. Until a provider is reached for the first time, the
//! server runs but refuses its tokens.
//!
//! Not supported, unlike upstream: distributed claims, whose tokens are refused if the groups depend
//! on them, and ES512, which the library lacks.
//!
//! A token is a login to one server. It must be bound to that server (`binding`), unless its
//! audience is the URL of the server, or the administrator lists its audience as unbound.
//!
//! Invariants: no claim is trusted before the signature is verified; the algorithm is one that the
//! administrator allowed, and matches the type of the key; a name or a group that begins with
//! `system:` is refused; an expression without a result refuses the token.

mod authentication_configuration;
mod authenticator;
mod binding;
mod claims;
mod config;
mod expression;
mod fetch;
mod id_token;
mod issuers;
mod key_set;
mod provider;

pub use authentication_configuration::{
    AuthenticationConfiguration, InvalidConfiguration, Surroundings,
};
pub use authenticator::OidcAuthenticator;
pub use binding::OwnUrl;
pub use config::{Config, ConfigError, Options};
pub use fetch::FetchError;
pub use issuers::{Issuers, Network};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod fuzz;
