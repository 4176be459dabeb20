//! The contents of a create request, checked and resolved in the same order as in Rancher: the
//! first check that fails determines the response.

use std::collections::HashSet;

use api::ext::kubeconfig::ENDPOINT_MANAGED;
use api::ext::{self, Kubeconfig, KubeconfigSpec};
use api::management::{Cluster, Node, cluster};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::stored_object::StoredObject;
use machinery::meta::{GroupResource, Metadata, MetadataExt, ObjectKey};
use machinery::status::Status;
use machinery::validation;

use crate::file::{FileCluster, InvalidCluster};

/// Maximum number of clusters that one request may name: more than any real list, and few enough to
/// check one by one.
const MAX_CLUSTERS: usize = 10_000;

/// The reason that a file cannot have the default entry, and the remedy.
const NO_LOCAL: &str = "clusters.management.cattle.io \"local\" not found: the default entry requires it. An administrator must create this Cluster again (helm upgrade does so); until then, set spec.includeDefaultEntry to false and name other clusters";

/// The clusters that a request can refer to.
#[derive(Clone)]
pub(crate) struct Clusters {
    pub(crate) clusters: Registry<Cluster>,
    pub(crate) nodes: Registry<Node>,
}

/// The clusters that a request is resolved to.
#[derive(Clone, Default)]
pub(crate) struct Resolved {
    /// The clusters of the file, in its order.
    pub(crate) clusters: Vec<FileCluster>,
    /// The clusters that were not requested by name and cannot be written.
    pub(crate) skipped: Vec<Skipped>,
}

/// A cluster that is left out of a file.
#[derive(Clone, Debug)]
pub(crate) struct Skipped {
    pub(crate) id: String,
    pub(crate) why: InvalidCluster,
}

/// Returns group and resource for errors.
pub(crate) fn group_resource() -> GroupResource {
    GroupResource::from_static(ext::GROUP, Kubeconfig::PLURAL)
}

/// Rejects contradictory lists.
///
/// # Errors
/// 400 for such a list.
pub(crate) fn check_clusters(spec: &KubeconfigSpec) -> Result<(), Status> {
    if spec.clusters.len() > MAX_CLUSTERS {
        return Err(Status::bad_request(format!(
            "spec.clusters must have at most {MAX_CLUSTERS} items"
        )));
    }
    let mut seen = HashSet::new();
    if !spec.clusters.iter().all(|id| seen.insert(id)) {
        return Err(Status::bad_request("spec.clusters must be unique"));
    }
    if !spec.includes_default_entry() && spec.clusters.is_empty() {
        return Err(Status::bad_request(
            "at least one cluster is required when includeDefaultEntry is false",
        ));
    }
    Ok(())
}

/// Rejects an unknown endpoint, a managed endpoint for more than one cluster, and an invalid
/// namespace.
///
/// # Errors
/// 400 in each of these cases.
pub(crate) fn check_endpoint(spec: &KubeconfigSpec) -> Result<(), Status> {
    let refused = |text: String| Err(Status::bad_request(text));
    if !spec.endpoint.is_empty() && !spec.is_managed() {
        return refused(format!(
            "spec.endpoint: Unsupported value: {:?}: supported values: \"\", {ENDPOINT_MANAGED:?}",
            spec.endpoint
        ));
    }
    let is_one = spec.clusters.len() == 1 && !spec.wants_all_clusters();
    if spec.is_managed() && (spec.includes_default_entry() || !is_one) {
        return refused(format!(
            "spec.endpoint: Invalid value: {ENDPOINT_MANAGED:?}: requires exactly one cluster by name and includeDefaultEntry: false"
        ));
    }
    match validation::dns1123_label(&spec.namespace).first() {
        Some(why) if !spec.namespace.is_empty() => refused(format!(
            "spec.namespace: Invalid value: {:?}: {why}",
            spec.namespace
        )),
        _ => Ok(()),
    }
}

impl Clusters {
    /// Returns the clusters of the file, in its order.
    ///
    /// # Errors
    /// 403 for a cluster that the caller may not get, whether it exists or not; 400 for one that
    /// does not exist, and for a current context that is not one of them; 500 for a named cluster
    /// whose object is invalid.
    pub(crate) async fn resolve(
        &self,
        cx: &RequestContext,
        record: &Kubeconfig,
    ) -> Result<Resolved, Status> {
        let spec = &record.spec;
        let found = if spec.wants_all_clusters() {
            self.all(cx).await?
        } else {
            Resolved {
                clusters: self.named(cx, spec).await?,
                skipped: Vec::new(),
            }
        };
        let current = &spec.current_context;
        let is_there = || found.clusters.iter().any(|cluster| cluster.id == *current);
        if !current.is_empty() && !is_there() {
            return Err(Status::bad_request(format!(
                "invalid currentContext {current}"
            )));
        }
        Ok(found)
    }

