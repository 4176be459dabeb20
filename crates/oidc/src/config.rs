//! Requirements on a provider's tokens, and their validation.

use std::collections::BTreeMap;

use http::Uri;
use jsonwebtoken::Algorithm;

/// Requirements on a provider's tokens, as given on the command line. The names are those of the
/// flags of kube-apiserver.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--oidc-issuer-url`: the `iss` of the tokens, and the base URL of the discovery document.
    pub issuer_url: String,
    /// `--oidc-client-id`: the audience of the tokens.
    pub client_id: String,
    /// `--oidc-username-claim`.
    pub username_claim: String,
    /// `--oidc-username-prefix`: `None` if the flag is not set; `-` for no prefix.
    pub username_prefix: Option<String>,
    /// `--oidc-groups-claim`; empty for no groups.
    pub groups_claim: String,
    /// `--oidc-groups-prefix`.
    pub groups_prefix: String,
    /// `--oidc-required-claim`: claims that every token must have, with their values.
    pub required_claims: BTreeMap<String, String>,
    /// `--oidc-signing-algs`.
    pub signing_algs: Vec<String>,
    /// `--oidc-unbound-client-ids`: clients whose tokens need not be bound to this server.
    pub unbound_client_ids: Vec<String>,
}

/// Validated requirements on a provider's tokens.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) username_claim: String,
    pub(crate) username_prefix: String,
    pub(crate) groups_claim: Option<String>,
    pub(crate) groups_prefix: String,
    pub(crate) required_claims: BTreeMap<String, String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) unbound_client_ids: Vec<String>,
}

/// An invalid flag.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The issuer is not a URL of the form `https://host/path`.
    #[error("--oidc-issuer-url {0:?} must be of the form https://host/path")]
    Issuer(String),
    /// The client ID is empty.
    #[error("--oidc-client-id must not be empty")]
    ClientId,
    /// An unbound client ID is empty.
    #[error("--oidc-unbound-client-ids must not contain an empty client ID")]
    UnboundClientId,
    /// The username claim is empty.
    #[error("--oidc-username-claim must not be empty")]
    UsernameClaim,
    /// The algorithm is unknown, or providers may not use it.
    #[error(
        "--oidc-signing-algs: unsupported value {0:?}: supported values: RS256, RS384, RS512, ES256, ES384, PS256, PS384, PS512"
    )]
    Algorithm(String),
}

impl Config {
    /// Validates the options of the command line.
    ///
    /// # Errors
    /// A flag is invalid.
    pub fn new(options: Options) -> Result<Self, ConfigError> {
        if !is_issuer(&options.issuer_url) {
            return Err(ConfigError::Issuer(options.issuer_url));
        }
        if options.client_id.is_empty() {
            return Err(ConfigError::ClientId);
        }
        if options.unbound_client_ids.iter().any(String::is_empty) {
            return Err(ConfigError::UnboundClientId);
        }
        if options.username_claim.is_empty() {
            return Err(ConfigError::UsernameClaim);
        }
        let algorithms = options.signing_algs.iter().map(|name| algorithm(name));
        Ok(Self {
            algorithms: algorithms.collect::<Result<_, _>>()?,
            username_prefix: username_prefix(&options),
            issuer: options.issuer_url,
            client_id: options.client_id,
            username_claim: options.username_claim,
            groups_claim: Some(options.groups_claim).filter(|claim| !claim.is_empty()),
            groups_prefix: options.groups_prefix,
            required_claims: options.required_claims,
            unbound_client_ids: options.unbound_client_ids,
        })
    }

    /// Returns the `iss` of the provider's tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the audience of the tokens.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns whether tokens of [`Self::client_id`] need not be bound to this server.
    #[must_use]
    pub fn accepts_unbound(&self) -> bool {
        self.unbound_client_ids.contains(&self.client_id)
    }

