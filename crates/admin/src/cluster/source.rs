//! The kubeconfig file of a real cluster: its connection, and the user for the registration.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use api::management::cluster::ClusterConnection;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::Client;
use kube::config::{Cluster, Kubeconfig, NamedContext};
use serde_json::json;
use signing::secret::SecretString;

use crate::client::{self, Failed};

/// The name of the user in a file that contains only a token.
const BEARER: &str = "gateway";

/// A real cluster, as described by a context of a kubeconfig file.
pub(super) struct Source {
    /// The connection for the gateway, without a credential.
    pub(super) connection: ClusterConnection,
    file: Kubeconfig,
    context: String,
}

impl Source {
    /// Reads a context of a file, by default the current one.
    ///
    /// # Errors
    /// Fails if there is no such context, or if the gateway could not use its connection.
    pub(super) fn read(path: &Path, context: Option<&str>) -> Result<Self> {
        let file = client::read(path)?;
        Self::of(file, context).with_context(|| format!("{} cannot be used", path.display()))
    }

    fn of(file: Kubeconfig, context: Option<&str>) -> Result<Self> {
        let context = chosen(&file, context)?;
        let connection = connection(cluster_of(&file, &context)?)?;
        Ok(Self {
            connection,
            file,
            context,
        })
    }

    /// Returns a client that is authenticated as the user of the file.
    pub(super) async fn client(&self) -> Result<Client> {
        client::of(self.file.clone(), Some(&self.context)).await
    }

    /// Returns a client that is authenticated only by this token.
    pub(super) async fn client_with_token(&self, token: &SecretString) -> Result<Client> {
        let bearer = json!([{ "name": BEARER, "user": { "token": token.expose() } }]);
        let mut file = self.file.clone();
        file.auth_infos = serde_json::from_value(bearer)?;
        for context in file
            .contexts
            .iter_mut()
            .filter_map(|it| it.context.as_mut())
        {
            context.user = Some(BEARER.to_owned());
        }
        client::of(file, Some(&self.context)).await
    }

    /// Returns the version of the cluster.
    ///
    /// # Errors
    /// Fails with [`Failed`] if the cluster does not answer.
    pub(super) async fn version(&self, client: &Client) -> Result<Info> {
        let version = client.apiserver_version().await;
        version.map_err(|error| {
            let cluster = format!("the cluster at {}", self.connection.server);
            Failed::of(cluster, error)
        })
    }
}

fn chosen(file: &Kubeconfig, context: Option<&str>) -> Result<String> {
    let names = |contexts: &[NamedContext]| {
        let names: Vec<&str> = contexts.iter().map(|it| it.name.as_str()).collect();
        names.join(", ")
    };
    let wanted = context.or(file.current_context.as_deref().filter(|it| !it.is_empty()));
    let wanted = wanted.with_context(|| {
        format!(
            "it has no current context: choose one with --from-context: {}",
            names(&file.contexts)
        )
    })?;
    if !file.contexts.iter().any(|context| context.name == wanted) {
        bail!(
            "it has no context {wanted:?}; its contexts are {}",
            names(&file.contexts)
        );
    }
    Ok(wanted.to_owned())
}

fn cluster_of<'a>(file: &'a Kubeconfig, context: &str) -> Result<&'a Cluster> {
    let context = file.contexts.iter().find(|it| it.name == context);
    let name = context.and_then(|it| it.context.as_ref());
    let name = name.map(|it| it.cluster.as_str()).unwrap_or_default();
    let cluster = file.clusters.iter().find(|it| it.name == name);
    cluster
        .and_then(|it| it.cluster.as_ref())
        .ok_or_else(|| anyhow!("it has no cluster {name:?}, which the context names"))
}

fn connection(cluster: &Cluster) -> Result<ClusterConnection> {
    if cluster.insecure_skip_tls_verify == Some(true) {
        bail!(
            "it sets insecure-skip-tls-verify, but the gateway connects only to servers whose certificate it can verify: put the certificate authority of the cluster into certificate-authority-data instead"
        );
    }
    let server = cluster.server.clone().unwrap_or_default();
    if !server.starts_with("https://") {
        bail!("its server {server:?} is not an https:// URL");
    }
    Ok(ClusterConnection {
        server,
        ca_data: ca_data(cluster)?,
        tls_server_name: cluster.tls_server_name.clone().unwrap_or_default(),
        proxy_url: cluster.proxy_url.clone().unwrap_or_default(),
        credential_secret_ref: None,
    })
}

