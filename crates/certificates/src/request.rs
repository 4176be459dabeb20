//! Certificate signing requests.

use rcgen::{CertificateSigningRequestParams, PublicKey, PublicKeyData};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

use crate::Error;

/// A certificate signing request (PKCS #10) that is signed by its key. Only the public key is used.
/// The authority decides the subject and the usage of the certificate.
#[derive(Debug)]
pub struct CertificateRequest {
    pub(crate) public_key: PublicKey,
}

impl CertificateRequest {
    /// Parses the only request in a PEM text.
    ///
    /// # Errors
    /// The text has no request or more than one block, the request is invalid or not signed by its
    /// key, or the key is of an unsupported type.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let mut blocks = Pem::iter_from_buffer(pem.as_bytes());
        let (Some(Ok(block)), None) = (blocks.next(), blocks.next()) else {
            return Err(Error::NoRequest);
        };
        let der = block.contents.as_slice();
        let request = CertificateSigningRequestParams::from_der(&der.into());
        let public_key = request.map_err(|_| Error::NoRequest)?.public_key;
        // The library infers the key type from the signature algorithm, and would take a key on
        // another curve for one of that type.
        let (_, read) = X509CertificationRequest::from_der(der).map_err(|_| Error::NoRequest)?;
        let said = read.certification_request_info.subject_pki.raw;
        match public_key.subject_public_key_info() == said {
            true => Ok(Self { public_key }),
            false => Err(Error::NoRequest),
        }
    }
}

#[cfg(test)]
mod tests;
