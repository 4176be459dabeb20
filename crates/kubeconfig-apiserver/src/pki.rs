//! The certificates of a standalone server: its own CA, a serving certificate, and client
//! certificates for its first users.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use certificates::{Certificate, Names, Pair, PrivateKeyPem, Validity};
use jiff::SignedDuration;
use machinery::time::Clock;

use crate::data_dir::DataDir;

const CA_CERTIFICATE: &str = "ca.crt";
/// The file of the key of the CA.
pub(crate) const CA_KEY: &str = "ca.key";

/// The subject of the CA.
const CA_NAME: &str = "kubeconfig-apiserver";

/// The subject of the serving certificate. It differs from that of the CA, because OpenSSL, and
/// therefore curl, considers a certificate self-signed if its subject equals its issuer.
const SERVING_NAME: &str = "kubeconfig-apiserver-serving";

/// The lifetimes of the CA certificate and of all other certificates.
const CA_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365 * 10);
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);

/// The interval at which the serving certificate is renewed, well before its expiry.
pub(crate) const SERVING_RENEWAL: Duration = Duration::from_secs(24 * 3600 * 30);

/// The CA in the data folder.
pub(crate) struct Authority {
    authority: certificates::Authority,
    clock: Arc<dyn Clock>,
}

impl Authority {
    /// Loads the CA, or creates it at the first start.
    pub(crate) fn load_or_create(data: &DataDir, clock: Arc<dyn Clock>) -> Result<Self> {
        let authority = match stored(data)? {
            Some(authority) => authority,
            None => create(data, &*clock)?,
        };
        Ok(Self { authority, clock })
    }

    /// Returns the certificate of the CA, in PEM.
    pub(crate) fn certificate_pem(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// Issues a serving certificate for these names and addresses.
    pub(crate) fn serving(&self, names: &Names) -> Result<Pair> {
        let serving = self.authority.serving(SERVING_NAME, names, self.leaf());
        serving.context("the serving certificate cannot be created")
    }

    /// Issues a client certificate for a user with these groups.
    pub(crate) fn client(&self, user: &str, groups: &[&str]) -> Result<Pair> {
        let client = self.authority.client(user, groups, self.leaf());
        client.with_context(|| format!("a certificate for {user} cannot be created"))
    }

    /// Returns whether this CA issued a certificate, and the certificate is valid now and for more
    /// than half of a lifetime. A certificate that was issued while the clock was ahead is not
    /// valid yet.
    pub(crate) fn is_fresh(&self, certificate_pem: &[u8]) -> bool {
        let now = self.clock.now();
        Certificate::from_pem(certificate_pem).is_ok_and(|leaf| {
            leaf.is_signed_by(self.authority.certificate())
                && leaf.validity.not_before <= now
                && leaf.validity.left(now) > LEAF_LIFE / 2
        })
    }

    fn leaf(&self) -> Validity {
        Validity::starting(self.clock.now(), LEAF_LIFE)
    }
}

/// Loads the CA in the data folder of a server.
///
/// # Errors
/// The folder has no CA, or another user could have read its key.
pub(crate) fn load(folder: &Path) -> Result<certificates::Authority> {
    let missing = || {
        format!(
            "{} is not the data folder of a standalone server: it has no {CA_KEY}",
            folder.display()
        )
    };
    if !folder.join(CA_KEY).exists() {
        bail!(missing());
    }
    stored(&DataDir::open(folder)?)?.with_context(missing)
}

/// Returns the CA in a data folder, or `None` if the folder has none.
fn stored(data: &DataDir) -> Result<Option<certificates::Authority>> {
    match (data.read(CA_CERTIFICATE)?, data.read_private(CA_KEY)?) {
        (Some(certificate), Some(key)) => {
            let text =
                |bytes| String::from_utf8(bytes).context("the CA in the data folder is not PEM");
            let key = PrivateKeyPem::new(text(key)?);
            certificates::Authority::from_pem(&text(certificate)?, &key)
                .map(Some)
                .context("ca.crt and ca.key in the data folder cannot be used")
        }
        (None, None) => Ok(None),
        (Some(_), None) => bail!(
            "ca.crt exists but ca.key is missing: restore ca.key, or remove ca.crt to start with a new CA"
        ),
        (None, Some(_)) => bail!(
            "ca.key exists but ca.crt is missing: restore ca.crt, or remove ca.key to start with a new CA"
        ),
    }
}

fn create(data: &DataDir, clock: &dyn Clock) -> Result<certificates::Authority> {
    let validity = Validity::starting(clock.now(), CA_LIFE);
    let authority = certificates::Authority::create(CA_NAME, validity)
        .context("the certificate of the CA cannot be created")?;
    data.write(CA_KEY, authority.key().expose().as_bytes())?;
    data.write(CA_CERTIFICATE, authority.certificate_pem().as_bytes())?;
    Ok(authority)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use machinery::testing::ManualClock;

    use super::*;

    #[test]
    fn no_certificate_looks_self_signed() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        let authority = Authority::load_or_create(
            &data,
            ManualClock::at(Timestamp::constant(1_767_323_045, 0)),
        )
        .unwrap();
        let serving = authority.serving(&Names::from_iter(["localhost"])).unwrap();
        let serving = Certificate::from_pem(serving.certificate.as_bytes()).unwrap();
        assert_eq!(
            (serving.subject.as_str(), serving.issuer.as_str()),
            ("CN=kubeconfig-apiserver-serving", "CN=kubeconfig-apiserver")
        );
    }

    #[test]
    fn a_certificate_that_is_not_valid_yet_is_issued_again() {
        const DAY: SignedDuration = SignedDuration::from_hours(24);
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        let start = Timestamp::constant(1_767_323_045, 0);
        let clock = ManualClock::at(start);
        let authority = Authority::load_or_create(&data, clock.clone()).unwrap();
        let move_to = |days: i32| clock.advance((start + DAY * days).duration_since(clock.now()));
        let is_fresh_at = |pair: &Pair, days| {
            move_to(days);
            authority.is_fresh(pair.certificate.as_bytes())
        };
        let issued_at = |days| {
            move_to(days);
            authority.client("alice", &[]).unwrap()
        };
        let (now, ahead) = (issued_at(0), issued_at(400));
        let found = [0, 180, 190].map(|days| is_fresh_at(&now, days));
        assert_eq!(found, [true, true, false]);
        let found = [0, 390, 400].map(|days| is_fresh_at(&ahead, days));
        assert_eq!(found, [false, false, true]);
    }
}
