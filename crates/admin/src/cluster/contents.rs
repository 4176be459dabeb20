//! The objects in the namespace of a registered cluster that `add` did not create.
//!
//! The deletion of a namespace deletes all objects in it. As in the namespace controller, these are
//! the objects of each namespaced resource that can be listed and deleted.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIResource, APIResourceList};
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersion};
use kube::{Api, Client};
use machinery::invisible::printable;

use super::manifests::NAMESPACE;
use crate::client::told;

/// The maximum number of objects that a message names.
const NAMED: usize = 3;

/// Objects that Kubernetes creates in every namespace.
const EVERYWHERE: [&str; 2] = ["ConfigMap kube-root-ca.crt", "ServiceAccount default"];

/// Events describe other objects, and expire.
const EVENTS: &str = "events";

/// The kinds and names of the objects of other owners.
pub(super) struct Contents(BTreeSet<String>);

impl Contents {
    /// Lists the objects. The objects of the command must be deleted before.
    ///
    /// # Errors
    /// Fails if a resource cannot be listed, so objects of it could exist.
    pub(super) async fn read(cluster: &Client) -> Result<Self> {
        let mut found = BTreeSet::new();
        let core = cluster.list_core_api_resources("v1").await.map_err(told)?;
        add(&mut found, cluster, &core).await?;
        for group in cluster.list_api_groups().await.map_err(told)?.groups {
            for version in group.versions {
                let version = version.group_version.as_str();
                let resources = cluster.list_api_group_resources(version).await;
                let resources = resources
                    .map_err(told)
                    .with_context(|| version.to_owned())?;
                add(&mut found, cluster, &resources).await?;
            }
        }
        Ok(Self(found))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<&str> = self.0.iter().take(NAMED).map(String::as_str).collect();
        f.write_str(&named.join(", "))?;
        match self.0.len() - named.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Adds the objects of the resources of one API version.
async fn add(
    found: &mut BTreeSet<String>,
    cluster: &Client,
    resources: &APIResourceList,
) -> Result<()> {
    let version: GroupVersion = resources.group_version.parse()?;
    for it in resources.resources.iter().filter(|it| is_deleted(it)) {
        let kind = version.clone().with_kind(&it.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, &it.name);
        let api = Api::<DynamicObject>::namespaced_with(cluster.clone(), NAMESPACE, &resource);
        let list = api.list_metadata(&ListParams::default()).await;
        let list = list.map_err(told)?;
        let names = list.items.into_iter().filter_map(|it| it.metadata.name);
        let names = names.map(|name| printable(&format!("{} {name}", it.kind)));
        found.extend(names.filter(|name| !EVERYWHERE.contains(&name.as_str())));
    }
    Ok(())
}

/// Returns whether the deletion of a namespace deletes the objects of a resource.
fn is_deleted(resource: &APIResource) -> bool {
    let can = |verb: &str| resource.verbs.iter().any(|it| it == verb);
    resource.namespaced
        && !resource.name.contains('/')
        && resource.name != EVENTS
        && can("list")
        && can("delete")
}
