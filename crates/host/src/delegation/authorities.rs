//! The contents of the host's ConfigMap on front proxies and client certificates.

use auth::client_certificate::{BundleError, share_an_authority};
use auth::front_proxy::{RequestHeaderConfig, RequestHeaderConfigError};
use certificates::roots::{InvalidRoots, bundle_from_pem};
use k8s_openapi::api::core::v1::ConfigMap;
use rustls::pki_types::CertificateDer;

const CLIENT_CA: &str = "client-ca-file";
const FRONT_PROXY_CA: &str = "requestheader-client-ca-file";

/// The certificate authorities that a server behind the host trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authorities {
    /// The certificate authorities of users' certificates. Empty if the host has none.
    pub(super) client_ca: Vec<CertificateDer<'static>>,
    /// The recognition of front proxies, and the headers that they set.
    pub(super) request_header: RequestHeaderConfig,
}

/// The reason why the ConfigMap cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The ConfigMap does not exist.
    #[error("the host has no ConfigMap kube-system/extension-apiserver-authentication")]
    NoConfigMap,
    /// A required entry is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value is not a list of strings.
    #[error("{key} is not a JSON list of strings")]
    NoList {
        /// The key of the entry.
        key: &'static str,
        /// The fault of the value.
        #[source]
        source: serde_json::Error,
    },
    /// A value is not a CA bundle.
    #[error("{key} cannot be used")]
    Bundle {
        /// The key of the entry.
        key: &'static str,
        /// The fault of the value.
        #[source]
        source: InvalidRoots,
    },
    /// A certificate of a bundle is not a CA.
    #[error("a CA bundle cannot be used")]
    Anchor(#[source] BundleError),
    /// The part on front proxies is invalid.
    #[error("its front-proxy configuration is invalid")]
    RequestHeader(#[from] RequestHeaderConfigError),
    /// The configuration would permit every user with a certificate to impersonate every other
    /// user.
    #[error(
        "requestheader-allowed-names is empty, and users and front proxies have the same CA: any client certificate could impersonate any user"
    )]
    AnyNameOfAnyUser,
}

impl Authorities {
    /// Parses the ConfigMap.
    ///
    /// # Errors
    /// An entry is missing or invalid, or the configuration is dangerous
    /// ([`ConfigurationError::AnyNameOfAnyUser`]) without being permitted.
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

    /// Checks that `next` may replace this configuration. The host never removes its users' CA, so
    /// a missing one is an error.
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

    /// Returns the certificates, or an empty list if the key does not exist. A value without
    /// certificates is an error.
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
