//! `cluster list`: one line for each cluster on stdout.

use std::collections::BTreeMap;
use std::io::{Write, stdout};

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use machinery::human_duration::human_duration;
use machinery::time::Clock;

use super::Server;
use super::client::told;
use super::expiry::Expiry;
use super::manifests::NAMESPACE;
use super::progress::say;
use super::records::{self, Record};
use crate::table::table;

const HEAD: [&str; 7] = [
    "NAME",
    "DISPLAY NAME",
    "SERVER",
    "VERSION",
    "STATUS",
    "CREDENTIAL",
    "AGE",
];

/// What stands where there is nothing to say.
const NONE: &str = "<none>";

/// Secrets of clusters, by name.
type Credentials = BTreeMap<String, Secret>;

/// Runs the command.
pub(super) async fn run(server: &Server, clock: &dyn Clock) -> Result<()> {
    let clusters = records::all(server).await?;
    let credentials = match credentials(server).await {
        Ok(credentials) => Some(credentials),
        Err(error) => {
            say(format_args!(
                "the credentials cannot be looked at: {error:#}"
            ));
            None
        }
    };
    let now = clock.now();
    let rows: Vec<[String; 7]> = clusters
        .iter()
        .map(|cluster| row(cluster, credentials.as_ref(), now))
        .collect();
    let mut out = stdout().lock();
    out.write_all(table(&HEAD, &rows).as_bytes())
        .context("stdout is closed")
}

async fn credentials(server: &Server) -> Result<Credentials> {
    let api = Api::<Secret>::namespaced(server.client.clone(), &server.namespace);
    let list = api.list(&Default::default()).await.map_err(told)?;
    let named = |secret: Secret| Some((secret.metadata.name.clone()?, secret));
    Ok(list.into_iter().filter_map(named).collect())
}

fn row(cluster: &Record, credentials: Option<&Credentials>, now: Timestamp) -> [String; 7] {
    let name = cluster.metadata.name.clone().unwrap_or_default();
    let connection = cluster.spec.connection.as_ref();
    let status = cluster.status.as_ref();
    let version = status.and_then(|status| status.version.as_ref());
    let created = cluster.metadata.creation_timestamp.as_ref();
    let age = created.map(|created| human_duration(now.as_second() - created.0.as_second()));
    let shown = |text: Option<&str>| {
        let text = text.filter(|text| !text.is_empty());
        text.unwrap_or(NONE).to_owned()
    };
    [
        shown(Some(&name)),
        shown(Some(&cluster.spec.display_name)),
        shown(connection.map(|connection| connection.server.as_str())),
        shown(version.map(|version| version.git_version.as_str())),
        state(cluster),
        credential(cluster, credentials, now),
        shown(age.as_deref()),
    ]
}

/// `Ready`, or why not.
fn state(cluster: &Record) -> String {
    let status = cluster.status.as_ref();
    match status.and_then(|status| status.ready()) {
        Some(condition) if condition.is_true() => condition.type_.clone(),
        Some(condition) => condition.reason.clone(),
        None => "Unknown".to_owned(),
    }
}

/// How long the gateway's credential still counts.
fn credential(cluster: &Record, credentials: Option<&Credentials>, now: Timestamp) -> String {
    let connection = cluster.spec.connection.as_ref();
    let reference = connection.and_then(|connection| connection.credential_secret_ref.as_ref());
    let (Some(reference), Some(credentials)) = (reference, credentials) else {
        return if reference.is_some() {
            "<unknown>"
        } else {
            NONE
        }
        .to_owned();
    };
    let secret = credentials
        .get(&reference.name)
        .filter(|_| reference.namespace == NAMESPACE);
    match secret.map(Expiry::of) {
        None => "missing".to_owned(),
        Some(Expiry::Never) => "endless".to_owned(),
        Some(Expiry::Unknown) => "<unknown>".to_owned(),
        Some(Expiry::At(end)) if end <= now => "expired".to_owned(),
        Some(Expiry::At(end)) => human_duration(end.as_second() - now.as_second()),
    }
}

#[cfg(test)]
mod tests {
    use api::management::cluster::{ClusterConnection, ClusterSpec, SecretReference};
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    fn cluster(name: &str, server: &str, status: serde_json::Value) -> Record {
        let reference = SecretReference {
            namespace: NAMESPACE.to_owned(),
            name: records::gateway_secret(name),
        };
        let connection = ClusterConnection {
            server: server.to_owned(),
            credential_secret_ref: Some(reference),
            ..ClusterConnection::default()
        };
        let spec = ClusterSpec {
            display_name: format!("The {name}"),
            connection: Some(connection),
            ..ClusterSpec::default()
        };
        let mut record = Record::new(name, &records::resource(), spec);
        record.metadata.creation_timestamp =
            serde_json::from_value(json!("1970-01-01T00:00:00Z")).unwrap();
        record.status = serde_json::from_value(status).unwrap();
        record
    }

    fn secret(token: &str) -> Secret {
        Secret {
            data: Some([("token".to_owned(), ByteString(token.into()))].into()),
            ..Secret::default()
        }
    }

    #[test]
    fn each_cluster_has_a_line_that_says_how_it_is() {
        let ready = json!({
            "conditions": [{ "type": "Ready", "status": "True", "reason": "Connected" }],
            "version": { "gitVersion": "v1.36.3" },
        });
        let down = json!({
            "conditions": [{ "type": "Ready", "status": "False", "reason": "Unreachable" }],
        });
        let mut local = Record::new("local", &records::resource(), ClusterSpec::default());
        local.metadata.creation_timestamp = None;
        let clusters = [
            local,
            cluster("a", "https://10.0.0.1:6443", ready),
            cluster("b", "https://b", down),
            cluster("c", "https://c", json!({})),
        ];
        // {"exp":7200} and {"exp":200}
        let credentials = [
            (
                "cluster-a-gateway".to_owned(),
                secret("e30.eyJleHAiOjcyMDB9.c2ln"),
            ),
            (
                "cluster-b-gateway".to_owned(),
                secret("e30.eyJleHAiOjIwMH0.c2ln"),
            ),
        ];
        let credentials = credentials.into();
        let now = Timestamp::from_second(600).unwrap();
        let rows = clusters.map(|cluster| row(&cluster, Some(&credentials), now));
        assert_eq!(
            table(&HEAD, &rows),
            "\
NAME    DISPLAY NAME   SERVER                  VERSION   STATUS        CREDENTIAL   AGE
local   <none>         <none>                  <none>    Unknown       <none>       <none>
a       The a          https://10.0.0.1:6443   v1.36.3   Ready         110m         10m
b       The b          https://b               <none>    Unreachable   expired      10m
c       The c          https://c               <none>    Unknown       missing      10m
"
        );
    }
}
