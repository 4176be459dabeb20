//! Certificate authorities as the trust anchors of rustls.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

/// A fault of certificate authorities that are to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRoots {
    /// The text is not PEM.
    #[error("the CA bundle is not valid PEM")]
    Pem(#[source] pem::Error),
    /// There is no certificate.
    #[error("the CA bundle contains no certificate")]
    Empty,
    /// A certificate cannot be used as a trust anchor.
    #[error("the CA bundle contains an invalid certificate")]
    Certificate(#[source] rustls::Error),
}

/// Parses all certificates of a PEM text, in order. They can still be unusable as trust anchors.
///
/// # Errors
/// The text is not PEM or holds no certificate. A damaged file must not be read as an empty bundle.
pub fn bundle_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidRoots> {
    let bundle: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let bundle = bundle.map_err(InvalidRoots::Pem)?;
    match bundle.is_empty() {
        true => Err(InvalidRoots::Empty),
        false => Ok(bundle),
    }
}

/// Returns a store of all certificates of a PEM text.
///
/// # Errors
/// The text is not PEM, holds no certificate, or holds one that cannot be used.
pub fn from_pem(pem: &[u8]) -> Result<RootCertStore, InvalidRoots> {
    from_bundle(bundle_from_pem(pem)?)
}

/// Returns a store of these certificates.
///
/// # Errors
/// There is no certificate, or one of them cannot be used.
pub fn from_bundle(
    bundle: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<RootCertStore, InvalidRoots> {
    let mut roots = RootCertStore::empty();
    for certificate in bundle {
        roots.add(certificate).map_err(InvalidRoots::Certificate)?;
    }
    match roots.is_empty() {
        true => Err(InvalidRoots::Empty),
        false => Ok(roots),
    }
}

/// Returns a store of the usable ones of the certificates that a machine trusts. A machine may
/// trust certificates that rustls does not support.
pub fn usable(bundle: impl IntoIterator<Item = CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(bundle);
    roots
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::{Authority, Validity};

    const GARBAGE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    fn authority() -> String {
        let validity = Validity::starting(Timestamp::UNIX_EPOCH, SignedDuration::from_hours(24));
        let authority = Authority::create("ca", validity).unwrap();
        authority.certificate_pem().to_owned()
    }

    /// Checks the number of trust anchors, or the text of the error.
    #[track_caller]
    fn check(pem: &str, expected: Result<usize, &str>) {
        let found = from_pem(pem.as_bytes());
        let found = found.map(|roots| roots.len()).map_err(|it| it.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{pem}");
    }

    #[test]
    fn every_certificate_of_a_text_is_trusted() {
        let [one, other] = [authority(), authority()];
        check(&one, Ok(1));
        check(&format!("# two\n{one}\n{other}"), Ok(2));
    }

    #[test]
    fn a_text_that_is_not_a_bundle_is_rejected() {
        let empty = Err("the CA bundle contains no certificate");
        check("", empty);
        check("hello", empty);
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        check(cut, Err("the CA bundle is not valid PEM"));
        let invalid = Err("the CA bundle contains an invalid certificate");
        check(GARBAGE, invalid);
        check(&format!("{}{GARBAGE}", authority()), invalid);
    }

    #[test]
    fn an_empty_bundle_is_rejected() {
        let errors = [
            from_bundle([]).unwrap_err(),
            bundle_from_pem(b"hello").unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.to_string(), "the CA bundle contains no certificate");
        }
    }

    #[test]
    fn unusable_certificates_of_a_machine_are_left_out() {
        let pem = format!("{GARBAGE}{}", authority());
        let bundle = bundle_from_pem(pem.as_bytes()).unwrap();
        assert_eq!(usable(bundle).len(), 1);
    }
}
