//! The setup of a host, and the values of the chart for it.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::{Authority, Names, Validity};
use serde_json::{Value, json};
use test_cluster::EtcdCluster;

use super::NAME;
use crate::{OidcProvider, oidc_provider};

/// The setup of a host.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Values of the chart, in the form of `helm install --set`.
    pub values: Vec<String>,
    /// Objects that the values refer to and that the chart does not create: Secrets with
    /// certificates.
    pub objects: Vec<Value>,
    /// The number of replicas.
    pub replicas: usize,
    /// True if alice and bob use tokens of an OIDC issuer instead of client certificates.
    pub oidc: bool,
    /// The CA of the gateway's certificate, PEM, if that is not the CA of the APIService.
    pub gateway_ca: Option<String>,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            objects: Vec::new(),
            replicas: 1,
            oidc: false,
            gateway_ca: None,
        }
    }
}

impl HostOptions {
    /// Permits users of this provider to log in at the gateway, with any program.
    pub fn with_logins(self, provider: &OidcProvider) -> anyhow::Result<Self> {
        let mut options = self.with_bound_logins(provider)?;
        let unbound = format!("oidc.unboundClientIds={{{}}}", oidc_provider::CLIENT);
        options.values.push(unbound);
        Ok(options)
    }

    /// Permits users of this provider to log in at the gateway, with programs that bind their
    /// tokens to it.
    pub fn with_bound_logins(mut self, provider: &OidcProvider) -> anyhow::Result<Self> {
        let name = "oidc-ca";
        self.values.extend([
            format!("oidc.issuerUrl={}", provider.issuer()),
            format!("oidc.clientId={}", oidc_provider::CLIENT),
            format!("oidc.caConfigMap={name}"),
            "oidc.usernamePrefix=-".to_owned(),
        ]);
        self.objects.push(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": NAME},
            "data": {"ca.crt": fs::read_to_string(provider.ca_file())?},
        }));
        Ok(self)
    }

    /// Gives clusters host names in the zone `k8s.eu.example.com`, and the gateway a certificate
    /// for all managed names and for this unmanaged one.
    pub fn with_names(mut self, unmanaged: &str) -> anyhow::Result<Self> {
        let zone = "k8s.eu.example.com";
        let secret = "gateway-tls";
        self.values.extend([
            format!("gateway.endpoints.zone={zone}"),
            "gateway.endpoints.organization=acme".to_owned(),
            format!("gateway.tls.secretName={secret}"),
            "gateway.tls.privateCA=true".to_owned(),
        ]);
        let validity = Validity {
            not_before: "2020-01-01T00:00:00Z".parse()?,
            not_after: "2099-01-01T00:00:00Z".parse()?,
        };
        let authority = Authority::create("gateway-ca", validity)?;
        let mut names = Names::default();
        for name in ["127.0.0.1", &format!("*.{zone}"), unmanaged] {
            names.add(name);
        }
        let pair = authority.serving("gateway", &names, validity)?;
        let ca = authority.certificate_pem().to_owned();
        self.objects.push(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": secret, "namespace": NAME},
            "stringData": {"ca.crt": ca, "tls.crt": pair.certificate, "tls.key": pair.key.expose()},
        }));
        self.gateway_ca = Some(ca);
        Ok(self)
    }

    /// Stores the records in this etcd.
    pub fn in_etcd(etcd: &EtcdCluster) -> anyhow::Result<Self> {
        let secret = "etcd-client";
        let mut data = serde_json::Map::new();
        for (key, file) in [
            ("ca.crt", etcd.ca_file()),
            ("tls.crt", etcd.certificate_file()),
            ("tls.key", etcd.key_file()),
        ] {
            data.insert(key.to_owned(), STANDARD.encode(fs::read(file)?).into());
        }
        Ok(Self {
            values: vec![
                "store.kind=etcd".to_owned(),
                format!("store.etcd.endpoints={{{}}}", etcd.endpoints().join(",")),
                format!("store.etcd.tls.secretName={secret}"),
            ],
            objects: vec![json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
                "metadata": {"name": secret, "namespace": NAME},
            })],
            ..Self::default()
        })
    }
}