    /// Checks that the management cluster has an object, which a file with the default entry needs.
    /// Other files need the object only if they name the cluster.
    ///
    /// # Errors
    /// 500 if it has none.
    pub(crate) async fn check_local(&self, spec: &KubeconfigSpec) -> Result<(), Status> {
        if !spec.includes_default_entry() {
            return Ok(());
        }
        match self
            .clusters
            .store()
            .find(ObjectKey::cluster(cluster::LOCAL))
            .await
        {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Status::internal(format!(
                "error getting local cluster: {NO_LOCAL}"
            ))),
            Err(status) => Err(Status::internal(format!(
                "error getting local cluster: {}",
                status.message
            ))),
        }
    }

    /// Returns the clusters that the caller may get, sorted by name, with the management cluster
    /// last. An invalid object affects only its own cluster.
    async fn all(&self, cx: &RequestContext) -> Result<Resolved, Status> {
        let view = self.clusters.store().latest().await?;
        let mut found = Resolved::default();
        let mut local = None;
        for (key, object) in view.iter() {
            if !may_get(cx, key.name()).await? {
                continue;
            }
            match self.read(object) {
                Ok(it) if it.cluster.is_being_deleted() => {}
                Ok(it) if it.entry.id == cluster::LOCAL => local = Some(it.entry),
                Ok(it) => found.clusters.push(it.entry),
                Err(why) => found.skipped.push(Skipped {
                    id: key.name().to_owned(),
                    why,
                }),
            }
        }
        found.clusters.extend(local);
        Ok(found)
    }

    async fn named(
        &self,
        cx: &RequestContext,
        spec: &KubeconfigSpec,
    ) -> Result<Vec<FileCluster>, Status> {
        let view = self.clusters.store().latest().await?;
        let mut found = Vec::new();
        for id in &spec.clusters {
            if !may_get(cx, id).await? {
                let text = format!(
                    "user {} is not allowed to access cluster {id}",
                    cx.user.name
                );
                return Err(Status::forbidden(&group_resource(), "", &text));
            }
            let not_found = || Status::bad_request(format!("cluster {id} not found"));
            let object = view.get(&self.clusters.key(ObjectKey::cluster(id)));
            let read = self.read(object.ok_or_else(not_found)?);
            let read = read.map_err(|why| unusable(id, &why))?;
            if read.cluster.is_being_deleted() {
                return Err(not_found());
            }
            found.push(read.entry);
        }
        Ok(found)
    }

    /// Returns the cluster of this id, with its entry in a file. Does not check the rights of the
    /// caller.
    ///
    /// # Errors
    /// 503 if the store does not answer; 500 if the object is invalid.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<ReadCluster>, Status> {
        let Some(object) = self.clusters.store().find(ObjectKey::cluster(id)).await? else {
            return Ok(None);
        };
        let read = self.read(&object).map_err(|why| unusable(id, &why))?;
        Ok((!read.cluster.is_being_deleted()).then_some(read))
    }

    fn read(&self, object: &StoredObject) -> Result<ReadCluster, InvalidCluster> {
        let cluster = self.clusters.decode_facts(object);
        let cluster = cluster.map_err(|_| InvalidCluster::undecodable())?;
        let nodes = match cluster.direct_endpoint() {
            Some(_) => self.nodes_of(cluster.id()),
            None => Vec::new(),
        };
        Ok(ReadCluster {
            entry: FileCluster::new(&cluster, &nodes)?,
            cluster,
        })
    }

    fn nodes_of(&self, cluster: &str) -> Vec<Node> {
        let prefix = self.nodes.prefix(cluster);
        let view = self.nodes.cache().view();
        let nodes = view.range(&prefix, None);
        nodes
            .filter_map(|(_, object)| self.nodes.decode_facts(object).ok())
            .collect()
    }
}

/// A cluster, and its entry in a file.
pub(crate) struct ReadCluster {
    pub(crate) cluster: Cluster,
    pub(crate) entry: FileCluster,
}

