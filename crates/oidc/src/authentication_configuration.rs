//! The file of `--authentication-config`: `AuthenticationConfiguration` of `apiserver.config.k8s.io`,
//! with the fields, rules and error texts of kube-apiserver 1.36 (`pkg/apis/apiserver/validation`).
//!
//! Differences: the fields `anonymous` and `egressSelectorType` are refused, an issuer needs a host,
//! keys of extra values may not be of this product, and expressions are those of
//! [`crate::expression`].

mod fields;
mod mappings;

use std::collections::HashSet;

use certificates::roots;
use http::Uri;
use machinery::field::{self, Error, ErrorList, Path};

use crate::config::{ALGORITHMS, Config};
use crate::expression::Compiler;

use fields::{Document, Issuer, JwtAuthenticator};
use mappings::Checked;

/// Maximum number of issuers, as in kube-apiserver.
const MAX_ISSUERS: usize = 64;

/// The versions of the file, which have the same fields.
const VERSIONS: [&str; 2] = [
    "apiserver.config.k8s.io/v1",
    "apiserver.config.k8s.io/v1beta1",
];

const KIND: &str = "AuthenticationConfiguration";

/// The only policy for several audiences.
const MATCH_ANY: &str = "MatchAny";

/// The circumstances of a server that the file does not have.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The audiences whose tokens need not be bound to this server.
    pub unbound: Vec<String>,
    /// The issuers whose tokens are never logins, such as this server.
    pub disallowed_issuers: Vec<String>,
}

/// The issuers of a valid file.
#[derive(Clone, Debug)]
pub struct AuthenticationConfiguration {
    issuers: Vec<Config>,
}

/// An invalid file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfiguration {
    /// The file is not YAML, or has other fields.
    #[error("not an {KIND}: {0}")]
    Form(String),
    /// Values are invalid.
    #[error("{}", field::aggregate(.0))]
    Fields(ErrorList),
}

impl AuthenticationConfiguration {
    /// Reads a file in YAML or JSON.
    ///
    /// # Errors
    /// The file has unknown fields or invalid values.
    pub fn parse(text: &str, surroundings: &Surroundings) -> Result<Self, InvalidConfiguration> {
        let document: Document = serde_saphyr::from_str(text).map_err(|error| {
            let text = error.to_string();
            InvalidConfiguration::Form(text.lines().next().unwrap_or_default().to_owned())
        })?;
        let mut errors = check_type(&document);
        if document.anonymous.is_some() {
            let why = "is not supported: anonymous callers reach only the health checks and the public documents";
            errors.push(Error::forbidden(&Path::root("anonymous"), why));
        }
        let root = Path::root("jwt");
        if document.jwt.len() > MAX_ISSUERS {
            errors.push(Error::too_many(&root, document.jwt.len(), MAX_ISSUERS));
            return Err(InvalidConfiguration::Fields(errors));
        }
        let mut reader = Reader {
            compiler: Compiler::new(),
            surroundings,
            errors,
        };
        let issuers = reader.issuers(document.jwt, &root);
        match reader.errors.is_empty() {
            true => Ok(Self { issuers }),
            false => Err(InvalidConfiguration::Fields(reader.errors)),
        }
    }

    /// Returns the issuers.
    #[must_use]
    pub fn into_issuers(self) -> Vec<Config> {
        self.issuers
    }
}

/// Checks the parts of a file and collects their errors.
struct Reader<'a> {
    compiler: Compiler,
    surroundings: &'a Surroundings,
    errors: ErrorList,
}

