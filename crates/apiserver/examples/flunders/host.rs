//! Use as an aggregated API server: the front proxy of a cluster authenticates the callers, and an
//! `APIService` sends requests to this server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use auth::front_proxy::{FrontProxy, RequestHeaderConfig};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use machinery::time::Clock;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

/// The name of the Service in the cluster. The certificate must be valid for it.
pub(crate) const SERVICE: &str = "flunders.wardle.svc";

/// Trusts every certificate of this authority, which signs only front proxies. The cluster has
/// authorised the requests that they forward.
pub(crate) fn front_proxy(ca_file: &Path, clock: Arc<dyn Clock>) -> anyhow::Result<FrontProxy> {
    let ca = CertificateDer::pem_file_iter(ca_file).and_then(Iterator::collect);
    let config = RequestHeaderConfig {
        client_ca: ca.with_context(|| format!("cannot read {}", ca_file.display()))?,
        allowed_names: Vec::new(),
        username_headers: vec!["X-Remote-User".to_owned()],
        uid_headers: vec!["X-Remote-Uid".to_owned()],
        group_headers: vec!["X-Remote-Group".to_owned()],
        extra_header_prefixes: vec!["X-Remote-Extra-".to_owned()],
    };
    Ok(FrontProxy::new(config, clock)?)
}

/// Returns the objects that a cluster on the same machine needs to send requests to this server.
/// Its kube-apiserver reaches the server at `localhost`.
pub(crate) fn objects(address: SocketAddr, certificate: &str) -> Value {
    let named = |name: &str| json!({"name": name, "namespace": "wardle"});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "wardle"}},
        {
            "apiVersion": "v1", "kind": "Service", "metadata": named("flunders"),
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": "v1alpha1.wardle.example.com"},
            "spec": {
                "group": "wardle.example.com",
                "version": "v1alpha1",
                "groupPriorityMinimum": 2000,
                "versionPriority": 200,
                "service": {"name": "flunders", "namespace": "wardle", "port": address.port()},
                "caBundle": STANDARD.encode(certificate),
            },
        },
    ]})
}