/// Returns the CA certificates of a cluster: PEM, in base64. Inline data takes precedence over a
/// file, as in kubectl.
fn ca_data(cluster: &Cluster) -> Result<String> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(data) = given(&cluster.certificate_authority_data) {
        return Ok(data);
    }
    let Some(path) = given(&cluster.certificate_authority) else {
        return Ok(String::new());
    };
    let pem = std::fs::read(&path);
    let pem = pem.with_context(|| format!("its certificate-authority {path} cannot be read"))?;
    Ok(STANDARD.encode(pem))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FILE: &str = r"
apiVersion: v1
kind: Config
current-context: a
clusters:
- name: plain
  cluster: { server: 'https://10.0.0.1:6443', certificate-authority-data: UEVN }
- name: all
  cluster:
    server: https://10.0.0.2:6443/k8s
    certificate-authority: ca.pem
    tls-server-name: kubernetes
    proxy-url: socks5://127.0.0.1:1080
- name: insecure
  cluster: { server: 'https://10.0.0.3', insecure-skip-tls-verify: true }
- name: http
  cluster: { server: 'http://10.0.0.4' }
- name: lost
  cluster: { server: 'https://10.0.0.5', certificate-authority: gone.pem }
users:
- { name: admin, user: { token: very-secret } }
contexts:
- { name: a, context: { cluster: plain, user: admin } }
- { name: b, context: { cluster: all, user: admin } }
- { name: c, context: { cluster: insecure, user: admin } }
- { name: d, context: { cluster: http, user: admin } }
- { name: e, context: { cluster: lost, user: admin } }
- { name: f, context: { cluster: nowhere, user: admin } }
";

    fn read(text: &str, context: Option<&str>) -> Result<Source> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), "PEM").unwrap();
        let path = folder.path().join("config");
        fs::write(&path, text).unwrap();
        Source::read(&path, context)
    }

    #[track_caller]
    fn check(context: Option<&str>, expected: ClusterConnection) {
        assert_eq!(read(FILE, context).unwrap().connection, expected);
    }

    #[track_caller]
    fn refused(text: &str, context: Option<&str>, expected: &str) {
        let error = read(text, context).err().unwrap();
        let told = format!("{error:#}");
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("very-secret"), "{told}");
    }

    #[test]
    fn the_current_context_is_used_unless_another_is_named() {
        let plain = ClusterConnection {
            server: "https://10.0.0.1:6443".to_owned(),
            ca_data: "UEVN".to_owned(),
            ..ClusterConnection::default()
        };
        check(None, plain.clone());
        check(Some("a"), plain);
    }

    #[test]
    fn everything_about_the_way_is_taken_over_and_a_ca_file_is_read() {
        check(
            Some("b"),
            ClusterConnection {
                server: "https://10.0.0.2:6443/k8s".to_owned(),
                ca_data: "UEVN".to_owned(),
                tls_server_name: "kubernetes".to_owned(),
                proxy_url: "socks5://127.0.0.1:1080".to_owned(),
                credential_secret_ref: None,
            },
        );
    }

    #[test]
    fn a_file_that_cannot_be_used_says_what_would_be_right() {
        refused(FILE, Some("c"), "certificate-authority-data instead");
        refused(
            FILE,
            Some("d"),
            r#"its server "http://10.0.0.4" is not an https:// URL"#,
        );
        refused(FILE, Some("e"), "gone.pem cannot be read");
        refused(FILE, Some("f"), r#"it has no cluster "nowhere""#);
        refused(
            FILE,
            Some("x"),
            r#"it has no context "x"; its contexts are a, b, c, d, e, f"#,
        );
        let without = FILE.replace("current-context: a", "");
        refused(
            &without,
            None,
            "choose one with --from-context: a, b, c, d, e, f",
        );
        refused("", None, "it has no current context");
    }
}
