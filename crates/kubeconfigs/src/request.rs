//! What a create request asks for, checked and resolved in the order that the reference does it: the first check that fails gives the
//! answer (BEHAVIOUR §C).

use std::collections::HashSet;

use api::ext::kubeconfig::ENDPOINT_MANAGED;
use api::ext::{Kubeconfig, KubeconfigSpec};
use api::management::{Cluster, Node, cluster};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use machinery::meta::Metadata;
use machinery::status::Status;
use machinery::validation;

use crate::file::FileCluster;

/// Most clusters that one request may name: beyond any real list, and small enough to check one by one.
const MAX_CLUSTERS: usize = 10_000;

/// The clusters that a request can be about.
#[derive(Clone)]
pub(crate) struct Clusters {
    pub(crate) clusters: Registry<Cluster>,
    pub(crate) nodes: Registry<Node>,
}

/// Refuses lists that contradict themselves.
///
/// # Errors
/// 400.
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

/// Refuses an endpoint that is none, or for more than one cluster, and a namespace that cannot be one.
///
/// # Errors
/// 400.
pub(crate) fn check_endpoint(spec: &KubeconfigSpec) -> Result<(), Status> {
    let refused = |text: String| Err(Status::bad_request(text));
    if !spec.endpoint.is_empty() && !spec.is_managed() {
        return refused(format!(
            "spec.endpoint {:?} is none: leave it empty, or say {ENDPOINT_MANAGED:?}",
            spec.endpoint
        ));
    }
    let is_one = spec.clusters.len() == 1 && !spec.wants_all_clusters();
    if spec.is_managed() && (spec.includes_default_entry() || !is_one) {
        return refused(format!(
            "spec.endpoint {ENDPOINT_MANAGED:?} needs exactly one cluster by name and includeDefaultEntry false"
        ));
    }
    match validation::dns1123_label(&spec.namespace).first() {
        Some(why) if !spec.namespace.is_empty() => refused(format!(
            "spec.namespace {:?} is invalid: {why}",
            spec.namespace
        )),
        _ => Ok(()),
    }
}

impl Clusters {
    /// The clusters that the file will reach, in its order.
    ///
    /// # Errors
    /// 403 for a cluster that the caller may not get, whether it exists or not; 400 for one that does not exist, and for a current context
    /// that is none of them.
    pub(crate) async fn resolve(
        &self,
        cx: &RequestContext,
        record: &Kubeconfig,
    ) -> Result<Vec<FileCluster>, Status> {
        let spec = &record.spec;
        let found = if spec.wants_all_clusters() {
            self.all(cx).await?
        } else {
            self.named(cx, spec).await?
        };
        let current = &spec.current_context;
        if !current.is_empty() && !found.iter().any(|cluster| cluster.id == *current) {
            return Err(Status::bad_request(format!(
                "invalid currentContext {current}"
            )));
        }
        Ok(found)
    }

    /// The management cluster must have its object, asked for or not (B42).
    ///
    /// # Errors
    /// 500 where it has none.
    pub(crate) async fn check_local(&self) -> Result<(), Status> {
        match self.clusters.find("", cluster::LOCAL).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Status::internal(
                "error getting local cluster: clusters.management.cattle.io \"local\" not found",
            )),
            Err(status) => Err(Status::internal(format!(
                "error getting local cluster: {}",
                status.message
            ))),
        }
    }

    /// Every cluster that the caller may get, by name, the management cluster last.
    async fn all(&self, cx: &RequestContext) -> Result<Vec<FileCluster>, Status> {
        let view = self.clusters.latest().await?;
        let mut found = Vec::new();
        let mut local = None;
        for (key, object) in view.iter() {
            if !may_get(cx, key.name()).await? {
                continue;
            }
            let cluster = self.clusters.decode_facts(object)?;
            let entry = self.with_nodes(&cluster);
            if cluster.id() == cluster::LOCAL {
                local = Some(entry);
            } else {
                found.push(entry);
            }
        }
        found.extend(local);
        Ok(found)
    }

    async fn named(
        &self,
        cx: &RequestContext,
        spec: &KubeconfigSpec,
    ) -> Result<Vec<FileCluster>, Status> {
        let view = self.clusters.latest().await?;
        let mut found = Vec::new();
        for id in &spec.clusters {
            if !may_get(cx, id).await? {
                let text = format!(
                    "user {} is not allowed to access cluster {id}",
                    cx.user.name
                );
                return Err(Status::forbidden(
                    &crate::resource::group_resource(),
                    "",
                    &text,
                ));
            }
            let Some(object) = view.get(&self.clusters.key("", id)) else {
                return Err(Status::bad_request(format!("cluster {id} not found")));
            };
            found.push(self.with_nodes(&self.clusters.decode_facts(object)?));
        }
        Ok(found)
    }

    /// The cluster of this id, and what a file says of it. Whether the caller may have it is not asked.
    ///
    /// # Errors
    /// 503 where the store does not answer.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<(Cluster, FileCluster)>, Status> {
        let cluster = self.clusters.get("", id).await?;
        Ok(cluster.map(|cluster| {
            let entry = self.with_nodes(&cluster);
            (cluster, entry)
        }))
    }

    fn with_nodes(&self, cluster: &Cluster) -> FileCluster {
        let nodes = match cluster.direct_endpoint() {
            Some(_) => self.nodes_of(cluster.id()),
            None => Vec::new(),
        };
        FileCluster::new(cluster, &nodes)
    }

    fn nodes_of(&self, cluster: &str) -> Vec<Node> {
        let prefix = self.nodes.prefix(cluster);
        let view = self.nodes.collection().view();
        let nodes = view.range(&prefix, None);
        nodes
            .filter_map(|(_, object)| self.nodes.decode_facts(object).ok())
            .collect()
    }
}

/// Whether the caller may get the object of this cluster.
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

/// The name of a record.
pub(crate) fn name_of(record: &Kubeconfig) -> &str {
    record.metadata().name.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
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
        let one = "spec.endpoint \"managed\" needs exactly one cluster by name and includeDefaultEntry false";
        let none = "spec.endpoint \"direct\" is none: leave it empty, or say \"managed\"";
        let spec = |clusters: &[&str], default: bool| json!({"endpoint": "managed", "clusters": clusters, "includeDefaultEntry": default});
        check(spec(&["a"], false), None);
        check(spec(&["a"], true), Some(one));
        check(spec(&["a", "b"], false), Some(one));
        check(spec(&["*"], false), Some(one));
        check(json!({"endpoint": "managed", "clusters": ["a"]}), Some(one));
        check(json!({"endpoint": "direct"}), Some(none));
        check(json!({}), None);
    }

    #[test]
    fn a_namespace_is_a_label() {
        check(json!({"namespace": "team-a"}), None);
        let problem = &validation::dns1123_label("Team A")[0];
        let expected = format!("spec.namespace \"Team A\" is invalid: {problem}");
        check(json!({"namespace": "Team A"}), Some(&expected));
        let problem = &validation::dns1123_label("a.b")[0];
        let expected = format!("spec.namespace \"a.b\" is invalid: {problem}");
        check(json!({"namespace": "a.b"}), Some(&expected));
    }
}