/// Returns the response for a cluster that was requested by name and cannot be written.
fn unusable(id: &str, why: &InvalidCluster) -> Status {
    Status::internal(format!("cluster {id} cannot be used: {why}"))
}

/// Returns whether the caller may get the object of this cluster.
async fn may_get(cx: &RequestContext, cluster: &str) -> Result<bool, Status> {
    cx.may(&management::cluster::may_get(cluster))
        .await
        .map_err(|status| {
            Status::internal(format!(
                "error checking if user {} has access to cluster {cluster}: {}",
                cx.user.name, status.message
            ))
        })
}

/// Returns the name of a record.
pub(crate) fn name_of(record: &Kubeconfig) -> &str {
    record.metadata().name()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use apiserver::stored_object::Index;
    use apiserver::testing::{Fixture, TestServer};
    use auth::AuthorizerUnion;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(spec: serde_json::Value, expected: Option<&str>) {
        let spec: KubeconfigSpec = serde_json::from_value(spec).unwrap();
        let told = check_endpoint(&spec)
            .err()
            .map(|status| (status.code, status.message));
        assert_eq!(told, expected.map(|text| (400, text.to_owned())));
    }

    #[test]
    fn a_managed_file_reaches_one_cluster_and_nothing_else() {
        let one = "spec.endpoint: Invalid value: \"managed\": requires exactly one cluster by name and includeDefaultEntry: false";
        let none =
            "spec.endpoint: Unsupported value: \"direct\": supported values: \"\", \"managed\"";
        let spec = |clusters: &[&str], default: bool| json!({"endpoint": "managed", "clusters": clusters, "includeDefaultEntry": default});
        check(spec(&["a"], false), None);
        check(spec(&["a"], true), Some(one));
        check(spec(&["a", "b"], false), Some(one));
        check(spec(&["*"], false), Some(one));
        check(json!({"endpoint": "managed", "clusters": ["a"]}), Some(one));
        check(json!({"endpoint": "direct"}), Some(none));
        check(json!({}), None);
    }

    /// Starts a server without any cluster.
    async fn start() -> (TestServer, Clusters) {
        let mut fixture = Fixture::new();
        let kinds = &mut fixture.registries;
        let clusters = Clusters {
            clusters: kinds.add(management::cluster::description(), Index::NONE),
            nodes: kinds.add(management::node::description(), Index::NONE),
        };
        let nobody = Arc::new(AuthorizerUnion::new(Vec::new()));
        let server = fixture.start(nobody, |builder| builder, async {}).await;
        (server, clusters)
    }

    #[tokio::test]
    async fn only_a_file_with_the_default_entry_needs_the_local_cluster() {
        let (_server, clusters) = start().await;
        let refused = async |spec: serde_json::Value| {
            let spec: KubeconfigSpec = serde_json::from_value(spec).unwrap();
            let checked = clusters.check_local(&spec).await;
            checked.err().map(|status| (status.code, status.message))
        };
        let without = |ids: &[&str]| json!({ "clusters": ids, "includeDefaultEntry": false });
        for ids in [&["c-a"], &["*"], &["local"]] {
            assert_eq!(refused(without(ids)).await, None, "{ids:?}");
        }
        let text = "Internal error occurred: error getting local cluster: clusters.management.cattle.io \"local\" not found: the default entry requires it. An administrator must create this Cluster again (helm upgrade does so); until then, set \
                    spec.includeDefaultEntry to false and name other clusters";
        for spec in [json!({}), json!({ "clusters": ["c-a"] })] {
            assert_eq!(refused(spec).await, Some((500, text.to_owned())));
        }
        let local = json!({ "metadata": { "name": "local" } });
        let local: Cluster = serde_json::from_value(local).unwrap();
        clusters
            .clusters
            .store()
            .insert(local, false)
            .await
            .unwrap();
        assert_eq!(refused(json!({})).await, None);
    }

    #[test]
    fn a_namespace_is_a_label() {
        check(json!({"namespace": "team-a"}), None);
        let problem = &validation::dns1123_label("Team A")[0];
        let expected = format!("spec.namespace: Invalid value: \"Team A\": {problem}");
        check(json!({"namespace": "Team A"}), Some(&expected));
        let problem = &validation::dns1123_label("a.b")[0];
        let expected = format!("spec.namespace: Invalid value: \"a.b\": {problem}");
        check(json!({"namespace": "a.b"}), Some(&expected));
    }
}
