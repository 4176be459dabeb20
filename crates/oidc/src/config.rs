//! Requirements on a provider's tokens, and their validation.

use std::collections::BTreeMap;

use http::Uri;
use jsonwebtoken::Algorithm;

use crate::expression::Expression;

/// The algorithms that providers may use: those of kube-apiserver without ES512, which the library
/// lacks.
pub(crate) const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// Requirements on a provider's tokens, as given on the command line. The names are those of the
/// flags of kube-apiserver.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--oidc-issuer-url`: the `iss` of the tokens, and the base URL of the discovery document.
    pub issuer_url: String,
    /// `--oidc-client-id`: the audience of the tokens.
    pub client_id: String,
    /// The content of `--oidc-ca-file`; `None` for the authorities of the machine.
    pub certificate_authority: Option<String>,
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

/// A checked issuer: the requirements on its tokens, and the mapping of their claims to users. It is
/// built from the flags ([`Config::new`]) or from a file ([`crate::AuthenticationConfiguration`]).
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) issuer: String,
    /// The address of the discovery document; `None` for the one below the issuer.
    pub(crate) discovery_url: Option<String>,
    /// PEM; `None` for the authorities of the machine.
    pub(crate) certificate_authority: Option<String>,
    /// The accepted audiences, at least one.
    pub(crate) audiences: Vec<String>,
    /// The audiences whose tokens need not be bound to this server.
    pub(crate) unbound: Vec<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) username: Mapping,
    pub(crate) groups: Option<Mapping>,
    pub(crate) uid: Option<Mapping>,
    pub(crate) extra: Vec<ExtraMapping>,
    pub(crate) required_claims: BTreeMap<String, String>,
    pub(crate) claim_rules: Vec<Rule>,
    pub(crate) user_rules: Vec<Rule>,
}

/// The source of a part of a user.
#[derive(Clone, Debug)]
pub(crate) enum Mapping {
    /// The value of a claim, after a prefix.
    Claim {
        /// The name of the claim.
        claim: String,
        /// The prefix; may be empty.
        prefix: String,
    },
    /// The result of an expression over the claims.
    Expression(Expression),
}

/// An extra value of users.
#[derive(Clone, Debug)]
pub(crate) struct ExtraMapping {
    pub(crate) key: String,
    pub(crate) value: Expression,
}

/// A condition that tokens or users must meet.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) expression: Expression,
    /// The message of the administrator for the log; may be empty.
    pub(crate) message: String,
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
        let algorithms = algorithms.collect::<Result<_, _>>()?;
        let prefix = username_prefix(&options);
        let clients = std::iter::once(options.client_id).chain(options.unbound_client_ids.clone());
        let groups = Mapping::Claim {
            claim: options.groups_claim.clone(),
            prefix: options.groups_prefix,
        };
        Ok(Self {
            issuer: options.issuer_url,
            discovery_url: None,
            certificate_authority: options.certificate_authority,
            audiences: clients.collect(),
            unbound: options.unbound_client_ids,
            algorithms,
            username: Mapping::Claim {
                claim: options.username_claim,
                prefix,
            },
            groups: (!options.groups_claim.is_empty()).then_some(groups),
            uid: None,
            extra: Vec::new(),
            required_claims: options.required_claims,
            claim_rules: Vec::new(),
            user_rules: Vec::new(),
        })
    }

    /// Returns the `iss` of the provider's tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the accepted audiences. With flags, the first one is the client of the plugin.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Returns whether tokens for this audience need not be bound to this server.
    #[must_use]
    pub fn accepts_unbound(&self, audience: &str) -> bool {
        self.unbound.iter().any(|unbound| unbound == audience)
    }

    /// Returns whether another configuration has the same provider, at the same address.
    pub(crate) fn has_provider_of(&self, other: &Self) -> bool {
        self.issuer == other.issuer
            && self.discovery_url == other.discovery_url
            && self.certificate_authority == other.certificate_authority
    }

    /// Returns the certificate authorities of the provider, PEM; `None` for those of the machine.
    #[must_use]
    pub fn certificate_authority(&self) -> Option<&str> {
        self.certificate_authority.as_deref()
    }

    /// Returns the scopes that a client must request to get the required claims (OpenID Connect
    /// Core, section 5.4). The `groups` scope is a common convention, not part of that standard.
    #[must_use]
    pub fn scopes(&self) -> Vec<String> {
        let scope = match &self.username {
            Mapping::Claim { claim, .. } if claim == "sub" => None,
            Mapping::Claim { claim, .. } if claim == "email" => Some("email"),
            Mapping::Claim { .. } | Mapping::Expression(_) => Some("profile"),
        };
        let groups = self.groups.as_ref().map(|_| "groups");
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
    let algorithm = name.parse().ok();
    let algorithm = algorithm.filter(|algorithm| ALGORITHMS.contains(algorithm));
    algorithm.ok_or_else(|| ConfigError::Algorithm(name.to_owned()))
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
            let Mapping::Claim { prefix, .. } = config.unwrap().username else {
                panic!("flags have no expressions");
            };
            assert_eq!(prefix, expected, "{claim}");
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