impl Reader<'_> {
    fn issuers(&mut self, all: Vec<JwtAuthenticator>, root: &Path) -> Vec<Config> {
        let (mut urls, mut discoveries) = (HashSet::new(), HashSet::new());
        let mut issuers = Vec::new();
        for (index, authenticator) in all.into_iter().enumerate() {
            let path = root.index(index);
            let (issuer, at) = (authenticator.issuer.clone(), path.child("issuer"));
            issuers.extend(self.authenticator(authenticator, &path));
            if !urls.insert(issuer.url.clone()) {
                let error = Error::duplicate(&at.child("url"), issuer.url);
                self.errors.push(error);
            }
            if !issuer.discovery_url.is_empty() && !discoveries.insert(issuer.discovery_url.clone())
            {
                let error = Error::duplicate(&at.child("discoveryURL"), issuer.discovery_url);
                self.errors.push(error);
            }
        }
        issuers
    }

    fn authenticator(&mut self, given: JwtAuthenticator, path: &Path) -> Option<Config> {
        self.issuer(&given.issuer, &path.child("issuer"));
        let checked = Checked::of(&self.compiler, &given, path);
        let checked = checked.map_err(|errors| self.errors.extend(errors)).ok()?;
        let unbound = self.surroundings.unbound.iter();
        let unbound = unbound.filter(|audience| given.issuer.audiences.contains(audience));
        Some(Config {
            issuer: given.issuer.url,
            discovery_url: Some(given.issuer.discovery_url).filter(|url| !url.is_empty()),
            certificate_authority: Some(given.issuer.certificate_authority)
                .filter(|pem| !pem.is_empty()),
            unbound: unbound.cloned().collect(),
            audiences: given.issuer.audiences,
            algorithms: ALGORITHMS.to_vec(),
            username: checked.username,
            groups: checked.groups,
            uid: checked.uid,
            extra: checked.extra,
            required_claims: checked.required_claims,
            claim_rules: checked.claim_rules,
            user_rules: checked.user_rules,
        })
    }

    fn issuer(&mut self, issuer: &Issuer, path: &Path) {
        self.issuer_url(&issuer.url, &path.child("url"));
        if !issuer.discovery_url.is_empty() {
            let at = path.child("discoveryURL");
            let (url, discovery) = (&issuer.url, &issuer.discovery_url);
            if !url.is_empty() && url.trim_end_matches('/') == discovery.trim_end_matches('/') {
                let why = "discoveryURL must be different from URL";
                self.errors.push(Error::invalid(&at, discovery, why));
            }
            self.errors.extend(check_url(discovery, &at));
        }
        self.audiences(issuer, path);
        let authority = &issuer.certificate_authority;
        if !authority.is_empty()
            && let Err(error) = roots::from_pem(authority.as_bytes())
        {
            let at = path.child("certificateAuthority");
            let error = Error::invalid(&at, "<omitted>", error.to_string());
            self.errors.push(error);
        }
        if !issuer.egress_selector_type.is_empty() {
            let why =
                "is not supported: set HTTPS_PROXY and NO_PROXY in the environment of the server";
            let at = path.child("egressSelectorType");
            self.errors.push(Error::forbidden(&at, why));
        }
    }

    fn issuer_url(&mut self, url: &str, path: &Path) {
        if url.is_empty() {
            self.errors.push(Error::required(path, ""));
            return;
        }
        let disallowed = &self.surroundings.disallowed_issuers;
        if disallowed.iter().any(|issuer| issuer == url) {
            let all = disallowed.join(" ");
            let why = format!("URL must not overlap with disallowed issuers: [{all}]");
            self.errors.push(Error::invalid(path, url, why));
        }
        self.errors.extend(check_url(url, path));
    }

    fn audiences(&mut self, issuer: &Issuer, path: &Path) {
        let at = path.child("audiences");
        let all = &issuer.audiences;
        if all.is_empty() {
            let why = format!("at least one {at} is required");
            self.errors.push(Error::required(&at, why));
            return;
        }
        let mut seen = HashSet::new();
        for (index, audience) in all.iter().enumerate() {
            if audience.is_empty() {
                self.errors.push(Error::required(&at.index(index), ""));
            }
            if !seen.insert(audience) {
                let error = Error::duplicate(&at.index(index), audience);
                self.errors.push(error);
            }
        }
        let policy = issuer.audience_match_policy.as_str();
        let why = match policy {
            MATCH_ANY => return,
            _ if all.len() > 1 => "audienceMatchPolicy must be MatchAny for multiple audiences",
            "" => return,
            _ => "audienceMatchPolicy must be empty or MatchAny for single audience",
        };
        let at = path.child("audienceMatchPolicy");
        self.errors.push(Error::invalid(&at, policy, why));
    }
}

fn check_type(document: &Document) -> ErrorList {
    let mut errors = Vec::new();
    let version = document.api_version.as_str();
    if !VERSIONS.contains(&version) {
        let path = Path::root("apiVersion");
        errors.push(Error::not_supported(&path, version, &VERSIONS));
    }
    let kind = document.kind.as_str();
    if kind != KIND {
        errors.push(Error::not_supported(&Path::root("kind"), kind, &[KIND]));
    }
    errors
}

fn check_url(url: &str, path: &Path) -> ErrorList {
    let (address, fragment) = url.split_once('#').unwrap_or((url, ""));
    let uri = match address.parse::<Uri>() {
        Ok(uri) => uri,
        Err(error) => return vec![Error::invalid(path, url, error.to_string())],
    };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let faults = [
        (
            uri.scheme_str() != Some("https"),
            "URL scheme must be https",
        ),
        (
            authority.contains('@'),
            "URL must not contain a username or password",
        ),
        (
            uri.query().is_some_and(|query| !query.is_empty()),
            "URL must not contain a query",
        ),
        (!fragment.is_empty(), "URL must not contain a fragment"),
        (
            uri.host().is_none_or(str::is_empty),
            "URL must contain a host",
        ),
    ];
    let faults = faults.into_iter().filter(|(is_fault, _)| *is_fault);
    faults
        .map(|(_, why)| Error::invalid(path, url, why))
        .collect()
}

#[cfg(test)]
mod tests;
