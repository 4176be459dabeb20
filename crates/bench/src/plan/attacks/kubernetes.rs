//! A real kube-apiserver under the same attacks, with ConfigMaps in place of kubeconfigs, because
//! it serves them itself.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};
use test_cluster::http::{Client, expect};
use test_cluster::{Certificate, Options, TestCluster};
use tokio::task::block_in_place;

use super::victim::{TEXT, Victim, clients, fill_attacker, forge, users};
use crate::connection::Connection;
use crate::endpoint::{Endpoint, Identity};
use crate::process::Meter;
use crate::request::{self, JSON};

const ATTACKER: &str = "alice";

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Time limit until a user has the granted rights.
const LIMIT: Duration = Duration::from_secs(30);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Size of the text in an object of an honest user, in bytes: about that of a kubeconfig record.
const SMALL: usize = 1000;

/// Starts a cluster whose etcd waits for the disk, in `folder`.
pub(super) fn start(folder: &Path) -> anyhow::Result<TestCluster> {
    let _ = tempfile::env::override_temp_dir(folder);
    TestCluster::start(&Options {
        durable: true,
        ..Options::default()
    })
}

/// Restarts kube-apiserver on the same objects. After an attack it may process the received
/// requests for minutes, and would then be slow even without an attack.
pub(super) fn restart(cluster: &mut TestCluster) -> anyhow::Result<Meter> {
    cluster.restart_apiserver(&Options::default())?;
    let process = cluster.apiserver_id().context("no kube-apiserver")?;
    Ok(Meter::of(process))
}

/// Creates the objects that attacks need.
pub(super) async fn victim(cluster: &TestCluster) -> anyhow::Result<Victim> {
    let admin = cluster.admin()?;
    let roots = cluster.ca_pem().to_owned();
    let url = cluster.url();
    let address = url.strip_prefix("https://").context("no https")?.parse()?;
    let as_user = |user: &str| {
        let identity = identity(&cluster.client_certificate(user, None)?);
        let endpoint = Endpoint::new(address, roots.as_bytes(), Some(&identity))?;
        anyhow::Ok((identity, endpoint))
    };
    block_in_place(|| role(&admin))?;
    let mut honest = Vec::new();
    for name in users() {
        block_in_place(|| user(&admin, &name))?;
        let (_, endpoint) = as_user(&name)?;
        let collection = config_maps(&name);
        allowed(&endpoint, &collection).await?;
        honest.extend(clients(&endpoint, &collection, &object(SMALL)).await?);
    }
    block_in_place(|| user(&admin, ATTACKER))?;
    let (identity, endpoint) = as_user(ATTACKER)?;
    let collection = config_maps(ATTACKER);
    allowed(&endpoint, &collection).await?;
    let item = fill_attacker(&endpoint, &collection, &object(TEXT)).await?;
    let token = block_in_place(|| service_account_token(&admin))?;
    let process = cluster.apiserver_id().context("no kube-apiserver")?;
    Ok(Victim {
        meter: Meter::of(process),
        roots,
        endpoint,
        identity,
        collection,
        object: object(TEXT),
        item,
        honest,
        forged: forge(&token)?,
        reviewer: None,
        gateway: None,
    })
}

/// Waits until the rights of a user are effective in kube-apiserver.
async fn allowed(endpoint: &Endpoint, collection: &str) -> anyhow::Result<()> {
    let list = request::get(endpoint, collection, JSON);
    let began = Instant::now();
    loop {
        match Connection::open(endpoint).await?.send(&list).await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > LIMIT => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn config_maps(user: &str) -> String {
    format!("/api/v1/namespaces/{user}/configmaps")
}

fn object(bytes: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"generateName": "kubeconfig-"},
        "data": {"text": "x".repeat(bytes)},
    })
}

fn identity(certificate: &Certificate) -> Identity {
    Identity {
        chain: certificate.certificate.clone().into_bytes(),
        key: certificate.key.clone().into_bytes(),
    }
}

fn role(admin: &Client) -> anyhow::Result<()> {
    let role = json!({
        "metadata": {"name": "bench"},
        "rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
            {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        ],
    });
    create(admin, &format!("{RBAC}/clusterroles"), &role)?;
    Ok(())
}

/// Creates the namespace and the role binding of a user.
fn user(admin: &Client, name: &str) -> anyhow::Result<()> {
    let namespace = json!({"metadata": {"name": name}});
    create(admin, "/api/v1/namespaces", &namespace)?;
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "metadata": {"name": format!("bench-{name}")},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "bench"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": name}],
    });
    create(admin, &format!("{RBAC}/clusterrolebindings"), &binding)?;
    Ok(())
}

fn service_account_token(admin: &Client) -> anyhow::Result<String> {
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    create(admin, accounts, &json!({"metadata": {"name": "bench"}}))?;
    let path = format!("{accounts}/bench/token");
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {},
    });
    let created = create(admin, &path, &request)?;
    let token = created["status"]["token"].as_str().context("no token")?;
    Ok(token.to_owned())
}

fn create(admin: &Client, path: &str, object: &Value) -> anyhow::Result<Value> {
    let created = expect(admin.post(path, object)?, 201);
    created
        .with_context(|| format!("creating in {path}"))?
        .json()
}
