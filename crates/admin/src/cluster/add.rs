//! `cluster add`: creates the gateway's account in a real cluster, and the objects for the cluster
//! in the server.
//!
//! Everything is checked before anything is written, and every step may be repeated. A second run
//! replaces the token and changes nothing else. The Cluster object is written before the Secret,
//! because the Secret is bound to the uid of the object and to the connection that was checked
//! ([`Binding`]). Between the two writes the gateway sends no credential.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::management::Cluster;
use api::management::cluster::{ClusterSpec, SecretReference};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateway::token_claims::TokenClaims;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use machinery::meta::MetadataExt;
use machinery::time::rfc3339;
use management::cluster_secret::{Binding, Purpose};
use serde_json::json;
use signing::secret::SecretString;
use tokio::time::{Instant, sleep};

use super::Server;
use super::credential::{self, Issued};
use super::manifests::{self, Manifest};
use super::objects::{self, MANAGER, Outcome};
use super::ready;
use super::records;
use super::source::Source;
use crate::args::AddArgs;
use crate::client::told;

/// Time to wait for a namespace that is being deleted.
const NAMESPACE_ENDS: Duration = Duration::from_secs(30);

/// The interval between checks of the namespace.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs the command.
pub(super) async fn run(server: &Server<'_>, args: &AddArgs) -> Result<()> {
    let name = args.name.as_str();
    records::check_name(name)?;
    let source = Source::read(&args.from, args.from_context.as_deref())?;
    let given = args.credential_file.as_deref();
    let given = given.map(credential::from_file).transpose()?;
    let all = records::all(server).await?;
    if let Some(other) = records::at(&all, name, &source.connection) {
        bail!(
            "the cluster at {} is already registered as {other}: run cluster add {other} to renew its credential, or cluster remove {other} before you register it under another name",
            source.connection.server
        );
    }
    let before = all.into_iter().find(|it| it.metadata.name() == name);
    let known = before
        .as_ref()
        .map(|cluster| cluster.spec.display_name.clone());
    let display_name = args.display_name.clone().or(known);
    let wanted = cluster(name, display_name, &source, &server.namespace);
    rehearse(server, &wanted).await?;

    let issued = match given {
        Some(token) => Issued {
            expires: TokenClaims::read(token.expose()).and_then(|claims| claims.expires),
            token,
        },
        None => issue(server, &source).await?,
    };
    verify(server, &source, &issued).await?;
    let written = objects::write(&records::clusters(server), &wanted).await;
    let written =
        written.with_context(|| format!("cluster {name} cannot be written to the server"))?;
    server.say(format_args!("server: cluster {name} {}", written.outcome));
    let binding = binding(&written.object, &source);
    record(server, &binding, &issued.token).await?;
    ready::wait(server, name, before.and_then(|cluster| cluster.status)).await
}

/// The fields of a connection that may be empty. They are always applied. Otherwise a value that
/// another manager set would remain, and the connection in the object would differ from the one to
/// which the credential is bound.
const OPTIONAL: [&str; 3] = ["caData", "tlsServerName", "proxyURL"];

/// Returns the Cluster object to apply. Its connection is the whole connection of the file.
fn cluster(
    name: &str,
    display_name: Option<String>,
    source: &Source,
    namespace: &str,
) -> DynamicObject {
    let mut connection = source.connection.clone();
    connection.credential_secret_ref = Some(SecretReference {
        namespace: namespace.to_owned(),
        name: Purpose::Gateway.secret_name(name),
    });
    let spec = ClusterSpec {
        display_name: display_name
            .filter(|it| !it.is_empty())
            .unwrap_or_else(|| name.to_owned()),
        connection: Some(connection),
        ..ClusterSpec::default()
    };
    let mut data = json!({ "spec": spec });
    for field in OPTIONAL {
        let connection = &mut data["spec"]["connection"];
        if connection[field].is_null() {
            connection[field] = json!("");
        }
    }
    let mut object = DynamicObject::new(name, &records::resource()).data(data);
    object.metadata.labels = objects::labels();
    object
}

/// Checks by a dry run that the server accepts the Cluster object, before any change is made.
async fn rehearse(server: &Server<'_>, cluster: &DynamicObject) -> Result<()> {
    let name = cluster.metadata.name();
    let params = PatchParams::apply(MANAGER).force().dry_run();
    let clusters = records::clusters(server);
    let answer = clusters.patch(name, &params, &Patch::Apply(cluster)).await;
    answer
        .map_err(told)
        .context("the server would reject the cluster")?;
    Ok(())
}

/// Creates our objects in the cluster, as the user of the file, and requests a token.
async fn issue(server: &Server<'_>, source: &Source) -> Result<Issued> {
    let cluster = source.client().await?;
    let version = source.version(&cluster).await?;
    let address = &source.connection.server;
    server.say(format_args!("{address}: responds, {}", version.git_version));
    for manifest in manifests::all()? {
        let what = format!("{} {}", manifest.resource.kind, manifest.name());
        let outcome = make(&manifest, &cluster).await;
        let outcome = outcome.with_context(|| format!("{what} cannot be written at {address}"))?;
        server.say(format_args!("{address}: {what} {outcome}"));
    }
    let issued = credential::request(&cluster).await;
    issued.with_context(|| {
        format!("no token for the gateway's ServiceAccount was issued at {address}")
    })
}

