//! `cluster bind`: binds the Secrets of a cluster to the cluster, and the gateway's credential to
//! the connection that it may be sent to.
//!
//! A Secret without a binding, as older versions wrote it, is bound at once. A Secret with another
//! binding is bound again only if the administrator repeats the digest of the new connection, which
//! the command prints. A user who may edit a Cluster can change its connection. Such a user must
//! not get the credential sent to another server by waiting for a routine command.
//!
//! In a host, a Secret that needs the seal of the server is bound only if the server sealed it,
//! because other users may have written it. Otherwise the administrator must create a new
//! credential.

use anyhow::{Context, Result, bail};
use api::management::Cluster;
use api::management::cluster::ClusterConnection;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use management::ca_bundle::CaBundle;
use management::cluster_secret::{Binding, Purpose, SealKey, connection_digest};
use serde_json::json;

use super::Server;
use super::records;
use crate::args::BindArgs;
use crate::client::told;
use crate::seal_key;

/// The maximum number of characters that are printed of the subject of a certificate.
const MAX_SUBJECT: usize = 128;

/// The state of a Secret of a cluster before it is bound.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Absent,
    Unbound,
    Bound,
    BoundElsewhere,
}

/// Writes bindings.
struct Binder<'a> {
    server: &'a Server<'a>,
    secrets: Api<Secret>,
}

/// Runs the command.
pub(super) async fn run(server: &Server<'_>, args: &BindArgs) -> Result<()> {
    let all = records::all(server).await?;
    let binder = Binder {
        server,
        secrets: Api::namespaced(server.client.clone(), &server.namespace),
    };
    let Some(name) = &args.name else {
        return binder.bind_all(&all).await;
    };
    let cluster = records::object(records::named(&all, name)?);
    if binder.bind(&cluster, args.to.as_deref()).await? == 0 {
        bail!("cluster {name} has no Secret to bind");
    }
    Ok(())
}

impl Binder<'_> {
    /// Binds the Secrets of all clusters that have no binding.
    async fn bind_all(&self, all: &[records::Record]) -> Result<()> {
        let mut failed = Vec::new();
        for record in all {
            let cluster = records::object(record);
            if let Err(error) = self.bind(&cluster, None).await {
                self.server.say(format_args!("{error:#}"));
                failed.push(cluster.id().to_owned());
            }
        }
        match failed.as_slice() {
            [] => Ok(()),
            failed => bail!("not bound: {}", failed.join(", ")),
        }
    }

    /// Binds the Secrets of a cluster, and returns their number.
    async fn bind(&self, cluster: &Cluster, confirmed: Option<&str>) -> Result<usize> {
        let console = self.server.console;
        let mut number = 0;
        for purpose in Purpose::ALL {
            let name = purpose.secret_name(cluster.id());
            let found = self.secrets.get_opt(&name).await.map_err(told)?;
            let wanted = Binding::of(cluster, purpose);
            let state = state(found.as_ref(), purpose, &wanted);
            number += usize::from(state != State::Absent);
            let Some(mut secret) = found else { continue };
            let key = self.seal_key(purpose).await?;
            if !self.is_genuine(&secret, purpose, key.as_ref()) {
                bail!(unsealed(cluster, &name));
            }
            match state {
                State::Absent => {}
                State::Bound => console.say(format_args!("server: Secret {name} is already bound")),
                State::BoundElsewhere if !confirms(cluster, confirmed) => {
                    console.say_all(refusal(cluster, &name));
                    bail!("Secret {name} is not bound");
                }
                State::Unbound | State::BoundElsewhere => {
                    secret.metadata.annotations = Some(wanted.annotations());
                    if let Some(key) = key {
                        key.seal(&mut secret, &self.server.namespace, purpose, &wanted);
                    }
                    let written = self.write(secret).await;
                    written.with_context(|| format!("Secret {name} cannot be bound"))?;
                    console.say(format_args!(
                        "server: Secret {name} bound to cluster {}",
                        cluster.id()
                    ));
                }
            }
            if purpose == Purpose::Gateway {
                console.say_all(destination(&connection(cluster)));
            }
        }
        Ok(number)
    }

    /// Returns the key that seals Secrets of this purpose. `None` if they need no seal.
    async fn seal_key(&self, purpose: Purpose) -> Result<Option<SealKey>> {
        match purpose.is_sealed() {
            true => seal_key::of_server(&self.server.client, &self.server.namespace).await,
            false => Ok(None),
        }
    }

    /// Returns whether a Secret has the seal that it needs, for its current binding.
    fn is_genuine(&self, secret: &Secret, purpose: Purpose, key: Option<&SealKey>) -> bool {
        let Some(key) = key else {
            return true;
        };
        let namespace = &self.server.namespace;
        let bound = Binding::read(&secret.metadata, purpose);
        bound.is_some_and(|bound| key.is_sealed(secret, namespace, purpose, &bound))
    }

    /// Writes the annotations, unless the Secret has changed since it was read.
    async fn write(&self, secret: Secret) -> Result<()> {
        let metadata = secret.metadata;
        let patch = json!({ "metadata": {
            "resourceVersion": metadata.resource_version,
            "annotations": metadata.annotations,
        }});
        let name = metadata.name.unwrap_or_default();
        let params = PatchParams::default();
        let patch = Patch::Merge(&patch);
        let patched = self.secrets.patch(&name, &params, &patch).await;
        patched.map_err(told)?;
        Ok(())
    }
}

