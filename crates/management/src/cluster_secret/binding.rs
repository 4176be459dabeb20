//! The annotations that bind a Secret to a cluster.

use std::collections::BTreeMap;
use std::fmt::Write;

use api::management::Cluster;
use api::management::cluster::ClusterConnection;
use aws_lc_rs::digest::{SHA256, digest};
use machinery::meta::{MetadataExt, ObjectMeta};

use super::Purpose;

/// Annotation with the name of the cluster.
const CLUSTER: &str = "kubeconfig-apiserver.cattle.io/cluster-name";

/// Annotation with the uid of the cluster.
const UID: &str = "kubeconfig-apiserver.cattle.io/cluster-uid";

/// Annotation with the [`connection_digest`] of the connection that a credential may be sent to.
const CONNECTION: &str = "kubeconfig-apiserver.cattle.io/connection-sha256";

/// The cluster that a Secret belongs to, and the connection that a credential may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    cluster: String,
    uid: String,
    /// `None` for Secrets that are not sent anywhere.
    connection: Option<String>,
}

impl Binding {
    /// Returns the binding that the Secret for this purpose of a cluster must have.
    #[must_use]
    pub fn of(cluster: &Cluster, purpose: Purpose) -> Self {
        let uid = cluster.metadata.uid();
        let none = ClusterConnection::default();
        let connection = cluster.spec.connection.as_ref().unwrap_or(&none);
        Self {
            connection: (purpose == Purpose::Gateway).then(|| connection_digest(connection)),
            ..Self::to_cluster(cluster.id(), uid)
        }
    }

    /// Returns the binding of a Secret that is not sent anywhere.
    #[must_use]
    pub fn to_cluster(cluster: &str, uid: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            uid: uid.to_owned(),
            connection: None,
        }
    }

    /// Returns the binding of a Secret, or `None` if it has none for this purpose.
    #[must_use]
    pub fn read(metadata: &ObjectMeta, purpose: Purpose) -> Option<Self> {
        let annotations = metadata.annotations.as_ref()?;
        let text = |key: &str| {
            annotations
                .get(key)
                .filter(|text| !text.is_empty())
                .cloned()
        };
        Some(Self {
            cluster: text(CLUSTER)?,
            uid: text(UID)?,
            connection: match purpose {
                Purpose::Gateway => Some(text(CONNECTION)?),
                Purpose::Signer | Purpose::Webhook => None,
            },
        })
    }

    /// Returns the annotations that express the binding.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::from([
            (CLUSTER.to_owned(), self.cluster.clone()),
            (UID.to_owned(), self.uid.clone()),
        ]);
        if let Some(connection) = &self.connection {
            annotations.insert(CONNECTION.to_owned(), connection.clone());
        }
        annotations
    }

    /// Returns the name of the cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Returns the uid of the cluster.
    pub(super) fn uid(&self) -> &str {
        &self.uid
    }

    /// Returns the digest of the connection, for a credential.
    #[must_use]
    pub fn connection(&self) -> Option<&str> {
        self.connection.as_deref()
    }

    /// Returns whether both belong to the same cluster, by name and by uid. An unknown uid never
    /// matches.
    pub(super) fn is_same_cluster(&self, other: &Self) -> bool {
        !self.uid.is_empty() && self.cluster == other.cluster && self.uid == other.uid
    }
}

/// Returns the SHA-256, in hexadecimal, of everything that decides the destination of a connection
/// and the identity that is trusted there: server, certificate authorities, TLS server name and
/// proxy. The reference to the credential is not part of it.
#[must_use]
pub fn connection_digest(connection: &ClusterConnection) -> String {
    let ClusterConnection {
        server,
        ca_data,
        tls_server_name,
        proxy_url,
        credential_secret_ref: _,
    } = connection;
    // A JSON array separates the parts, so that no part can be taken for the end of another.
    let parts = serde_json::json!([server, ca_data, tls_server_name, proxy_url]).to_string();
    let digest = digest(&SHA256, parts.as_bytes());
    digest
        .as_ref()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster(server: &str) -> Cluster {
        serde_json::from_value(json!({
            "metadata": {"name": "prod", "uid": "1"},
            "spec": {"connection": {"server": server}},
        }))
        .unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        for purpose in Purpose::ALL {
            let binding = Binding::of(&cluster("https://a"), purpose);
            let metadata = ObjectMeta {
                annotations: Some(binding.annotations()),
                ..ObjectMeta::default()
            };
            assert_eq!(Binding::read(&metadata, purpose), Some(binding));
        }
    }

    #[test]
    fn a_binding_is_complete_or_none() {
        let whole = Binding::of(&cluster("https://a"), Purpose::Gateway).annotations();
        for missing in [CLUSTER, UID, CONNECTION] {
            for replacement in [None, Some(String::new())] {
                let mut annotations = whole.clone();
                annotations.remove(missing);
                annotations.extend(replacement.map(|text| (missing.to_owned(), text)));
                let metadata = ObjectMeta {
                    annotations: Some(annotations),
                    ..ObjectMeta::default()
                };
                assert_eq!(
                    Binding::read(&metadata, Purpose::Gateway),
                    None,
                    "{missing}"
                );
            }
        }
    }

    #[test]
    fn an_unknown_uid_is_the_same_as_no_other() {
        let unknown = Binding::to_cluster("prod", "");
        assert!(!unknown.is_same_cluster(&unknown.clone()));
    }

    #[test]
    fn the_digest_depends_on_every_part_of_the_way_and_on_nothing_else() {
        let whole = || ClusterConnection {
            server: "https://a".to_owned(),
            ca_data: "b".to_owned(),
            tls_server_name: "c".to_owned(),
            proxy_url: "https://d".to_owned(),
            credential_secret_ref: None,
        };
        let digest = connection_digest(&whole());
        let changes: [fn(&mut ClusterConnection); 6] = [
            |it| it.server.push('x'),
            |it| it.ca_data.push('x'),
            |it| it.tls_server_name.push('x'),
            |it| it.proxy_url.push('x'),
            |it| it.ca_data.clear(),
            |it| std::mem::swap(&mut it.ca_data, &mut it.tls_server_name),
        ];
        for change in changes {
            let mut changed = whole();
            change(&mut changed);
            assert_ne!(connection_digest(&changed), digest, "{changed:?}");
        }
        let mut same = whole();
        same.credential_secret_ref = Some(Default::default());
        assert_eq!(connection_digest(&same), digest);
    }

    #[test]
    fn names_of_secrets_do_not_collide() {
        let clusters = ["a", "a-gateway", "a-signer", "a-gateway-signer", "a.b", "A"];
        let names = clusters
            .iter()
            .flat_map(|cluster| Purpose::ALL.map(|purpose| purpose.secret_name(cluster)));
        let distinct: std::collections::BTreeSet<String> = names.collect();
        assert_eq!(distinct.len(), clusters.len() * Purpose::ALL.len());
    }
}