/// Creates an object. A namespace that is not ours is not changed. If a namespace is being deleted,
/// waits for the deletion.
async fn make(manifest: &Manifest, cluster: &Client) -> Result<Outcome> {
    let api = manifest.api(cluster);
    if !manifest.is_namespace() {
        return objects::apply_ours(&api, &manifest.object).await;
    }
    let deadline = Instant::now() + NAMESPACE_ENDS;
    loop {
        match objects::find(&api, manifest.name()).await? {
            Some(found) if found.deletion_timestamp.is_some() => {
                if Instant::now() >= deadline {
                    bail!(
                        "it is still being deleted; run the command again when the deletion is finished"
                    );
                }
                sleep(PAUSE).await;
            }
            Some(found) if !objects::is_ours(&found) => return Ok(Outcome::Unchanged),
            _ => return objects::apply(&api, &manifest.object).await,
        }
    }
}

/// Checks the permissions of the token, and reports them.
async fn verify(server: &Server<'_>, source: &Source, issued: &Issued) -> Result<()> {
    let address = &source.connection.server;
    let bearer = source.client_with_token(&issued.token).await?;
    source.version(&bearer).await?;
    let beyond = credential::check(&bearer).await;
    let beyond = beyond.with_context(|| format!("the gateway could not use {address}"))?;
    let until = issued
        .expires
        .map(|expires| format!(" until {}", rfc3339(expires)));
    server.say(format_args!(
        "{address}: the gateway's token may impersonate{}",
        until.unwrap_or_default()
    ));
    for rule in beyond {
        server.say(format_args!(
            "{address}: note: the gateway's token may also {rule}"
        ));
    }
    Ok(())
}

/// Returns the binding of the token: to the object that was written, and to the connection that was
/// checked, even if other managers have set other fields of the object.
fn binding(written: &DynamicObject, source: &Source) -> Binding {
    let cluster = Cluster {
        metadata: written.metadata.clone(),
        spec: ClusterSpec {
            connection: Some(source.connection.clone()),
            ..ClusterSpec::default()
        },
        ..Cluster::default()
    };
    Binding::of(&cluster, Purpose::Gateway)
}

/// Stores the token in a Secret of the server. The previous token expires by itself.
async fn record(server: &Server<'_>, binding: &Binding, token: &SecretString) -> Result<()> {
    let resource = ApiResource::erase::<Namespace>(&());
    let namespaces = Api::all_with(server.client.clone(), &resource);
    let namespace = server.namespace.as_str();
    if objects::find(&namespaces, namespace).await?.is_none() {
        let mut object = DynamicObject::new(namespace, &resource);
        object.metadata.labels = objects::labels();
        let outcome = objects::apply(&namespaces, &object).await?;
        server.say(format_args!("server: Namespace {namespace} {outcome}"));
    }
    let secret = Purpose::Gateway.secret_name(binding.cluster());
    let data = json!({ "data": { "token": STANDARD.encode(token.expose()) } });
    let mut object = DynamicObject::new(&secret, &records::secret_resource()).data(data);
    object.metadata.labels = objects::labels();
    object.metadata.annotations = Some(binding.annotations());
    let outcome = objects::apply(&records::secrets(server), &object).await;
    let outcome =
        outcome.with_context(|| format!("Secret {secret} cannot be written to the server"))?;
    let how = match outcome {
        Outcome::Updated => "updated: the credential is rotated".to_owned(),
        other => other.to_string(),
    };
    server.say(format_args!("server: Secret {secret} {how}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use api::management::cluster::ClusterConnection;

    use super::*;

    const FILE: &str = r"
apiVersion: v1
kind: Config
current-context: a
clusters: [{ name: a, cluster: { server: 'https://10.0.0.1:6443' } }]
users: [{ name: a, user: { token: t } }]
contexts: [{ name: a, context: { cluster: a, user: a } }]
";

    #[test]
    fn the_whole_connection_is_applied_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, FILE).unwrap();
        let source = Source::read(&path, None).unwrap();
        let object = cluster("prod", None, &source, "own");
        let expected = json!({ "spec": {
            "displayName": "prod",
            "connection": {
                "server": "https://10.0.0.1:6443",
                "caData": "",
                "tlsServerName": "",
                "proxyURL": "",
                "credentialSecretRef": { "namespace": "own", "name": "cluster-prod-gateway" },
            },
        }});
        assert_eq!(object.data, expected);
        // Every field of a connection is applied, so that no field keeps a value of another
        // manager.
        let connection: serde_json::Map<_, _> =
            serde_json::from_value(object.data["spec"]["connection"].clone()).unwrap();
        let whole = ClusterConnection {
            server: "a".to_owned(),
            ca_data: "a".to_owned(),
            tls_server_name: "a".to_owned(),
            proxy_url: "a".to_owned(),
            credential_secret_ref: Some(SecretReference::default()),
        };
        let whole = serde_json::to_value(whole).unwrap();
        let fields = whole.as_object().unwrap().keys();
        assert!(fields.eq(connection.keys()), "{whole}");
    }
}
