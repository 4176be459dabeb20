//! The server in standalone mode, with quotas, honest users and a cluster behind its gateway.

use std::fs;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair,
};
use serde_json::{Value, json};

use super::victim::{Gateway, TEXT, Victim, clients, fill_attacker, forge, users};
use crate::connection::Connection;
use crate::endpoint::{Endpoint, Identity};
use crate::honest::Client;
use crate::plan::Bench;
use crate::plan::cluster::{CLUSTER, token};
use crate::request::{self, JSON};
use crate::server::KUBECONFIGS;

/// The demo user that attacks.
const ATTACKER: &str = "alice";

/// Size of an answer of the cluster that is not read, in bytes.
const LARGE: usize = 4 << 20;

impl Bench<'_> {
    /// Creates the objects that attacks need. The server must be new.
    pub(super) async fn victim(&self) -> anyhow::Result<Victim> {
        self.register().await?;
        let data = self.server.folder().join("data");
        let roots = fs::read_to_string(data.join("ca.crt"))?;
        let key = KeyPair::from_pem(&fs::read_to_string(data.join("ca.key"))?)?;
        let authority = Issuer::from_ca_cert_pem(&roots, key)?;
        let address = self.server.stranger()?.address();
        let as_user = |user: &str| {
            let identity = identity(user, &authority)?;
            let endpoint = Endpoint::new(address, roots.as_bytes(), Some(&identity))?;
            anyhow::Ok((identity, endpoint))
        };
        let small = object(json!({}));
        let (mut honest, mut of_cluster) = (Vec::new(), Vec::new());
        for name in users() {
            let user = json!({
                "apiVersion": "management.cattle.io/v3", "kind": "User",
                "metadata": {"name": name}, "username": name, "enabled": true,
            });
            self.make("/apis/management.cattle.io/v3/users", &user)
                .await?;
            self.bind_user(&name, CLUSTER).await?;
            let (_, endpoint) = as_user(&name)?;
            let clients = clients(&endpoint, KUBECONFIGS, &small).await?;
            let token = minted(&endpoint, CLUSTER).await?;
            of_cluster.extend(through_gateway(&clients, &token));
            honest.extend(clients);
        }
        let (identity, endpoint) = as_user(ATTACKER)?;
        let large_object = object(json!({"description": "x".repeat(TEXT)}));
        let item = fill_attacker(&endpoint, KUBECONFIGS, &large_object).await?;
        let token = minted(&endpoint, CLUSTER).await?;
        let large = format!("/k8s/clusters/{CLUSTER}/parts/{LARGE}");
        let large = request::with_token(&request::get(&endpoint, &large, JSON), &token);
        Ok(Victim {
            meter: self.server.meter(),
            roots,
            identity,
            collection: KUBECONFIGS.to_owned(),
            object: large_object,
            item,
            honest,
            forged: forge(&token)?,
            reviewer: Some(self.webhook_token()?),
            gateway: Some(Gateway {
                large: String::from_utf8_lossy(&large).into_owned(),
                honest: of_cluster,
            }),
            endpoint,
        })
    }
}

fn object(spec: Value) -> Value {
    json!({"apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig", "spec": spec})
}

/// Issues a certificate for a user.
fn identity(user: &str, authority: &Issuer<'_, KeyPair>) -> anyhow::Result<Identity> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    Ok(Identity {
        chain: certificate.pem().into_bytes(),
        key: key.serialize_pem().into_bytes(),
    })
}

/// Returns a token of the user for a cluster.
async fn minted(endpoint: &Endpoint, cluster: &str) -> anyhow::Result<String> {
    let wanted = object(json!({"clusters": [cluster]}));
    let create = request::post(endpoint, KUBECONFIGS, &wanted.to_string());
    let created = Connection::open(endpoint).await?.fetch(&create).await?;
    let created: Value = serde_json::from_slice(&created)?;
    token(created["status"]["value"].as_str().context("no file")?)
}

/// Returns the same clients, reading from the cluster.
fn through_gateway(clients: &[Client], token: &str) -> Vec<Client> {
    let hello = |client: &Client| -> Bytes {
        let path = format!("/k8s/clusters/{CLUSTER}/hello");
        request::with_token(&request::get(&client.endpoint, &path, JSON), token)
    };
    let through = clients.iter().map(|client| Client {
        reads: Arc::new([hello(client)]),
        ..client.clone()
    });
    through.collect()
}
