//! What the host's ConfigMap says about front proxies and client certificates.

use auth::client_certificate::{BundleError, bundle_from_pem, share_an_authority};
use auth::front_proxy::{RequestHeaderConfig, RequestHeaderConfigError};
use k8s_openapi::api::core::v1::ConfigMap;
use rustls::pki_types::CertificateDer;

const CLIENT_CA: &str = "client-ca-file";
const FRONT_PROXY_CA: &str = "requestheader-client-ca-file";

/// Whose certificates count at a server behind the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authorities {
    /// The authorities that sign certificates of users; none where the host has none.
    pub(super) client_ca: Vec<CertificateDer<'static>>,
    /// Who speaks for users, and how.
    pub(super) request_header: RequestHeaderConfig,
}

/// Why what the host says cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// There is no such ConfigMap.
    #[error("the host has no ConfigMap kube-system/extension-apiserver-authentication")]
    NoConfigMap,
    /// Something that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value is no list of texts.
    #[error("{key} is no JSON list of texts")]
    NoList {
        /// Whose value.
        key: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A value is no CA bundle.
    #[error("{key} cannot be used")]
    Bundle {
        /// Whose value.
        key: &'static str,
        /// What is wrong with it.
        #[source]
        source: BundleError,
    },
    /// A certificate of a bundle is no CA.
    #[error("a CA bundle cannot be used")]
    Anchor(#[source] BundleError),
    /// The front proxy's part cannot be used.
    #[error("what it says about front proxies cannot be used")]
    RequestHeader(#[from] RequestHeaderConfigError),
    /// Every user with a certificate could speak for every other.
    #[error(
        "requestheader-allowed-names is empty while users and front proxies have the same CA: \
         any certificate could name any user"
    )]
    AnyNameOfAnyUser,
}

impl Authorities {
    /// Reads the ConfigMap.
    ///
    /// # Errors
    /// Part of it is missing, cannot be read, or is dangerous ([`ConfigurationError::AnyNameOfAnyUser`])
    /// without being allowed.
    pub(super) fn read(
        config_map: &ConfigMap,
        allow_empty_names: bool,
    ) -> Result<Self, ConfigurationError> {
        let values = Values(config_map);
        let client_ca = values.bundle(CLIENT_CA)?;
        let request_header = RequestHeaderConfig {
            client_ca: values.bundle(FRONT_PROXY_CA)?,
            allowed_names: values.list("requestheader-allowed-names")?,
            username_headers: values.list("requestheader-username-headers")?,
            uid_headers: values.list("requestheader-uid-headers")?,
            group_headers: values.list("requestheader-group-headers")?,
            extra_header_prefixes: values.list("requestheader-extra-headers-prefix")?,
        };
        if request_header.client_ca.is_empty() {
            return Err(ConfigurationError::Missing(FRONT_PROXY_CA));
        }
        let shared = share_an_authority(&client_ca, &request_header.client_ca);
        let shared = shared.map_err(ConfigurationError::Anchor)?;
        if shared && request_header.allowed_names.is_empty() && !allow_empty_names {
            return Err(ConfigurationError::AnyNameOfAnyUser);
        }
        Ok(Self {
            client_ca,
            request_header,
        })
    }

    /// What comes after these. The host never takes its users' CA away: one that is gone was lost.
    pub(super) fn followed_by(&self, next: &Self) -> Result<(), ConfigurationError> {
        if next.client_ca.is_empty() && !self.client_ca.is_empty() {
            return Err(ConfigurationError::Missing(CLIENT_CA));
        }
        Ok(())
    }
}

struct Values<'a>(&'a ConfigMap);

impl Values<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.0.data.as_ref()?.get(key).map(String::as_str)
    }

    /// The certificates; none where there is no such key. A text without any is damaged.
    fn bundle(
        &self,
        key: &'static str,
    ) -> Result<Vec<CertificateDer<'static>>, ConfigurationError> {
        let Some(text) = self.text(key) else {
            return Ok(Vec::new());
        };
        let bundle = bundle_from_pem(text.as_bytes());
        bundle.map_err(|source| ConfigurationError::Bundle { key, source })
    }

    fn list(&self, key: &'static str) -> Result<Vec<String>, ConfigurationError> {
        let Some(text) = self.text(key).filter(|text| !text.is_empty()) else {
            return Ok(Vec::new());
        };
        let list = serde_json::from_str(text);
        list.map_err(|source| ConfigurationError::NoList { key, source })
    }
}

#[cfg(test)]
mod tests;
