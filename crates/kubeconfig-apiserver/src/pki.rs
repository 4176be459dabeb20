//! The certificates of a standalone server: a CA of its own, a serving certificate, and client certificates for its first users.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use machinery::time::Clock;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use x509_parser::pem::parse_x509_pem;

use crate::data_dir::DataDir;

const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";

/// How long certificates live.
const CA_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365 * 10);
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);

/// Certificates start a little early, for clients whose clocks are behind.
const BACKDATED: SignedDuration = SignedDuration::from_mins(10);

/// How often the serving certificate is made anew, long before it ends.
pub(crate) const SERVING_RENEWAL: Duration = Duration::from_secs(24 * 3600 * 30);

/// The CA of the data folder.
pub(crate) struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
    clock: Arc<dyn Clock>,
}

/// A certificate and its key, PEM.
pub(crate) struct Pair {
    /// The certificate.
    pub(crate) certificate: String,
    /// The private key, PKCS #8.
    pub(crate) key: String,
}

impl Authority {
    /// Loads the CA, or makes one at the first start.
    pub(crate) fn load_or_create(data: &DataDir, clock: Arc<dyn Clock>) -> Result<Self> {
        let stored = (data.read(CA_CERTIFICATE)?, data.read(CA_KEY)?);
        let (certificate_pem, key) = match stored {
            (Some(certificate), Some(key)) => {
                let text = |bytes| {
                    String::from_utf8(bytes).context("the CA in the data folder is not PEM")
                };
                (
                    text(certificate)?,
                    KeyPair::from_pem(&text(key)?).context("ca.key is not a private key")?,
                )
            }
            (None, None) => create(data, &*clock)?,
            (Some(_), None) => anyhow::bail!(
                "ca.crt is there but ca.key is missing: restore it, or remove ca.crt to start with a new CA"
            ),
            (None, Some(_)) => anyhow::bail!(
                "ca.key is there but ca.crt is missing: restore it, or remove ca.key to start with a new CA"
            ),
        };
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)
            .context("ca.crt is not a CA certificate")?;
        Ok(Self {
            certificate_pem,
            issuer,
            clock,
        })
    }

    /// The CA's certificate, PEM.
    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A certificate by which this server shows itself under these names and addresses.
    pub(crate) fn serving(&self, names: &[String], addresses: &[IpAddr]) -> Result<Pair> {
        let mut params = self.leaf("kubeconfig-apiserver", &[], LEAF_LIFE)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in names {
            params.subject_alt_names.push(SanType::DnsName(
                name.as_str()
                    .try_into()
                    .context("a host name cannot stand in a certificate")?,
            ));
        }
        params
            .subject_alt_names
            .extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
        self.issue(params)
    }

    /// A certificate by which a user logs in, with these groups.
    pub(crate) fn client(&self, user: &str, groups: &[&str]) -> Result<Pair> {
        let mut params = self.leaf(user, groups, LEAF_LIFE)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    /// Whether a certificate was issued by this CA and has more than half of its life before it.
    pub(crate) fn is_fresh(&self, certificate_pem: &[u8]) -> bool {
        let parse = || {
            let (_, leaf) = parse_x509_pem(certificate_pem).ok()?;
            let leaf = leaf.parse_x509().ok()?;
            let (_, ca) = parse_x509_pem(self.certificate_pem.as_bytes()).ok()?;
            let ca = ca.parse_x509().ok()?;
            let left = leaf.validity().not_after.timestamp() - self.clock.now().as_second();
            let signed = leaf.verify_signature(Some(ca.public_key())).is_ok();
            Some(signed && left > LEAF_LIFE.as_secs() / 2)
        };
        parse().unwrap_or(false)
    }

    fn leaf(
        &self,
        name: &str,
        organizations: &[&str],
        life: SignedDuration,
    ) -> Result<CertificateParams> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        for organization in organizations {
            params
                .distinguished_name
                .push(DnType::OrganizationName, *organization);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        set_validity(&mut params, self.clock.now(), life)?;
        Ok(params)
    }

    fn issue(&self, params: CertificateParams) -> Result<Pair> {
        let key = KeyPair::generate().context("a key cannot be made")?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .context("a certificate cannot be signed")?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn create(data: &DataDir, clock: &dyn Clock) -> Result<(String, KeyPair)> {
    let key = KeyPair::generate().context("the key of the CA cannot be made")?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "kubeconfig-apiserver");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    set_validity(&mut params, clock.now(), CA_LIFE)?;
    let certificate = params
        .self_signed(&key)
        .context("the certificate of the CA cannot be made")?;
    data.write(CA_KEY, key.serialize_pem().as_bytes())?;
    data.write(CA_CERTIFICATE, certificate.pem().as_bytes())?;
    Ok((certificate.pem(), key))
}

fn set_validity(
    params: &mut CertificateParams,
    now: Timestamp,
    life: SignedDuration,
) -> Result<()> {
    let date = |time: Timestamp| {
        time::OffsetDateTime::from_unix_timestamp(time.as_second())
            .context("the clock is out of range")
    };
    params.not_before = date(now - BACKDATED)?;
    params.not_after = date(now + life)?;
    Ok(())
}
