//! Serving certificates for the unmanaged host names of clusters, issued when a client requests
//! them by SNI.
//!
//! Only these names get a certificate. All other names belong to the server itself or to the
//! cluster.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use apiserver::server::ReloadableCertificate;
use certificates::Names;
use gateway::Gateway;
use jiff::{SignedDuration, Timestamp};
use machinery::time::Clock;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::pki::{Authority, SERVING_RENEWAL};

/// Returns whether the gateway serves a name.
type Served = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// The certificate of the server, and those for host names of clusters.
pub(super) struct NamedCertificates {
    own: Arc<ReloadableCertificate>,
    authority: Arc<Authority>,
    served: Served,
    clock: Arc<dyn Clock>,
    made: Mutex<HashMap<String, Made>>,
}

struct Made {
    key: Arc<CertifiedKey>,
    at: Timestamp,
}

impl NamedCertificates {
    /// Issues certificates for the names that the gateway serves, and uses `own` for other names.
    pub(super) fn new(
        own: Arc<ReloadableCertificate>,
        authority: Arc<Authority>,
        gateway: &Arc<Gateway>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let gateway = Arc::clone(gateway);
        Self {
            own,
            authority,
            served: Arc::new(move |name| gateway.serves(name)),
            clock,
            made: Mutex::default(),
        }
    }

    /// Returns the certificate for a name, renewed well before its expiry. `None` if the server's
    /// own certificate must be used.
    fn for_name(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        if !(self.served)(name) {
            return None;
        }
        let now = self.clock.now();
        let mut made = self.made.lock();
        if let Some(found) = made.get(name)
            && now.duration_since(found.at) < renewal()
        {
            return Some(Arc::clone(&found.key));
        }
        match self.make(name) {
            Ok(key) => {
                made.retain(|name, _| (self.served)(name));
                let key = Arc::new(key);
                let found = Made {
                    key: Arc::clone(&key),
                    at: now,
                };
                made.insert(name.to_owned(), found);
                Some(key)
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(name, error, "a certificate for a cluster cannot be created");
                made.get(name).map(|found| Arc::clone(&found.key))
            }
        }
    }

    fn make(&self, name: &str) -> Result<CertifiedKey> {
        let pair = self.authority.serving(&Names::from_iter([name]))?;
        let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.expose().as_bytes())?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Ok(CertifiedKey::from_der(chain, key, &provider)?)
    }
}

fn renewal() -> SignedDuration {
    SignedDuration::try_from(SERVING_RENEWAL).unwrap_or(SignedDuration::ZERO)
}

impl ResolvesServerCert for NamedCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let named = name.and_then(|name| self.for_name(&name));
        named.or_else(|| self.own.resolve(hello))
    }
}

impl fmt::Debug for NamedCertificates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NamedCertificates")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use machinery::testing::ManualClock;

    use super::*;
    use crate::data_dir::DataDir;

    #[test]
    fn a_name_has_one_certificate_while_it_is_served_and_another_in_a_month() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        let clock = ManualClock::at(Timestamp::constant(1_767_323_045, 0));
        let authority = Authority::load_or_create(&data, clock.clone()).unwrap();
        let authority = Arc::new(authority);
        let pair = authority.serving(&Names::from_iter(["localhost"])).unwrap();
        let own = (pair.certificate.as_bytes(), pair.key.expose().as_bytes());
        let is_served = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&is_served);
        let certificates = NamedCertificates {
            own: ReloadableCertificate::load(own.0, own.1).unwrap(),
            authority,
            served: Arc::new(move |name| name != "other" && asked.load(Ordering::SeqCst)),
            clock: clock.clone(),
            made: Mutex::default(),
        };
        let shown = |name| certificates.for_name(name).map(|key| key.cert.clone());
        let first = shown("api.a").unwrap();
        assert_eq!(shown("api.a"), Some(first.clone()));
        assert_ne!(shown("api.b"), Some(first.clone()));
        assert_eq!(shown("other"), None);
        clock.advance(SignedDuration::from_hours(30 * 24));
        let second = shown("api.a").unwrap();
        assert_ne!(second, first);
        is_served.store(false, Ordering::SeqCst);
        assert_eq!(shown("api.a"), None);
    }
}
