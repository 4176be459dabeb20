//! The front proxy: kube-apiserver forwards a request and names its user in headers.
//!
//! The headers are valid if and only if the client certificate of the request chains to the front
//! proxy's CA, is for clients, is within its validity and has an allowed name. They are never
//! trusted from another client. The first row that matches applies:
//!
//! | client certificate | result |
//! |---|---|
//! | none | abstains |
//! | untrusted, expired, for servers only, or of another name | fails |
//! | the front proxy's, in a request for an upgrade | fails |
//! | the front proxy's, with a header that is not UTF-8 | fails |
//! | the front proxy's, without a user in the headers | abstains |
//! | the front proxy's | the user in the headers, without any part of the certificate |
//!
//! The whole configuration is one [`RequestHeaderConfig`], which is replaced as a whole while
//! requests are served: a request uses the old or the new one, never a mixture.
//!
//! A request for an upgrade arrives by HTTP/1.1, which removes blanks at the ends of a header's
//! value: the user `" system:admin"` of the host would be `system:admin` here. kube-aggregator uses
//! HTTP/2 for everything else. HTTP/2 keeps the blanks, so that they are detected and rejected
//! ([`crate::identity`]).
//!
//! Follows `k8s.io/apiserver/pkg/authentication/request/headerrequest`, which accepts bytes that
//! are not UTF-8 unchanged.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use machinery::time::Clock;
use rustls::DistinguishedName;
use rustls::pki_types::{CertificateDer, UnixTime};

use crate::authenticator::{Authentication, Authenticator, Credentials, FailureReason};
use crate::client_certificate::{BundleError, ClientCertificateVerifier, unix_time};
use crate::extra_key;
use crate::login::Login;
use crate::request_headers::RequestHeaders;
use crate::user::UserInfo;

