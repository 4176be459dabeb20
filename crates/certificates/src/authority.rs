//! A certificate authority and the certificates that it signs. Keys are ECDSA P-256: small, fast,
//! and supported by every TLS client.

use crate::subject;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SigningKey,
};

use crate::{Certificate, CertificateRequest, Error, Names, PrivateKeyPem, Validity};

/// A certificate authority: its certificate and its key.
pub struct Authority {
    pem: String,
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: PrivateKeyPem,
}

impl Authority {
    /// Creates an authority that signs certificates of servers and users, but no further
    /// authorities.
    ///
    /// # Errors
    /// The name or a time cannot be represented in a certificate.
    pub fn create(name: &str, validity: Validity) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(Error::Issue)?;
        let mut params = params(name, validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let pem = params.self_signed(&key).map_err(Error::Issue)?.pem();
        Self::new(pem, key)
    }

    /// Loads an authority that was stored.
    ///
    /// # Errors
    /// The certificate or the key is invalid, the certificate is not that of an authority, or the
    /// two do not match.
    pub fn from_pem(certificate: &str, key: &PrivateKeyPem) -> Result<Self, Error> {
        let key = KeyPair::from_pem(key.expose()).map_err(|_| Error::NoKey)?;
        Self::new(certificate.to_owned(), key)
    }

    /// Returns the certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// Returns the parsed certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Returns the private key, so that the caller can store it.
    #[must_use]
    pub fn key(&self) -> PrivateKeyPem {
        PrivateKeyPem::new(self.issuer.key().serialize_pem())
    }

    /// Issues a certificate for the server with this name, valid for these host names and
    /// addresses.
    ///
    /// # Errors
    /// A name or a time cannot be represented in a certificate.
    pub fn serving(&self, name: &str, names: &Names, validity: Validity) -> Result<Pair, Error> {
        let mut params = params(name, validity)?;
        params.subject_alt_names = names.alternative_names()?;
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Issues a client certificate for a user in these groups.
    ///
    /// # Errors
    /// A time cannot be represented in a certificate.
    pub fn client(&self, user: &str, groups: &[&str], validity: Validity) -> Result<Pair, Error> {
        let key = KeyPair::generate().map_err(Error::Issue)?;
        Ok(Pair {
            certificate: self.sign_client(user, groups, &key, validity)?,
            key: PrivateKeyPem::new(key.serialize_pem()),
        })
    }

    /// Issues a client certificate, in PEM, for a user in these groups who keeps the private key.
    /// Only the public key is taken from the request.
    ///
    /// # Errors
    /// A time cannot be represented in a certificate.
    pub fn client_for(
        &self,
        user: &str,
        groups: &[&str],
        request: &CertificateRequest,
        validity: Validity,
    ) -> Result<String, Error> {
        self.sign_client(user, groups, &request.public_key, validity)
    }

    /// Signs a client certificate, in PEM. rcgen has no names with several organizations, so the
    /// subject is replaced, and the certificate signed again.
    fn sign_client(
        &self,
        user: &str,
        groups: &[&str],
        key: &impl PublicKeyData,
        validity: Validity,
    ) -> Result<String, Error> {
        let params = with_usage(params(user, validity)?, ExtendedKeyUsagePurpose::ClientAuth);
        let signed = params.signed_by(key, &self.issuer).map_err(Error::Issue)?;
        if groups.is_empty() {
            return Ok(signed.pem());
        }
        let sign = |message: &[u8]| self.issuer.key().sign(message).map_err(Error::Issue);
        subject::replace(signed.der(), user, groups, sign)
    }

    fn new(pem: String, key: KeyPair) -> Result<Self, Error> {
        let certificate = Certificate::from_pem(pem.as_bytes())?;
        if !certificate.is_authority {
            return Err(Error::NoAuthority);
        }
        if certificate.public_key != rcgen::PublicKeyData::subject_public_key_info(&key) {
            return Err(Error::Mismatch);
        }
        let issuer = Issuer::from_ca_cert_pem(&pem, key).map_err(Error::Issue)?;
        Ok(Self {
            pem,
            certificate,
            issuer,
        })
    }

    fn sign(
        &self,
        params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Pair, Error> {
        let key = KeyPair::generate().map_err(Error::Issue)?;
        let certificate = with_usage(params, usage)
            .signed_by(&key, &self.issuer)
            .map_err(Error::Issue)?
            .pem();
        Ok(Pair {
            certificate,
            key: PrivateKeyPem::new(key.serialize_pem()),
        })
    }
}

impl Pair {
    /// Parses the certificate and checks that the key matches it.
    ///
    /// # Errors
    /// The certificate or the key is invalid, or the two do not match.
    pub fn read(&self) -> Result<Certificate, Error> {
        let key = KeyPair::from_pem(self.key.expose()).map_err(|_| Error::NoKey)?;
        let certificate = Certificate::from_pem(self.certificate.as_bytes())?;
        if certificate.public_key != rcgen::PublicKeyData::subject_public_key_info(&key) {
            return Err(Error::Mismatch);
        }
        Ok(certificate)
    }
}

fn with_usage(mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    // Identifies the signer if several authorities have the same name.
    params.use_authority_key_identifier_extension = true;
    params
}

fn params(name: &str, validity: Validity) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = validity.dates()?;
    Ok(params)
}

#[cfg(test)]
mod tests;
