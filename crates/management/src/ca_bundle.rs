//! Certificate authorities that administrators and editors of clusters configure, and that are
//! written into users' files.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::parse_x509_certificate;

/// Maximum size of a bundle, in bytes. A bundle of all public authorities has some 230 KB, and
/// every file of every user may contain it.
const MAX_BYTES: usize = 256 * 1024;

/// Base64 characters in a line of PEM (RFC 7468, section 2).
const LINE: usize = 64;

const BEGIN: &str = "-----BEGIN ";
const CERTIFICATE: &str = "CERTIFICATE-----";

/// X.509 certificates in PEM. Text between the certificates is dropped. A bundle may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaBundle {
    pem: Arc<str>,
}

/// The details by which a reader can identify a certificate of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The distinguished name. The owner of the certificate chose it, so it may contain any
    /// character.
    pub subject: String,
    /// The SHA-256 of the DER, formatted as by `openssl x509 -fingerprint -sha256`.
    pub fingerprint: String,
}

/// The reason why a text is not a bundle. The messages do not show the value, which may contain a
/// private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBundle {
    /// The text is not base64.
    #[error("must be base64 of PEM-encoded X.509 certificates")]
    NotBase64,
    /// The text has no certificate, or a part that is not a certificate.
    #[error("must contain only PEM-encoded X.509 certificates")]
    NotCertificates,
    /// The text contains a private key.
    #[error(
        "must contain only certificates, but contains a private key, which every user would get"
    )]
    PrivateKey,
    /// The text is too long.
    #[error("must have at most 256 KiB")]
    TooLong,
}

impl CaBundle {
    /// Parses PEM. Comments and line ends of any kind are allowed. An empty text is an empty
    /// bundle.
    ///
    /// # Errors
    /// The text has no certificate, has a part that is not a certificate, contains a private key,
    /// or is too long.
    pub fn from_pem(text: &str) -> Result<Self, InvalidBundle> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > MAX_BYTES {
            return Err(InvalidBundle::TooLong);
        }
        if text.to_ascii_uppercase().contains("PRIVATE KEY") {
            return Err(InvalidBundle::PrivateKey);
        }
        let labels = text.split(BEGIN).skip(1);
        let (certificates, others): (Vec<_>, Vec<_>) =
            labels.partition(|label| label.starts_with(CERTIFICATE));
        let mut pem = String::with_capacity(text.len());
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
            let certificate = certificate.map_err(|_| InvalidBundle::NotCertificates)?;
            match parse_x509_certificate(&certificate) {
                Ok(([], _)) => push_pem(&mut pem, &certificate),
                _ => return Err(InvalidBundle::NotCertificates),
            }
            count += 1;
        }
        match others.is_empty() && count > 0 && count == certificates.len() {
            true => Ok(Self { pem: pem.into() }),
            false => Err(InvalidBundle::NotCertificates),
        }
    }

    /// Parses base64 of PEM, as in kubeconfig files.
    ///
    /// # Errors
    /// The text is not base64, or [`CaBundle::from_pem`] rejects its content.
    pub fn from_base64(text: &str) -> Result<Self, InvalidBundle> {
        if text.len() > MAX_BYTES.div_ceil(3) * 4 {
            return Err(InvalidBundle::TooLong);
        }
        let decoded = STANDARD.decode(text.trim());
        let pem = decoded.map_err(|_| InvalidBundle::NotBase64)?;
        if pem.is_empty() && !text.is_empty() {
            return Err(InvalidBundle::NotCertificates);
        }
        // Comments may have any encoding.
        Self::from_pem(&String::from_utf8_lossy(&pem))
    }

    /// Returns the certificates in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns base64 of the certificates in PEM, as in `certificate-authority-data` of a file.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.pem.as_bytes())
    }

    /// Returns the details of the certificates, in order.
    #[must_use]
    pub fn summaries(&self) -> Vec<Summary> {
        let certificates = CertificateDer::pem_slice_iter(self.pem.as_bytes());
        let certificates = certificates.flatten();
        certificates.map(|it| summary(&it)).collect()
    }
}

fn summary(der: &CertificateDer<'_>) -> Summary {
    let parsed = parse_x509_certificate(der);
    let subject = parsed.map(|(_, parsed)| parsed.subject().to_string());
    let digest = digest(&SHA256, der);
    let bytes = digest.as_ref().iter().map(|byte| format!("{byte:02X}"));
    Summary {
        subject: subject.unwrap_or_default(),
        fingerprint: bytes.collect::<Vec<_>>().join(":"),
    }
}

