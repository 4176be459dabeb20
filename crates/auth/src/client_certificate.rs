//! Client certificates: the subject of a verified certificate is the user.
//!
//! TLS only requests a certificate and proves that the client holds its key. This module decides
//! for every request whether the certificate is trusted. So a client with an untrusted certificate
//! can still use a token, and a new CA bundle takes effect at once without closing connections.
//!
//! | subject | user |
//! |---|---|
//! | `CN` (the last one) | name; a certificate without it is invalid |
//! | `O` (all of them) | groups |
//! | `1.3.6.1.4.1.57683.2` (at most one) | uid |
//!
//! `authentication.kubernetes.io/credential-id` in extra identifies the certificate.
//!
//! A presented certificate that does not verify is a failure. That is also the case with an empty
//! CA bundle, for which kube-apiserver would ignore the certificate. Revocation lists are not
//! consulted.
//!
//! Follows `k8s.io/apiserver/pkg/authentication/request/x509`.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use aws_lc_rs::digest;
use certificates::roots::{self, InvalidRoots};
use jiff::Timestamp;
use machinery::time::Clock;
use rustls::DistinguishedName;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authenticator::{Authentication, Authenticator, Credentials, FailureReason};
use crate::login::Login;
use crate::user::UserInfo;

pub use certificates::roots::bundle_from_pem;

use verdicts::{Fingerprint, Verdict, Verdicts};

mod subject;
mod verdicts;

/// The certificate authorities whose client certificates are trusted. They can be replaced while
/// requests are served.
pub struct ClientCertificateVerifier {
    trust: ArcSwapOption<Trust>,
}

/// A CA bundle and the verdicts that it has produced. A change of the bundle replaces both.
struct Trust {
    verifier: Arc<dyn ClientCertVerifier>,
    verdicts: Verdicts,
}