    /// Returns the scopes that a client must request to get the required claims (OpenID Connect
    /// Core, section 5.4). The `groups` scope is a common convention, not part of that standard.
    #[must_use]
    pub fn scopes(&self) -> Vec<String> {
        let scope = match self.username_claim.as_str() {
            "sub" => None,
            "email" => Some("email"),
            _ => Some("profile"),
        };
        let groups = self.groups_claim.as_ref().map(|_| "groups");
        let scopes = ["openid"].into_iter().chain(scope).chain(groups);
        scopes.map(str::to_owned).collect()
    }
}

/// Returns the prefix of user names. As in Kubernetes, the default is the issuer URL and `#`, so
/// that names of different providers do not collide. Only e-mail addresses have no prefix by
/// default.
fn username_prefix(options: &Options) -> String {
    match options.username_prefix.as_deref() {
        None | Some("") if options.username_claim == "email" => String::new(),
        None | Some("") => format!("{}#", options.issuer_url),
        Some("-") => String::new(),
        Some(prefix) => prefix.to_owned(),
    }
}

/// Returns whether a URL is a valid issuer: scheme https, a host and a path, and nothing else
/// (OpenID Connect Core, section 2).
fn is_issuer(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    let is_bare = uri.query().is_none() && !url.contains(['#', '@']);
    uri.scheme_str() == Some("https") && has_host && is_bare
}

fn algorithm(name: &str) -> Result<Algorithm, ConfigError> {
    Ok(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        other => return Err(ConfigError::Algorithm(other.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn a_flag_that_makes_no_sense_is_named() {
        let config = |change: fn(&mut Options)| {
            let mut options = fixtures::options();
            change(&mut options);
            Config::new(options).err()
        };
        assert_eq!(config(|_| ()), None);
        for issuer in [
            "",
            "idp",
            "http://idp",
            "https://",
            "https://a?b",
            "https://a@b",
            "https://a#b",
        ] {
            let mut options = fixtures::options();
            options.issuer_url = issuer.to_owned();
            let error = Config::new(options).unwrap_err();
            assert_eq!(error, ConfigError::Issuer(issuer.to_owned()));
        }
        let error = config(|options| options.client_id.clear());
        assert_eq!(error, Some(ConfigError::ClientId));
        let error = config(|options| options.unbound_client_ids.push(String::new()));
        assert_eq!(error, Some(ConfigError::UnboundClientId));
        let error = config(|options| options.username_claim.clear());
        assert_eq!(error, Some(ConfigError::UsernameClaim));
        for algorithm in ["none", "HS256", "ES512", "EdDSA", "rs256", ""] {
            let mut options = fixtures::options();
            options.signing_algs = vec!["RS256".to_owned(), algorithm.to_owned()];
            let error = Config::new(options).unwrap_err();
            assert_eq!(error, ConfigError::Algorithm(algorithm.to_owned()));
        }
    }

    #[test]
    fn names_carry_the_issuer_unless_said_otherwise() {
        for (claim, prefix, expected) in [
            ("sub", None, "https://idp.example.com#"),
            ("sub", Some(""), "https://idp.example.com#"),
            ("sub", Some("-"), ""),
            ("sub", Some("oidc:"), "oidc:"),
            ("email", None, ""),
            ("email", Some("oidc:"), "oidc:"),
        ] {
            let config = Config::new(Options {
                username_claim: claim.to_owned(),
                username_prefix: prefix.map(str::to_owned),
                ..fixtures::options()
            });
            assert_eq!(
                config.unwrap().username_prefix,
                expected,
                "{claim} {prefix:?}"
            );
        }
    }

    #[test]
    fn the_scopes_give_the_claims() {
        for (name, groups, expected) in [
            ("sub", "", "openid"),
            ("email", "", "openid email"),
            ("preferred_username", "teams", "openid profile groups"),
        ] {
            let config = Config::new(Options {
                username_claim: name.to_owned(),
                groups_claim: groups.to_owned(),
                ..fixtures::options()
            });
            assert_eq!(config.unwrap().scopes().join(" "), expected);
        }
    }
}