fn push_pem(text: &mut String, certificate: &[u8]) {
    let encoded = STANDARD.encode(certificate);
    text.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END CERTIFICATE-----\n");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    struct Sample {
        certificate: String,
        key: String,
    }

    fn sample() -> Sample {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::default();
        Sample {
            certificate: params
                .self_signed(&key)
                .unwrap()
                .pem()
                .replace("\r\n", "\n"),
            key: key.serialize_pem(),
        }
    }

    #[test]
    fn certificates_are_kept_as_they_are_and_what_is_between_them_is_not() {
        let (a, b) = (sample().certificate, sample().certificate);
        let both = format!("{a}{b}");
        for text in [
            both.clone(),
            both.replace('\n', "\r\n"),
            format!("# Root of Acme Corp., für alle\n{a}\n\nsubject=CN = b\n{b}# end"),
            format!("{}{}", a.trim_end(), format_args!("\n{b}")),
        ] {
            assert_eq!(CaBundle::from_pem(&text).unwrap().pem(), both, "{text}");
            let encoded = STANDARD.encode(&text);
            let bundle = CaBundle::from_base64(&format!("{encoded}\n")).unwrap();
            assert_eq!(bundle.pem(), both);
            assert_eq!(bundle.to_base64(), STANDARD.encode(&both));
        }
        for empty in [CaBundle::from_pem(""), CaBundle::from_base64("")] {
            assert_eq!(empty.unwrap().pem(), "");
        }
    }

    #[test]
    fn each_certificate_has_a_fingerprint_of_its_own() {
        let authority = |name: &str| {
            let mut params = rcgen::CertificateParams::default();
            let mut subject = rcgen::DistinguishedName::new();
            subject.push(rcgen::DnType::CommonName, name);
            params.distinguished_name = subject;
            let key = rcgen::KeyPair::generate().unwrap();
            params.self_signed(&key).unwrap().pem()
        };
        let pem = [authority("one"), authority("one"), authority("two")].concat();
        let summaries = CaBundle::from_pem(&pem).unwrap().summaries();
        let subjects: Vec<&str> = summaries.iter().map(|it| it.subject.as_str()).collect();
        assert_eq!(subjects, ["CN=one", "CN=one", "CN=two"]);
        let fingerprints: BTreeSet<&str> =
            summaries.iter().map(|it| it.fingerprint.as_str()).collect();
        assert_eq!(fingerprints.len(), 3);
        for fingerprint in fingerprints {
            assert_eq!(fingerprint.split(':').count(), 32, "{fingerprint}");
        }
        assert_eq!(CaBundle::default().summaries(), []);
    }

    #[test]
    fn everything_else_is_refused() {
        #[track_caller]
        fn check(text: &str, expected: InvalidBundle) {
            assert_eq!(CaBundle::from_pem(text), Err(expected), "{text}");
            let encoded = CaBundle::from_base64(&STANDARD.encode(text));
            assert_eq!(encoded, Err(expected), "{text}");
        }
        let Sample { certificate, key } = sample();
        let none = InvalidBundle::NotCertificates;
        for text in ["garbage", " ", "\n", "# a comment", &certificate[..200]] {
            check(text, none);
        }
        check(&STANDARD.encode(&certificate), none);
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check(broken, none);
        check(&format!("{certificate}{broken}"), none);
        check(
            &certificate.replace("CERTIFICATE-----", "X509 CRL-----"),
            none,
        );
        let request = certificate.replace("CERTIFICATE-----", "CERTIFICATE REQUEST-----");
        check(&format!("{certificate}{request}"), none);
        let trusted = certificate.replace(" CERTIFICATE-----", " TRUSTED CERTIFICATE-----");
        check(&trusted, none);
        // A whole certificate, followed by more bytes.
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let longer = STANDARD.encode([&der[..], b"more"].concat());
        let longer = format!("-----BEGIN CERTIFICATE-----\n{longer}\n-----END CERTIFICATE-----\n");
        check(&longer, none);
        check(&certificate.repeat(1000), InvalidBundle::TooLong);
        for label in [
            "PRIVATE KEY",
            "RSA PRIVATE KEY",
            "EC PRIVATE KEY",
            "private key",
        ] {
            let key = key.replace("PRIVATE KEY", label);
            for text in [
                format!("{certificate}{key}"),
                format!("{key}{certificate}"),
                format!("{certificate}  {}", key.replace("-----BEGIN", "---- BEGIN")),
                key.clone(),
            ] {
                check(&text, InvalidBundle::PrivateKey);
            }
        }
        assert_eq!(CaBundle::from_base64("?"), Err(InvalidBundle::NotBase64));
        assert_eq!(CaBundle::from_base64(" "), Err(none));
    }

    #[test]
    fn a_key_without_its_armour_does_not_reach_a_file() {
        let Sample { certificate, key } = sample();
        let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
        let bundle = CaBundle::from_pem(&format!("{body}\n{certificate}{body}")).unwrap();
        assert_eq!(bundle.pem(), certificate);
    }
}
