//! `cluster list`: prints one line for each cluster to stdout.

use anyhow::Result;
use jiff::Timestamp;
use machinery::human_duration::human_duration;
use machinery::time::Clock;
use management::cluster_secret::Purpose;

use super::Server;
use super::expiry::Expiry;
use super::records::{self, Record};
use super::secrets::{Fault, Secrets};
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

/// The text of an empty cell.
const NONE: &str = "<none>";

/// Runs the command.
pub(super) async fn run(server: &Server<'_>, clock: &dyn Clock) -> Result<()> {
    let clusters = records::all(server).await?;
    let credentials = match Secrets::read(server).await {
        Ok(credentials) => Some(credentials),
        Err(error) => {
            server.say(format_args!("the credentials cannot be checked: {error:#}"));
            None
        }
    };
    let now = clock.now();
    let rows: Vec<[String; 7]> = clusters
        .iter()
        .map(|cluster| row(cluster, credentials.as_ref(), now))
        .collect();
    server.console.print(&table(&HEAD, &rows))
}

fn row(cluster: &Record, credentials: Option<&Secrets>, now: Timestamp) -> [String; 7] {
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

/// Returns `Ready`, or the reason why the cluster is not ready.
fn state(cluster: &Record) -> String {
    let status = cluster.status.as_ref();
    match status.and_then(|status| status.ready()) {
        Some(condition) if condition.is_true() => condition.type_.clone(),
        Some(condition) => condition.reason.clone(),
        None => "Unknown".to_owned(),
    }
}

/// Returns the remaining lifetime of the gateway's credential, or the reason why it is not used.
fn credential(cluster: &Record, credentials: Option<&Secrets>, now: Timestamp) -> String {
    let cluster = records::object(cluster);
    let Some(reference) = Purpose::Gateway.reference(&cluster) else {
        return NONE.to_owned();
    };
    let Some(credentials) = credentials else {
        return "<unknown>".to_owned();
    };
    let secret = match credentials.find(&cluster, Purpose::Gateway, reference) {
        Ok(secret) => secret,
        Err(Fault::Foreign) => return "foreign".to_owned(),
        Err(Fault::Missing) => return "missing".to_owned(),
        Err(Fault::NotBound) => return "not bound".to_owned(),
    };
    match Expiry::of(secret) {
        Expiry::Never => "endless".to_owned(),
        Expiry::Unknown => "<unknown>".to_owned(),
        Expiry::At(end) if end <= now => "expired".to_owned(),
        Expiry::At(end) => human_duration(end.as_second() - now.as_second()),
    }
}

#[cfg(test)]
mod tests {
    use api::management::cluster::{ClusterConnection, ClusterSpec, SecretReference};
    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::Secret;
    use management::cluster_secret::Binding;
    use serde_json::json;

    use super::*;

    const NAMESPACE: &str = "own";

    fn cluster(name: &str, server: &str, status: serde_json::Value) -> Record {
        let reference = SecretReference {
            namespace: NAMESPACE.to_owned(),
            name: Purpose::Gateway.secret_name(name),
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
        record.metadata.uid = Some(format!("uid-{name}"));
        record.metadata.creation_timestamp =
            serde_json::from_value(json!("1970-01-01T00:00:00Z")).unwrap();
        record.status = serde_json::from_value(status).unwrap();
        record
    }

    /// Returns a Secret that is bound to the cluster.
    fn secret(cluster: &Record, token: &str) -> Secret {
        let binding = Binding::of(&records::object(cluster), Purpose::Gateway);
        Secret {
            metadata: kube::core::ObjectMeta {
                annotations: Some(binding.annotations()),
                ..Default::default()
            },
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
        let mut foreign = cluster("e", "https://e", json!({}));
        let connection = foreign.spec.connection.as_mut().unwrap();
        let reference = connection.credential_secret_ref.as_mut().unwrap();
        "cluster-a-gateway".clone_into(&mut reference.name);
        let clusters = [
            local,
            cluster("a", "https://10.0.0.1:6443", ready),
            cluster("b", "https://b", down),
            cluster("c", "https://c", json!({})),
            cluster("d", "https://elsewhere", json!({})),
            foreign,
        ];
        // The claims are `{"exp":7200}` and `{"exp":200}`.
        let (valid, over) = ("e30.eyJleHAiOjcyMDB9.c2ln", "e30.eyJleHAiOjIwMH0.c2ln");
        let d = cluster("d", "https://d", json!({}));
        let secrets = [
            ("cluster-a-gateway", secret(&clusters[1], valid)),
            ("cluster-b-gateway", secret(&clusters[2], over)),
            ("cluster-d-gateway", secret(&d, valid)),
        ];
        let secrets = secrets.map(|(name, secret)| (name.to_owned(), secret));
        let credentials = Secrets {
            namespace: NAMESPACE.to_owned(),
            by_name: secrets.into(),
        };
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
d       The d          https://elsewhere       <none>    Unknown       not bound    10m
e       The e          https://e               <none>    Unknown       foreign      10m
"
        );
    }
}
