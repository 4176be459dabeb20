//! The Cluster objects in the server.

use anyhow::{Result, bail};
use api::management::cluster::{ClusterConnection, ClusterSpec, ClusterStatus};
use api::management::{self, Cluster, cluster};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, Object};
use machinery::meta::MetadataExt;

use super::Server;
use crate::client::Failed;

/// A Cluster object in a response.
pub(super) type Record = Object<ClusterSpec, ClusterStatus>;

/// Returns the API resource of Clusters.
pub(super) fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk(management::GROUP, management::VERSION, Cluster::KIND);
    ApiResource::from_gvk_with_plural(&kind, Cluster::PLURAL)
}

/// Returns the API of Cluster objects, for writes.
pub(super) fn clusters(server: &Server<'_>) -> Api<DynamicObject> {
    Api::all_with(server.client.clone(), &resource())
}

/// Returns the Cluster object `name`, if there is one.
///
/// # Errors
/// Fails if the server does not answer, or if it is not a kubeconfig-apiserver.
pub(super) async fn cluster(server: &Server<'_>, name: &str) -> Result<Option<Record>> {
    let all = all(server).await?;
    Ok(all
        .into_iter()
        .find(|cluster| cluster.metadata.name.as_deref() == Some(name)))
}

/// Returns all Cluster objects that the caller may see.
///
/// # Errors
/// See [`cluster()`].
pub(super) async fn all(server: &Server<'_>) -> Result<Vec<Record>> {
    match clusters(server).list(&Default::default()).await {
        Ok(list) => {
            let read = |object| read(server, object);
            Ok(list.items.into_iter().filter_map(read).collect())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => bail!(
            "the server of --kubeconfig or KUBECONFIG is not a kubeconfig-apiserver: it does not serve {}.{}",
            Cluster::PLURAL,
            management::GROUP
        ),
        Err(error) => Err(Failed::of("the kubeconfig-apiserver", error)),
    }
}

/// Parses a Cluster object. If a field has a wrong type, reports the object and returns `None`.
fn read(server: &Server<'_>, object: DynamicObject) -> Option<Record> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let read = object.try_parse::<Record>();
    read.inspect_err(|error| server.say(format_args!("cluster {name} cannot be read: {error}")))
        .ok()
}

/// Returns the cluster `name`.
///
/// # Errors
/// Fails with the list of known clusters if there is no such cluster.
pub(super) fn named<'a>(all: &'a [Record], name: &str) -> Result<&'a Record> {
    let id = |record: &'a Record| record.metadata.name();
    let Some(record) = all.iter().find(|record| id(record) == name) else {
        let known: Vec<&str> = all.iter().map(id).collect();
        bail!(
            "cluster {name:?} does not exist; the clusters are {}",
            known.join(", ")
        );
    };
    Ok(record)
}

/// Returns the name of another cluster than `name` that has the same connection. Through another
/// proxy, an address can be that of another cluster.
pub(super) fn at<'a>(
    all: &'a [Record],
    name: &str,
    connection: &ClusterConnection,
) -> Option<&'a str> {
    let is_there = |record: &&Record| {
        let other = record.spec.connection.as_ref();
        other.is_some_and(|other| {
            address(&other.server) == address(&connection.server)
                && other.proxy_url == connection.proxy_url
        })
    };
    let others = all.iter().filter(|record| record.metadata.name() != name);
    let mut there = others.filter(is_there);
    there.next().map(|record| record.metadata.name())
}

/// Returns a URL without the differences in spelling that lead to the same server.
fn address(url: &str) -> String {
    match url.parse::<http::Uri>() {
        Ok(uri) => format!(
            "{}:{}{}",
            uri.host().unwrap_or_default().to_ascii_lowercase(),
            uri.port_u16().unwrap_or(443),
            uri.path().trim_end_matches('/'),
        ),
        Err(_) => url.to_owned(),
    }
}

/// Returns the API resource of Secrets.
pub(super) fn secret_resource() -> ApiResource {
    ApiResource::erase::<Secret>(&())
}

/// Returns the API of the Secrets of clusters, for writes.
pub(super) fn secrets(server: &Server<'_>) -> Api<DynamicObject> {
    Api::namespaced_with(server.client.clone(), &server.namespace, &secret_resource())
}

/// Returns the cluster as an object with its metadata, which is needed for the bindings of Secrets.
pub(super) fn object(record: &Record) -> Cluster {
    Cluster {
        metadata: record.metadata.clone(),
        spec: record.spec.clone(),
        status: ClusterStatus::default(),
    }
}

/// Checks that a cluster may have this name.
///
/// # Errors
/// Returns the fault of the name.
pub(super) fn check_name(name: &str) -> Result<()> {
    if name == cluster::LOCAL {
        bail!("{name} is the cluster that the server itself runs in; choose another name");
    }
    match machinery::validation::dns1123_label(name).first() {
        Some(why) => bail!("{name:?} cannot be the name of a cluster: {why}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Record {
        Record::new(name, &resource(), ClusterSpec::default())
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let all = [record("local"), record("prod")];
        assert_eq!(
            named(&all, "prod").unwrap().metadata.name.as_deref(),
            Some("prod")
        );
        let error = named(&all, "prd").unwrap_err().to_string();
        assert_eq!(
            error,
            r#"cluster "prd" does not exist; the clusters are local, prod"#
        );
    }

    #[test]
    fn another_cluster_is_found_by_its_address_and_proxy() {
        let connection = |server: &str, proxy: &str| ClusterConnection {
            server: server.to_owned(),
            proxy_url: proxy.to_owned(),
            ..ClusterConnection::default()
        };
        let mut prod = record("prod");
        prod.spec.connection = Some(connection("https://Prod.example/k8s", ""));
        let all = [record("local"), prod];
        for (name, server, proxy, expected) in [
            ("a", "https://prod.example/k8s", "", Some("prod")),
            ("a", "https://prod.example:443/k8s/", "", Some("prod")),
            ("prod", "https://prod.example/k8s", "", None),
            ("a", "https://prod.example/k8s", "http://proxy", None),
            ("a", "https://prod.example:6443/k8s", "", None),
            ("a", "https://prod.example", "", None),
        ] {
            let found = at(&all, name, &connection(server, proxy));
            assert_eq!(found, expected, "{name} {server} {proxy}");
        }
    }

    #[test]
    fn names_are_labels_and_not_local() {
        for (name, expected) in [
            ("prod", true),
            ("c-m-p66cdvlj", true),
            ("local", false),
            ("", false),
            ("Prod", false),
            ("a.b", false),
            ("a_b", false),
            ("-a", false),
            ("../a", false),
        ] {
            assert_eq!(check_name(name).is_ok(), expected, "{name:?}");
        }
    }
}