fn state(found: Option<&Secret>, purpose: Purpose, wanted: &Binding) -> State {
    let Some(secret) = found else {
        return State::Absent;
    };
    match Binding::read(&secret.metadata, purpose) {
        None => State::Unbound,
        Some(bound) if bound == *wanted => State::Bound,
        Some(_) => State::BoundElsewhere,
    }
}

fn confirms(cluster: &Cluster, confirmed: Option<&str>) -> bool {
    confirmed == Some(connection_digest(&connection(cluster)).as_str())
}

/// Returns the lines that state the reason why a Secret is not bound, and the command that binds
/// it.
fn refusal(cluster: &Cluster, secret: &str) -> Vec<String> {
    let (id, connection) = (cluster.id(), connection(cluster));
    let why = format!(
        "Secret {secret} is bound to another connection, or to a former cluster of this name."
    );
    let how = format!(
        "If this is correct, run: kubeconfig-apiserver cluster bind {id} --to {}",
        connection_digest(&connection)
    );
    let mut lines = vec![why];
    lines.extend(destination(&connection));
    lines.push(how);
    lines
}

fn unsealed(cluster: &Cluster, secret: &str) -> String {
    format!(
        "Secret {secret} does not have the seal of the server, so another client may have written it: create a new credential with kubeconfig-apiserver cluster webhook {}",
        cluster.id()
    )
}

/// Describes the destination of a credential, in lines. Editors of the Cluster control the values,
/// so they are quoted.
fn destination(connection: &ClusterConnection) -> Vec<String> {
    let or = |text: &str, default: &str| match text {
        "" => default.to_owned(),
        text => format!("{text:?}"),
    };
    let (authorities, certificates) = authorities(&connection.ca_data);
    let mut lines = vec![format!(
        "The gateway sends the credential to server {}; TLS server name: {}; proxy: {}; certificate authorities{authorities}",
        or(&connection.server, "none"),
        or(&connection.tls_server_name, "that of the server"),
        or(&connection.proxy_url, "none"),
    )];
    lines.extend(certificates);
    lines
}

/// Describes CA certificates, with a line for each certificate. The fingerprint distinguishes
/// certificates of the same length and name.
fn authorities(ca_data: &str) -> (String, Vec<String>) {
    let bundle = match CaBundle::from_base64(ca_data) {
        Ok(bundle) => bundle,
        Err(why) => return (format!(": invalid, because caData {why}"), Vec::new()),
    };
    let summaries = bundle.summaries();
    let lines = summaries.iter().map(|it| {
        let subject: String = it.subject.chars().take(MAX_SUBJECT).collect();
        format!("  {subject:?}, SHA-256 {}", it.fingerprint)
    });
    let lines: Vec<String> = lines.collect();
    match lines.len() {
        0 => (": those of the server's machine".to_owned(), lines),
        number => (format!(" ({number}):"), lines),
    }
}

