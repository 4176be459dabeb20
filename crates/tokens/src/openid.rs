//! The documents that clusters need to verify tokens by themselves: the discovery document and the
//! key set.
//!
//! The paths are those of Kubernetes for service account tokens (KEP-1393), so a `jwt`
//! authenticator is the only configuration that a cluster needs. All clients may read them. The
//! discovery document names the issuer, which is written into tokens and is permanent, and the URL
//! of the keys, which is the current address of the server. The two differ if the server has no
//! permanent URL.
//!
//! A key is published from one overlap before it first signs ([`signing::key_ring`]) until its last
//! token has expired. Caches may keep the key set for [`MAX_AGE_SECS`], a fraction of the overlap,
//! so no cache lacks a key that signs. Only after a compromise, when all keys are replaced at once,
//! caches lag behind by up to that time.

use std::sync::Arc;

use api::management::setting;
use apiserver::Builder;
use apiserver::mount::Access;
use apiserver::public_document::PublicDocument;
use bytes::Bytes;
use machinery::status::Status;
use machinery::time::Clock;
use management::settings::Settings;
use serde::Serialize;

use signing::jwks::{DISCOVERY_PATH, JWKS_MEDIA_TYPE, JWKS_PATH, discovery_document, jwk_set};
use signing::key_store::KeyStore;

/// Time for which caches may keep the documents, in seconds. The same as in kube-apiserver.
pub const MAX_AGE_SECS: u32 = 3600;

/// The paths that all clients may read.
pub const PATHS: [&str; 2] = [DISCOVERY_PATH, JWKS_PATH];

/// The sources of the documents.
#[derive(Clone)]
pub struct OpenId {
    /// The `iss` of all tokens.
    pub issuer: String,
    /// Returns the current URL of the server. Empty if it is the issuer.
    pub settings: Settings,
    /// The keys.
    pub keys: Arc<KeyStore>,
    /// The source of the current time.
    pub clock: Arc<dyn Clock>,
}

impl OpenId {
    /// Adds both documents to a server. The authorizer must allow all clients to read [`PATHS`].
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
            .mount(DISCOVERY_PATH, discovery.service(), Access::Public)
            .mount(JWKS_PATH, jwks.service(), Access::Public)
    }

    fn discovery(&self) -> Result<Bytes, Status> {
        let server_url = self.settings.effective(setting::SERVER_URL);
        let server_url = match server_url.as_str() {
            "" => &self.issuer,
            url => url,
        };
        json(&discovery_document(&self.issuer, server_url))
    }
}

fn json(document: &impl Serialize) -> Result<Bytes, Status> {
    let json = serde_json::to_vec(document).map(Bytes::from);
    json.map_err(|_| Status::internal("the document cannot be encoded as JSON"))
}

#[cfg(test)]
mod tests {
    use super::MAX_AGE_SECS;
    use signing::key_ring::RotationPolicy;

    #[test]
    fn caches_know_a_key_before_it_signs() {
        assert!(u64::from(MAX_AGE_SECS) < RotationPolicy::default().overlap_secs);
    }
}
