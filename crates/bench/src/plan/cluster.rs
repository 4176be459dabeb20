//! A cluster behind the gateway whose API server is the bare server, and the credentials for it.

use std::process::{Command, Output, Stdio};

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Bench, MANY};
use crate::connection::Connection;
use crate::request;
use crate::server::{KUBECONFIGS, User};

/// The id of the cluster.
pub(super) const CLUSTER: &str = "bench";

pub(super) const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

impl Bench<'_> {
    /// Registers the cluster, and grants alice access to it.
    pub(super) async fn register(&self) -> anyhow::Result<()> {
        let credential = format!("cluster-{CLUSTER}-gateway");
        let namespace = "kubeconfig-apiserver";
        let secret = json!({
            "metadata": {"name": credential},
            "data": {"token": STANDARD.encode("anything")},
        });
        let cluster = json!({
            "apiVersion": "management.cattle.io/v3",
            "kind": "Cluster",
            "metadata": {"name": CLUSTER},
            "spec": {"connection": {
                "server": format!("https://{}", self.bare.endpoint.authority()),
                "caData": STANDARD.encode(&self.bare.certificate),
                "credentialSecretRef": {"namespace": namespace, "name": credential},
            }},
        });
        let role = json!({
            "metadata": {"name": CLUSTER},
            "rules": [{"apiGroups": ["management.cattle.io"], "resources": ["clusters"],
                "resourceNames": [CLUSTER], "verbs": ["get"]}],
        });
        let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
        self.make(&secrets, &secret).await?;
        self.make("/apis/management.cattle.io/v3/clusters", &cluster)
            .await?;
        self.bind()?;
        self.make(&format!("{RBAC}/clusterroles"), &role).await?;
        self.bind_alice(CLUSTER).await
    }

    /// Binds alice to a ClusterRole.
    pub(super) async fn bind_alice(&self, role: &str) -> anyhow::Result<()> {
        self.bind_user("alice", role).await
    }

    /// Binds a user to a ClusterRole.
    pub(super) async fn bind_user(&self, user: &str, role: &str) -> anyhow::Result<()> {
        let group = "rbac.authorization.k8s.io";
        let binding = json!({
            "metadata": {"name": format!("{role}-{user}")},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        });
        self.make(&format!("{RBAC}/clusterrolebindings"), &binding)
            .await
    }

    /// Creates `count` kubeconfigs of alice, and returns their tokens for the cluster.
    pub(super) async fn mint(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let endpoint = self.server.endpoint(User::Alice)?;
        let wanted = json!({
            "apiVersion": "ext.cattle.io/v1",
            "kind": "Kubeconfig",
            "spec": {"clusters": [CLUSTER]},
        });
        let create = request::post(&endpoint, KUBECONFIGS, &wanted.to_string());
        let mut clients = JoinSet::new();
        for index in 0..MANY.min(count) {
            let share = count / MANY + usize::from(index < count % MANY);
            let connection = Connection::open(&endpoint).await?;
            clients.spawn(create_each(connection, create.clone(), share));
        }
        let mut tokens = Vec::with_capacity(count);
        while let Some(made) = clients.join_next().await {
            tokens.extend(made??);
        }
        ensure!(tokens.len() == count, "{} of {count} tokens", tokens.len());
        Ok(tokens)
    }

    /// Permits the gateway to present the credential to the cluster.
    fn bind(&self) -> anyhow::Result<()> {
        self.cluster_command(&["bind", CLUSTER])?;
        Ok(())
    }

    /// Returns the token with which the cluster authenticates its TokenReviews.
    pub(super) fn webhook_token(&self) -> anyhow::Result<String> {
        let output = self.cluster_command(&["webhook", CLUSTER])?;
        token(std::str::from_utf8(&output.stdout)?)
    }

    /// Runs a `cluster` command of the server's program.
    fn cluster_command(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(self.server.program());
        command.arg("cluster").args(arguments).arg("--kubeconfig");
        command.arg(self.server.kubeconfig(User::Admin));
        let output = command.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command:?}: {said}");
        Ok(output)
    }

    /// Creates an object as the administrator.
    pub(super) async fn make(&self, path: &str, object: &Value) -> anyhow::Result<()> {
        let endpoint = self.server.endpoint(User::Admin)?;
        let request = request::post(&endpoint, path, &object.to_string());
        let made = Connection::open(&endpoint).await?.send(&request).await;
        made.with_context(|| format!("creating in {path}"))?;
        Ok(())
    }
}

async fn create_each(
    mut connection: Connection,
    create: Bytes,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        let created = connection.fetch(&create).await?;
        let created: Value = serde_json::from_slice(&created)?;
        let file = created["status"]["value"].as_str().context("no file")?;
        tokens.push(token(file)?);
    }
    Ok(tokens)
}

/// Returns the token of the last user of a kubeconfig. The entry of the cluster comes after the
/// default entry.
pub(super) fn token(kubeconfig: &str) -> anyhow::Result<String> {
    let file: Value = serde_saphyr::from_str(kubeconfig)?;
    let users = file["users"].as_array().context("no users in a file")?;
    let last = users.last().context("no user in a file")?;
    let token = &last["user"]["token"];
    Ok(token.as_str().context("no token in a file")?.to_owned())
}
