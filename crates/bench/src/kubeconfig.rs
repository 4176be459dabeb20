//! The kubeconfigs that the server writes when it starts.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::endpoint::{Endpoint, Identity};

/// Returns the endpoint of a kubeconfig file with one cluster and one user with a certificate.
///
/// # Errors
/// Fails if the file is not such a file, or its server is not an address with a port.
pub(crate) fn endpoint(path: &Path) -> anyhow::Result<Arc<Endpoint>> {
    read(path, true)
}

/// Returns the same endpoint without the certificate.
///
/// # Errors
/// Fails like [`endpoint`].
pub(crate) fn endpoint_without_identity(path: &Path) -> anyhow::Result<Arc<Endpoint>> {
    read(path, false)
}

fn read(path: &Path, with_identity: bool) -> anyhow::Result<Arc<Endpoint>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text, with_identity).with_context(|| format!("using {}", path.display()))
}

fn parse(text: &str, with_identity: bool) -> anyhow::Result<Arc<Endpoint>> {
    let config: Config = serde_saphyr::from_str(text)?;
    let cluster = &config.clusters.first().context("no cluster")?.cluster;
    let user = &config.users.first().context("no user")?.user;
    let address = cluster
        .server
        .strip_prefix("https://")
        .context("no https server")?
        .split('/')
        .next()
        .unwrap_or_default()
        .parse()
        .with_context(|| format!("no address and port: {}", cluster.server))?;
    let identity = Identity {
        chain: STANDARD.decode(&user.client_certificate_data)?,
        key: STANDARD.decode(&user.client_key_data)?,
    };
    let roots = STANDARD.decode(&cluster.certificate_authority_data)?;
    Endpoint::new(address, &roots, with_identity.then_some(&identity))
}

#[derive(Deserialize)]
struct Config {
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority_data: String,
}

#[derive(Deserialize)]
struct NamedUser {
    user: User,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate_data: String,
    client_key_data: String,
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::parse;

    #[test]
    fn kubeconfigs_with_a_certificate_are_understood() {
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = STANDARD.encode(certified.cert.pem());
        let key = STANDARD.encode(certified.signing_key.serialize_pem());
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: a\n  cluster:\n    \
             server: https://127.0.0.1:8443/path\n    certificate-authority-data: {certificate}\n\
             users:\n- name: b\n  user:\n    client-certificate-data: {certificate}\n    \
             client-key-data: {key}\n"
        );
        let endpoint = parse(&text, true).unwrap();
        assert_eq!(endpoint.authority(), "127.0.0.1:8443");
    }
}
