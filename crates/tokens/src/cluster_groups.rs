//! The groups of logins in credentials that a cluster verifies itself: tokens and client
//! certificates.
//!
//! The gateway and token reviews take the groups of a token from its record each time
//! ([`Validity`](crate::validity::Validity)). A cluster that verifies a credential itself knows only
//! the groups in it, until it expires.

use std::sync::Arc;

use api::ext::Token;
use api::management::Cluster;
use api::management::cluster::LOCAL;
use apiserver::registry::Registry;
use grants::Grants;
use machinery::meta::{GroupResource, ObjectKey};
use machinery::status::Status;
use management::group_filter::GroupMapping;

use crate::logins::Logins;
use crate::validity::owner;

/// Maximum size of the names of groups in a credential, in bytes. A token of that size is a header
/// of 32 KiB, because it is encoded in base64.
pub const MAX_BYTES: usize = 24 * 1024 - 1024;

/// Determines the groups in credentials.
#[derive(Clone)]
pub struct ClusterGroups {
    pub(crate) clusters: Registry<Cluster>,
    pub(crate) logins: Arc<Logins>,
    pub(crate) grants: Grants,
}

impl ClusterGroups {
    /// Creates a reader of these clusters and of the settings of the logins.
    pub fn new(clusters: Registry<Cluster>, logins: Arc<Logins>, grants: Grants) -> Self {
        Self {
            clusters,
            logins,
            grants,
        }
    }

    /// Returns the groups in a token for a cluster, or none if the cluster does not need them.
    ///
    /// # Errors
    /// 403 if they exceed [`MAX_BYTES`].
    pub(crate) fn in_token(&self, cluster: &str, record: &Token) -> Result<Vec<String>, Status> {
        if ["", LOCAL].contains(&cluster) {
            return Ok(Vec::new());
        }
        let (user, status) = (&record.spec.user_id, &record.status);
        let cluster = self.clusters.cache().get(ObjectKey::cluster(cluster));
        let cluster = cluster.filter(|cluster| {
            let groups = cluster.spec.groups.as_ref();
            groups.is_some_and(|groups| groups.in_tokens)
        });
        match cluster {
            Some(cluster) => self.of(&cluster, user, &status.groups, &status.groups_source),
            None => Ok(Vec::new()),
        }
    }

    /// Returns the groups at a cluster of a user with these groups of a login. Those of an
    /// impersonated user have no source, and are left out.
    ///
    /// # Errors
    /// 403 if they exceed [`MAX_BYTES`].
    pub(crate) fn of(
        &self,
        cluster: &Cluster,
        user: &str,
        groups: &[String],
        source: &str,
    ) -> Result<Vec<String>, Status> {
        let confirmed = if source.is_empty() { &[] } else { groups };
        let groups = self.at(cluster, user, confirmed);
        let size: usize = groups.iter().map(|group| group.len() + 3).sum();
        match size <= MAX_BYTES {
            true => Ok(groups),
            false => Err(too_many(cluster.id(), groups.len(), size)),
        }
    }

    /// Returns the groups at a cluster of a user with these confirmed groups of logins.
    pub(crate) fn at(&self, cluster: &Cluster, user: &str, confirmed: &[String]) -> Vec<String> {
        let carried = self.logins.carried(confirmed);
        let labels = cluster.metadata.labels.clone().unwrap_or_default();
        let policy = self.grants.policy();
        let granted = policy.groups(&owner(user, confirmed), cluster.id(), &labels);
        at_cluster(&GroupMapping::of(cluster), &carried, granted)
    }
}

/// Returns the groups at a cluster of a user who carries these groups and has these by grants, once
/// each.
pub(crate) fn at_cluster(
    mapping: &GroupMapping,
    carried: &[String],
    granted: Vec<String>,
) -> Vec<String> {
    let mut groups = mapping.apply(carried);
    for group in granted {
        if !mapping.is_admin_group(&group) && !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

fn too_many(cluster: &str, count: usize, size: usize) -> Status {
    let resource = GroupResource::from_static(api::ext::GROUP, Token::PLURAL);
    let text = format!(
        "a credential for cluster {cluster} would contain {count} groups of {size} bytes, and {MAX_BYTES} fit into a header: an administrator can select the groups that the cluster needs in spec.groups.patterns of the cluster, or in the setting kubeconfig-groups"
    );
    Status::forbidden(&resource, "", &text)
}
