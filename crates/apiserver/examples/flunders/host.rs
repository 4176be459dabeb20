//! Behind a cluster: its front proxy says who calls, and an APIService leads here.

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

/// The name of its Service in the cluster, for which the certificate has to be.
pub(crate) const SERVICE: &str = "flunders.wardle.svc";

/// Believes every certificate of this authority: it signs front proxies and nobody else. What they
/// pass on the cluster has authorised.
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

/// What a cluster on the same machine needs to send requests here: its kube-apiserver finds this
/// server at `localhost`.
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