/// The trusted certificates of front proxies, and the headers that name the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeaderConfig {
    /// The certificate authorities that sign front proxies.
    pub client_ca: Vec<CertificateDer<'static>>,
    /// The common names that a front proxy may have. Empty for any.
    pub allowed_names: Vec<String>,
    /// The headers of the user's name. The first one with a value is used.
    pub username_headers: Vec<String>,
    /// The headers of the user's uid. The first one with a value is used.
    pub uid_headers: Vec<String>,
    /// The headers of the user's groups. All values are used.
    pub group_headers: Vec<String>,
    /// The prefixes of headers that carry extra. The rest of the name is the key.
    pub extra_header_prefixes: Vec<String>,
}

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RequestHeaderConfigError {
    /// No certificate authority is trusted, so no front proxy could ever be recognised.
    #[error("no CA is configured for the front proxy")]
    NoAuthority,
    /// No header names the user, so no front proxy could ever name a caller.
    #[error("no header is configured for the user name")]
    NoUsernameHeader,
    /// No header can have, or begin with, this name.
    #[error("invalid header name {0:?}")]
    HeaderName(String),
    /// The CA bundle cannot be used.
    #[error("the CA of the front proxy cannot be used")]
    Bundle(#[from] BundleError),
}

/// Authenticates users by the headers of a front proxy.
pub struct FrontProxy {
    trusted: ArcSwap<Trusted>,
    clock: Arc<dyn Clock>,
}

struct Trusted {
    config: RequestHeaderConfig,
    verifier: ClientCertificateVerifier,
}

impl FrontProxy {
    /// Creates an authenticator with this configuration, at the time of `clock`.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn new(
        config: RequestHeaderConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RequestHeaderConfigError> {
        Ok(Self {
            trusted: ArcSwap::from_pointee(Trusted::new(config)?),
            clock,
        })
    }

    /// Replaces the configuration.
    ///
    /// # Errors
    /// The configuration cannot be used. The previous one remains.
    pub fn replace(&self, config: RequestHeaderConfig) -> Result<(), RequestHeaderConfigError> {
        self.trusted.store(Arc::new(Trusted::new(config)?));
        Ok(())
    }

    /// Returns whether a client with these certificates is a front proxy.
    pub fn is_front_proxy(&self, certificates: &[CertificateDer<'static>]) -> bool {
        let trusted = self.trusted.load();
        let now = unix_time(&*self.clock);
        !certificates.is_empty() && trusted.verify(certificates, now).is_ok()
    }

    /// Returns the names of the authorities that sign front proxies, for the TLS certificate
    /// request.
    pub fn issuers(&self) -> Vec<DistinguishedName> {
        self.trusted.load().verifier.issuers()
    }
}

impl Trusted {
    fn new(config: RequestHeaderConfig) -> Result<Self, RequestHeaderConfigError> {
        if config.client_ca.is_empty() {
            return Err(RequestHeaderConfigError::NoAuthority);
        }
        if config.username_headers.is_empty() {
            return Err(RequestHeaderConfigError::NoUsernameHeader);
        }
        if let Some(name) = config.header_names().find(|name| !is_header_name(name)) {
            return Err(RequestHeaderConfigError::HeaderName(name.to_owned()));
        }
        let verifier = ClientCertificateVerifier::new(&config.client_ca)?;
        Ok(Self { config, verifier })
    }

    /// Rejects all clients that are not front proxies.
    fn verify(
        &self,
        certificates: &[CertificateDer<'static>],
        now: UnixTime,
    ) -> Result<(), FailureReason> {
        let proxy = self.verifier.verify(certificates, now)?;
        let allowed = &self.config.allowed_names;
        if allowed.is_empty() || allowed.contains(&proxy.name) {
            return Ok(());
        }
        let reason = format!("{:?} is not the name of a front proxy", proxy.name);
        Err(FailureReason::new(reason))
    }
}

impl RequestHeaderConfig {
    fn header_names(&self) -> impl Iterator<Item = &str> {
        let prefixes = self.extra_header_prefixes.iter();
        let names = self.username_headers.iter().chain(&self.uid_headers);
        let names = names.chain(&self.group_headers).chain(prefixes);
        names.map(String::as_str)
    }

    fn reads(&self, header: &str) -> bool {
        let prefixes = &self.extra_header_prefixes;
        self.header_names()
            .any(|name| name.eq_ignore_ascii_case(header))
            || prefixes
                .iter()
                .any(|prefix| key_behind(prefix, header).is_some())
    }

    /// Returns the user that the headers name, or `None` if they name none.
    fn user(&self, headers: &dyn RequestHeaders) -> Result<Option<UserInfo>, FailureReason> {
        let mut names = headers.entries().map(|(name, _)| name);
        if names.any(|name| name.eq_ignore_ascii_case("upgrade")) {
            return Err(FailureReason::new(
                "an upgrade request uses HTTP/1.1, which does not preserve white space around user names",
            ));
        }
        let sent = self.sent(headers)?;
        let name = first(&self.username_headers, &sent);
        if name.is_empty() {
            return Ok(None);
        }
        let groups = self.group_headers.iter();
        let groups = groups.flat_map(|header| values(header, &sent));
        Ok(Some(UserInfo {
            name: name.to_owned(),
            uid: first(&self.uid_headers, &sent).to_owned(),
            groups: groups
                .filter(|group| !group.is_empty())
                .map(str::to_owned)
                .collect(),
            extra: self.extra(&sent),
        }))
    }

    /// Returns the headers that describe the user.
    fn sent<'h>(&self, headers: &'h dyn RequestHeaders) -> Result<Sent<'h>, FailureReason> {
        let mut sent = Vec::new();
        for (name, value) in headers.entries() {
            if !self.reads(name) {
                continue;
            }
            let value = std::str::from_utf8(value);
            let value = value.map_err(|_| {
                FailureReason::new("a header of the front proxy is not valid UTF-8")
            })?;
            sent.push((name, value));
        }
        Ok(sent)
    }

    fn extra(&self, sent: &Sent<'_>) -> BTreeMap<String, Vec<String>> {
        let mut extra = BTreeMap::<String, Vec<String>>::new();
        for prefix in &self.extra_header_prefixes {
            for (name, value) in sent {
                if let Some(rest) = key_behind(prefix, name) {
                    let values = extra.entry(extra_key::from_header(rest)).or_default();
                    values.push((*value).to_owned());
                }
            }
        }
        extra
    }
}

/// Names and values of headers.
type Sent<'h> = Vec<(&'h str, &'h str)>;

/// Returns the first value of the first header that has one. Empty if none has.
fn first<'h>(headers: &[String], sent: &Sent<'h>) -> &'h str {
    let firsts = headers.iter();
    let mut firsts = firsts.filter_map(|header| values(header, sent).next());
    firsts.find(|value| !value.is_empty()).unwrap_or_default()
}

fn values<'h>(header: &str, sent: &Sent<'h>) -> impl Iterator<Item = &'h str> {
    sent.iter()
        .filter(move |(name, _)| name.eq_ignore_ascii_case(header))
        .map(|(_, value)| *value)
}

/// Returns the rest of a header's name after a prefix, ignoring case.
fn key_behind<'h>(prefix: &str, header: &'h str) -> Option<&'h str> {
    let (start, rest) = header.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Returns whether a name is a token (RFC 9110, section 5.6.2).
fn is_header_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

#[async_trait]
impl Authenticator for FrontProxy {
    fn name(&self) -> &'static str {
        "front proxy"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        if credentials.certificates.is_empty() {
            return Authentication::NotRequested;
        }
        let trusted = self.trusted.load();
        let verified = trusted.verify(credentials.certificates, unix_time(&*self.clock));
        match verified.and_then(|()| trusted.config.user(credentials.headers)) {
            Ok(Some(user)) => {
                let login = Login::by_host(user.credential(), self.clock.now());
                Authentication::by_login(user, login)
            }
            Ok(None) => Authentication::NotRequested,
            Err(reason) => Authentication::Failed(reason),
        }
    }

    fn reads_header(&self, name: &str) -> bool {
        self.trusted.load().config.reads(name)
    }
}

#[cfg(test)]
mod tests;