/// A CA bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The bundle is empty, or a certificate cannot be used as a trust anchor.
    #[error(transparent)]
    Roots(#[from] InvalidRoots),
    /// The TLS library does not accept the bundle.
    #[error("the CA bundle cannot be used")]
    Verifier(#[source] VerifierBuilderError),
}

/// Returns whether two bundles have a trusted key in common, even if under different certificates.
///
/// # Errors
/// One of the certificates cannot be used as a trust anchor.
pub fn share_an_authority(
    one: &[CertificateDer<'static>],
    other: &[CertificateDer<'static>],
) -> Result<bool, BundleError> {
    let (one, other) = (anchors(one)?, anchors(other)?);
    Ok(one.iter().any(|ours| {
        let mut theirs = other.iter();
        theirs.any(|theirs| ours.subject_public_key_info == theirs.subject_public_key_info)
    }))
}

impl ClientCertificateVerifier {
    /// Creates a verifier that trusts these authorities. Without any, every certificate is
    /// rejected.
    ///
    /// # Errors
    /// One of the certificates cannot be used as a trust anchor.
    pub fn new(bundle: &[CertificateDer<'static>]) -> Result<Self, BundleError> {
        let trust = Trust::new(bundle)?.map(Arc::new);
        Ok(Self {
            trust: ArcSwapOption::new(trust),
        })
    }

    /// Replaces the trusted authorities.
    ///
    /// # Errors
    /// One of the certificates cannot be used as a trust anchor. The previous bundle remains.
    pub fn replace(&self, bundle: &[CertificateDer<'static>]) -> Result<(), BundleError> {
        self.trust.store(Trust::new(bundle)?.map(Arc::new));
        Ok(())
    }

    /// Returns the names of the authorities, for the TLS certificate request.
    pub fn issuers(&self) -> Vec<DistinguishedName> {
        let trust = self.trust.load();
        let names = trust
            .as_ref()
            .map(|trust| trust.verifier.root_hint_subjects());
        names.unwrap_or_default().to_vec()
    }

    /// Verifies a chain (leaf first) at `now`, and returns the user that it proves. Checks the
    /// signatures, the validity and the extended key usage, which must include `clientAuth` or be
    /// absent.
    ///
    /// # Errors
    /// The chain is empty or invalid.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'static>],
        now: UnixTime,
    ) -> Result<UserInfo, FailureReason> {
        self.verdict(chain, now).map(|verdict| verdict.user)
    }

    fn verdict(
        &self,
        chain: &[CertificateDer<'static>],
        now: UnixTime,
    ) -> Result<Verdict, FailureReason> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err(FailureReason::new("no certificate was presented"));
        };
        let Some(trust) = &*self.trust.load() else {
            return Err(FailureReason::new("no certificate authority is trusted"));
        };
        let fingerprint = fingerprint(leaf);
        if let Some(verdict) = trust.verdicts.get(&fingerprint, now) {
            return Ok(verdict);
        }
        trust
            .verifier
            .verify_client_cert(leaf, intermediates, now)
            .map_err(|error| FailureReason::new(error.to_string()))?;
        let verdict = Verdict {
            user: subject::user_of(leaf, &fingerprint)?,
            issued_secs: *common_validity(std::slice::from_ref(leaf)).start(),
            valid_secs: common_validity(chain),
        };
        trust.verdicts.insert(fingerprint, verdict.clone());
        Ok(verdict)
    }
}

impl Trust {
    fn new(bundle: &[CertificateDer<'static>]) -> Result<Option<Self>, BundleError> {
        if bundle.is_empty() {
            return Ok(None);
        }
        let roots = Arc::new(roots::from_bundle(bundle.iter().cloned())?);
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(BundleError::Verifier)?;
        Ok(Some(Self {
            verifier,
            verdicts: Verdicts::default(),
        }))
    }
}

/// Returns the trust anchors of a bundle, which may be empty.
fn anchors(bundle: &[CertificateDer<'static>]) -> Result<Vec<TrustAnchor<'static>>, InvalidRoots> {
    match roots::from_bundle(bundle.iter().cloned()) {
        Ok(store) => Ok(store.roots),
        Err(InvalidRoots::Empty) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Authenticates requests by their client certificate.
pub struct ClientCertificate {
    verifier: Arc<ClientCertificateVerifier>,
    clock: Arc<dyn Clock>,
}

impl ClientCertificate {
    /// Creates an authenticator that verifies with `verifier`, at the time of `clock`.
    pub fn new(verifier: Arc<ClientCertificateVerifier>, clock: Arc<dyn Clock>) -> Self {
        Self { verifier, clock }
    }
}

#[async_trait]
impl Authenticator for ClientCertificate {
    fn name(&self) -> &'static str {
        "client certificate"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        if credentials.certificates.is_empty() {
            return Authentication::NotRequested;
        }
        let now = unix_time(&*self.clock);
        match self.verifier.verdict(credentials.certificates, now) {
            Ok(verdict) => {
                let issued = Timestamp::from_second(verdict.issued_secs).unwrap_or(Timestamp::MIN);
                Authentication::by_login(verdict.user, Login::by_certificate(issued))
            }
            Err(reason) => Authentication::Failed(reason),
        }
    }
}

impl fmt::Debug for ClientCertificateVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificateVerifier")
            .field("trusts_anybody", &self.trust.load().is_some())
            .finish()
    }
}

/// Returns the time of a clock, for the verification of certificates.
pub(crate) fn unix_time(clock: &dyn Clock) -> UnixTime {
    let secs = u64::try_from(clock.now().as_second()).unwrap_or_default();
    UnixTime::since_unix_epoch(Duration::from_secs(secs))
}

fn fingerprint(leaf: &CertificateDer<'_>) -> Fingerprint {
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(digest::digest(&digest::SHA256, leaf).as_ref());
    fingerprint
}

/// Returns the seconds since 1970 at which every certificate of the chain is valid, including those
/// that verification did not need. Outside of this range, a cached verdict is not used.
fn common_validity(chain: &[CertificateDer<'_>]) -> RangeInclusive<i64> {
    let mut common = i64::MIN..=i64::MAX;
    for certificate in chain {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
            continue;
        };
        let validity = certificate.validity();
        let start = validity.not_before.timestamp().max(*common.start());
        let end = validity.not_after.timestamp().min(*common.end());
        common = start..=end;
    }
    common
}

#[cfg(test)]
mod tests;
