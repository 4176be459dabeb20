//! CA certificates that are trusted for a server.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::roots::bundle_from_pem;
use serde::{Deserialize, Serialize};

use crate::key::key;

/// The CA certificates that must verify a server's certificate. Empty for the CAs that the machine
/// trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trust {
    pem: String,
}

/// The location of the CAs that the machine trusts, if the environment names it. A kubeconfig file
/// can set the environment of this program (`env` of an exec entry), so the location is stored with
/// a login.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MachineRoots {
    /// `SSL_CERT_FILE`.
    pub(crate) file: Option<String>,
    /// `SSL_CERT_DIR`.
    pub(crate) folder: Option<String>,
}

impl fmt::Display for MachineRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            ("SSL_CERT_FILE", &self.file),
            ("SSL_CERT_DIR", &self.folder),
        ];
        let named = named
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let named: Vec<String> = named
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        match named.is_empty() {
            true => f.write_str("the CAs of this machine"),
            false => write!(f, "the CAs of {}", named.join(" and ")),
        }
    }
}

impl Trust {
    /// Parses the certificates of a PEM text. An empty text means the CAs of the machine.
    ///
    /// # Errors
    /// Fails if a text that is not empty contains no certificate, so that it is not taken for an
    /// empty one.
    pub(crate) fn from_pem(pem: &str) -> Result<Self> {
        let trust = Self {
            pem: pem.trim().to_owned(),
        };
        trust.certificates()?;
        Ok(trust)
    }

    /// Reads the certificates of a PEM file.
    pub(crate) fn from_file(path: &Path) -> Result<Self> {
        let pem =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let trust = Self::from_pem(&pem).with_context(|| format!("{}", path.display()))?;
        ensure!(!trust.is_of_machine(), "{} is empty", path.display());
        Ok(trust)
    }

    /// Returns whether the CAs of the machine are trusted.
    pub(crate) fn is_of_machine(&self) -> bool {
        self.pem.is_empty()
    }

    /// Returns the certificates in DER. The list is empty if the CAs of the machine are trusted.
    pub(crate) fn certificates(&self) -> Result<Vec<Vec<u8>>> {
        if self.is_of_machine() {
            return Ok(Vec::new());
        }
        let bundle = bundle_from_pem(self.pem.as_bytes())?;
        Ok(bundle.iter().map(|der| der.to_vec()).collect())
    }

    /// Returns the SHA-256 fingerprints of the certificates, in the usual notation.
    pub(crate) fn fingerprints(&self) -> String {
        let ders = self.certificates().unwrap_or_default();
        let each: Vec<String> = ders
            .iter()
            .map(|der| hexadecimal(digest(&SHA256, der).as_ref()))
            .collect();
        each.join(", ")
    }

    /// Returns a text that identifies these certificates, independent of their order and of other
    /// text in the PEM.
    pub(crate) fn fingerprint(&self) -> String {
        let mut ders = self.certificates().unwrap_or_default();
        ders.sort();
        let each: Vec<String> = ders.iter().map(|der| format!("{der:?}")).collect();
        key(&each.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// Decodes the CA data of a kubeconfig file, which is base64 of PEM.
///
/// # Errors
/// Fails if it is not base64 of a text.
pub(crate) fn decode_pem(data: &str) -> Result<String> {
    let pem = STANDARD.decode(data).context("CA data is not base64")?;
    String::from_utf8(pem).context("CA data is not PEM")
}

fn hexadecimal(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use super::Trust;

    /// Returns PEM with arbitrary content, which is not parsed as a certificate here.
    fn pem(content: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn the_order_of_certificates_does_not_matter() {
        let one = Trust::from_pem(&(pem("AAAA") + &pem("BBBB"))).unwrap();
        let other =
            Trust::from_pem(&format!("# a note\n{}\n{}", pem("BBBB"), pem("AAAA"))).unwrap();
        assert_eq!(one.fingerprint(), other.fingerprint());
        let third = Trust::from_pem(&pem("AAAA")).unwrap();
        assert_ne!(one.fingerprint(), third.fingerprint());
        assert_ne!(third.fingerprint(), Trust::default().fingerprint());
    }

    #[test]
    fn a_text_without_certificate_is_not_taken_for_none() {
        assert_eq!(Trust::from_pem(" \n").unwrap(), Trust::default());
        assert!(Trust::from_pem("certificate").is_err());
        assert!(Trust::from_pem("-----BEGIN CERTIFICATE-----\n!\n").is_err());
    }
}
