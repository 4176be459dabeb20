//! Serves what clusters need to verify tokens by themselves: the discovery document and the key set.
//!
//! The paths are Kubernetes' own for service account tokens (KEP-1393), so a cluster is pointed here by a `jwt` authenticator alone. Everybody
//! may read them. The discovery document names the issuer, which is what tokens say and lasts, and where the keys are, which is where the
//! server is reached at the moment; the two differ where the server was given no lasting URL.
//!
//! A key is published one overlap before it signs ([`crate::key_ring`]) and until its last token is expired. Caches may keep the key set for
//! [`MAX_AGE_SECS`], a fraction of that, so none lacks a key that signs. Only after a compromise, when all keys go at once, do caches lag
//! behind by as much.

use std::sync::Arc;

use apiserver::Builder;
use apiserver::public_document::PublicDocument;
use bytes::Bytes;
use machinery::status::Status;
use machinery::time::Clock;
use serde::Serialize;

use crate::jwks::{DISCOVERY_PATH, JWKS_MEDIA_TYPE, JWKS_PATH, discovery_document, jwk_set};
use crate::key_store::KeyStore;

/// How long caches may keep the documents, in seconds: as kube-apiserver's.
pub const MAX_AGE_SECS: u32 = 3600;

/// The paths that everybody may read.
pub const PATHS: [&str; 2] = [DISCOVERY_PATH, JWKS_PATH];

/// What the documents are made of.
#[derive(Clone)]
pub struct OpenId {
    /// The `iss` of all tokens.
    pub issuer: String,
    /// Where the server is reached now; empty for at the issuer.
    pub server_url: Arc<dyn Fn() -> String + Send + Sync>,
    /// The keys.
    pub keys: Arc<KeyStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl OpenId {
    /// Adds both documents to a server. Who may read them is the authorizer's to know: see [`PATHS`].
    #[must_use]
    pub fn serve(self, builder: Builder) -> Builder {
        let keys = self.clone();
        let discovery = PublicDocument {
            media_type: "application/json",
            max_age_secs: MAX_AGE_SECS,
            content: Arc::new(move || self.discovery()),
        };
        let jwks = PublicDocument {
            media_type: JWKS_MEDIA_TYPE,
            max_age_secs: MAX_AGE_SECS,
            content: Arc::new(move || json(&jwk_set(&keys.keys.ring(), keys.clock.now()))),
        };
        builder
            .mount(DISCOVERY_PATH, discovery.service(), true)
            .mount(JWKS_PATH, jwks.service(), true)
    }

    fn discovery(&self) -> Result<Bytes, Status> {
        let server_url = (self.server_url)();
        let server_url = match server_url.as_str() {
            "" => &self.issuer,
            url => url,
        };
        json(&discovery_document(&self.issuer, server_url))
    }
}

fn json(document: &impl Serialize) -> Result<Bytes, Status> {
    let json = serde_json::to_vec(document).map(Bytes::from);
    json.map_err(|_| Status::internal("the document has no JSON form"))
}

#[cfg(test)]
mod tests {
    use super::MAX_AGE_SECS;
    use crate::key_ring::RotationPolicy;

    #[test]
    fn caches_know_a_key_before_it_signs() {
        assert!(u64::from(MAX_AGE_SECS) < RotationPolicy::default().overlap_secs);
    }
}
