//! A certificate authority and what it signs. Keys are ECDSA P-256: small, fast, and understood by
//! every TLS client.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use crate::{Certificate, CertificateRequest, Error, Names, PrivateKeyPem, Validity};

/// A certificate authority: its certificate and its key.
pub struct Authority {
    pem: String,
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: PrivateKeyPem,
}

impl Authority {
    /// A new authority that signs certificates of servers and users, but no further authorities.
    ///
    /// # Errors
    /// The name or a time cannot stand in a certificate.
    pub fn create(name: &str, validity: Validity) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(Error::Issue)?;
        let mut params = params(name, &[], validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let pem = params.self_signed(&key).map_err(Error::Issue)?.pem();
        Self::new(pem, key)
    }

    /// An authority that was stored.
    ///
    /// # Errors
    /// A part is not what it should be, or they do not belong together.
    pub fn from_pem(certificate: &str, key: &PrivateKeyPem) -> Result<Self, Error> {
        let key = KeyPair::from_pem(key.expose()).map_err(|_| Error::NoKey)?;
        Self::new(certificate.to_owned(), key)
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// What its certificate says.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its key, for whoever stores it.
    #[must_use]
    pub fn key(&self) -> PrivateKeyPem {
        PrivateKeyPem::new(self.issuer.key().serialize_pem())
    }

    /// A certificate by which the server of this name shows itself at these names.
    ///
    /// # Errors
    /// A name or a time cannot stand in a certificate.
    pub fn serving(&self, name: &str, names: &Names, validity: Validity) -> Result<Pair, Error> {
        let mut params = params(name, &[], validity)?;
        params.subject_alt_names = names.alternative_names()?;
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate by which a user logs in, with these groups.
    ///
    /// # Errors
    /// A time cannot stand in a certificate.
    pub fn client(&self, user: &str, groups: &[&str], validity: Validity) -> Result<Pair, Error> {
        let params = params(user, groups, validity)?;
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A certificate by which a user logs in who keeps the key, PEM. Nothing but the key is taken from
    /// the request.
    ///
    /// # Errors
    /// A time cannot stand in a certificate.
    pub fn client_for(
        &self,
        user: &str,
        request: &CertificateRequest,
        validity: Validity,
    ) -> Result<String, Error> {
        let params = params(user, &[], validity)?;
        let params = with_usage(params, ExtendedKeyUsagePurpose::ClientAuth);
        let certificate = params.signed_by(&request.public_key, &self.issuer);
        Ok(certificate.map_err(Error::Issue)?.pem())
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
    /// What the certificate says, where the key is its own.
    ///
    /// # Errors
    /// A part is not what it should be, or they do not belong together.
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
    // Which of several authorities of one name signed it.
    params.use_authority_key_identifier_extension = true;
    params
}

fn params(
    name: &str,
    organizations: &[&str],
    validity: Validity,
) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    for organization in organizations {
        params
            .distinguished_name
            .push(DnType::OrganizationName, *organization);
    }
    (params.not_before, params.not_after) = validity.dates()?;
    Ok(params)
}

#[cfg(test)]
mod tests;