fn connection(cluster: &Cluster) -> ClusterConnection {
    cluster.spec.connection.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use certificates::{Authority, Validity};
    use jiff::{SignedDuration, Timestamp};
    use serde_json::Value;

    use super::*;

    fn cluster(connection: Value) -> Cluster {
        serde_json::from_value(json!({
            "metadata": {"name": "prod", "uid": "1"},
            "spec": {"connection": connection},
        }))
        .unwrap()
    }

    fn secret(annotations: Option<std::collections::BTreeMap<String, String>>) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.annotations = annotations;
        secret
    }

    #[test]
    fn only_a_binding_to_the_cluster_as_it_is_is_right() {
        let old = cluster(json!({"server": "https://a"}));
        let new = cluster(json!({"server": "https://b"}));
        let (purpose, wanted) = (Purpose::Gateway, Binding::of(&new, Purpose::Gateway));
        let check = |found: Option<Secret>, expected: State| {
            assert_eq!(state(found.as_ref(), purpose, &wanted), expected);
        };
        check(None, State::Absent);
        check(Some(secret(None)), State::Unbound);
        check(Some(secret(Some(wanted.annotations()))), State::Bound);
        let former = Binding::of(&old, purpose).annotations();
        check(Some(secret(Some(former))), State::BoundElsewhere);
    }

    #[test]
    fn a_new_connection_is_confirmed_by_its_own_digest() {
        let cluster = cluster(json!({"server": "https://a\u{1b}", "proxyURL": "http://p"}));
        let digest = connection_digest(&connection(&cluster));
        assert!(confirms(&cluster, Some(&digest)));
        for other in [None, Some(""), Some("1"), Some(&digest[1..])] {
            assert!(!confirms(&cluster, other), "{other:?}");
        }
        let expected = [
            "Secret s is bound to another connection, or to a former cluster of this name.".to_owned(),
            r#"The gateway sends the credential to server "https://a\u{1b}"; TLS server name: that of the server; proxy: "http://p"; certificate authorities: those of the server's machine"#.to_owned(),
            format!("If this is correct, run: kubeconfig-apiserver cluster bind prod --to {digest}"),
        ];
        assert_eq!(refusal(&cluster, "s"), expected);
    }

    #[test]
    fn an_authority_is_shown_by_name_and_fingerprint() {
        let authority = || {
            let validity = Validity::starting(Timestamp::UNIX_EPOCH, SignedDuration::from_hours(1));
            let authority = Authority::create("ca\u{1b}[2J", validity).unwrap();
            authority.certificate_pem().to_owned()
        };
        let (one, two) = (authority(), authority());
        let shown = |pem: &str| authorities(&STANDARD.encode(pem));
        let fingerprint = |line: &str| line.rsplit_once(' ').unwrap().1.to_owned();

        let (number, lines) = shown(&one);
        assert_eq!(number, " (1):");
        assert!(
            lines[0].starts_with(r#"  "CN=ca\u{1b}[2J", SHA-256 "#),
            "{lines:?}"
        );
        let (number, both) = shown(&format!("{one}{two}"));
        assert_eq!(number, " (2):");
        assert_eq!(both[0], lines[0]);
        assert_ne!(fingerprint(&both[0]), fingerprint(&both[1]));

        let none = (": those of the server's machine".to_owned(), Vec::new());
        assert_eq!(authorities(""), none);
        let (useless, lines) = authorities("?");
        assert_eq!(
            useless,
            ": invalid, because caData must be base64 of PEM-encoded X.509 certificates"
        );
        assert!(lines.is_empty());
    }
}
