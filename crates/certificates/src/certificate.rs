//! Parsed certificates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

use crate::{Error, Names, Validity};

/// A parsed certificate. Two certificates are equal if their bytes are.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The subject, formatted as in RFC 4514.
    pub subject: String,
    /// The issuer, as stated in the certificate.
    pub issuer: String,
    /// The validity period.
    pub validity: Validity,
    /// The host names and addresses of a serving certificate.
    pub names: Names,
    /// True if the certificate may sign others.
    pub is_authority: bool,
    pub(crate) public_key: Vec<u8>,
    der: Vec<u8>,
}

impl Certificate {
    /// Parses a PEM file and returns its first certificate.
    ///
    /// # Errors
    /// The file has no certificate, or one of its certificates is invalid.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let all = Self::bundle_from_pem(pem)?;
        all.into_iter().next().ok_or(Error::NoCertificate)
    }

    /// Parses all certificates of a PEM file and returns at least one.
    ///
    /// # Errors
    /// The file has no certificate, or one of its certificates is invalid.
    pub fn bundle_from_pem(pem: &[u8]) -> Result<Vec<Self>, Error> {
        let mut all = Vec::new();
        for block in Pem::iter_from_buffer(pem) {
            let block = block.map_err(|_| Error::NoCertificate)?;
            if block.label == "CERTIFICATE" {
                all.push(Self::from_der(block.contents)?);
            }
        }
        if all.is_empty() {
            return Err(Error::NoCertificate);
        }
        Ok(all)
    }

    /// Returns whether the certificate is for this public key, a SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn is_for_key(&self, public_key: &[u8]) -> bool {
        self.public_key == public_key
    }

    /// Returns whether the key of `authority` signed this certificate. Validity periods are not
    /// checked.
    #[must_use]
    pub fn is_signed_by(&self, authority: &Self) -> bool {
        let (Ok(this), Ok(authority)) = (parse(&self.der), parse(&authority.der)) else {
            return false;
        };
        authority.is_ca()
            && this.issuer() == authority.subject()
            && this.verify_signature(Some(authority.public_key())).is_ok()
    }

    fn from_der(der: Vec<u8>) -> Result<Self, Error> {
        let parsed = parse(&der)?;
        let time = |seconds: i64| Timestamp::from_second(seconds).map_err(|_| Error::NoCertificate);
        Ok(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            validity: Validity {
                not_before: time(parsed.validity().not_before.timestamp())?,
                not_after: time(parsed.validity().not_after.timestamp())?,
            },
            names: names(&parsed),
            is_authority: parsed.is_ca(),
            public_key: parsed.public_key().raw.to_vec(),
            der,
        })
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Error> {
    let parsed = X509Certificate::from_der(der);
    parsed
        .map(|(_, certificate)| certificate)
        .map_err(|_| Error::NoCertificate)
}

fn names(certificate: &X509Certificate<'_>) -> Names {
    let mut names = Names::default();
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return names;
    };
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(host) => {
                names.hosts.insert((*host).to_owned());
            }
            GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
            _ => {}
        }
    }
    names
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    let sixteen = <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into());
    four.or(sixteen).ok()
}
