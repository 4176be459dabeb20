//! What somebody asks a certificate for.

use rcgen::{CertificateSigningRequestParams, PublicKey, PublicKeyData};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

use crate::Error;

/// A request for a certificate (PKCS #10) that its key has signed. Of what it says only the key
/// counts: whom a certificate is of, and what for, is for the authority to say.
#[derive(Debug)]
pub struct CertificateRequest {
    pub(crate) public_key: PublicKey,
}

impl CertificateRequest {
    /// The one request of a PEM text.
    ///
    /// # Errors
    /// There is none, it cannot be read, its signature is not of its key, or the key is not of a
    /// kind that is used here.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let mut blocks = Pem::iter_from_buffer(pem.as_bytes());
        let (Some(Ok(block)), None) = (blocks.next(), blocks.next()) else {
            return Err(Error::NoRequest);
        };
        let der = block.contents.as_slice();
        let request = CertificateSigningRequestParams::from_der(&der.into());
        let public_key = request.map_err(|_| Error::NoRequest)?.public_key;
        // The library goes by the algorithm of the signature, and takes another curve for that one.
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
