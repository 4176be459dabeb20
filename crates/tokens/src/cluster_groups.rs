//! The groups of logins in credentials that a cluster verifies itself: tokens and client
//! certificates.
//!
//! The gateway and token reviews take the groups of a token from its record each time
//! ([`Validity`](crate::validity::Validity)). A cluster that verifies a credential itself knows only
//! the groups in it, until it expires.

use std::sync::Arc;

use api::ext::{Token, TokenStatus};
use api::management::Cluster;
use api::management::cluster::LOCAL;
use apiserver::registry::Registry;
use machinery::meta::{GroupResource, ObjectKey};
use machinery::status::Status;
use management::group_filter::GroupMapping;

use crate::logins::Logins;

/// Maximum size of the names of groups in a credential, in bytes. A token of that size is a header
/// of 32 KiB, because it is encoded in base64.
pub const MAX_BYTES: usize = 24 * 1024 - 1024;

/// Determines the groups in credentials.
pub struct ClusterGroups {
    clusters: Registry<Cluster>,
    logins: Arc<Logins>,
}

impl ClusterGroups {
    /// Creates a reader of these clusters and of the settings of the logins.
    pub fn new(clusters: Registry<Cluster>, logins: Arc<Logins>) -> Self {
        Self { clusters, logins }
    }

    /// Returns the groups in a token for a cluster, or none if the cluster does not need them.
    ///
    /// # Errors
    /// 403 if they exceed [`MAX_BYTES`].
    pub(crate) fn in_token(
        &self,
        cluster: &str,
        status: &TokenStatus,
    ) -> Result<Vec<String>, Status> {
        if ["", LOCAL].contains(&cluster) || status.groups.is_empty() {
            return Ok(Vec::new());
        }
        let cluster = self.clusters.cache().get(ObjectKey::cluster(cluster));
        let cluster = cluster.filter(|cluster| {
            let groups = cluster.spec.groups.as_ref();
            groups.is_some_and(|groups| groups.in_tokens)
        });
        match cluster {
            Some(cluster) => self.of(&cluster, &status.groups, &status.groups_source),
            None => Ok(Vec::new()),
        }
    }

    /// Returns the groups at a cluster of a user with these groups of a login.
    ///
    /// # Errors
    /// 403 if they exceed [`MAX_BYTES`].
    pub(crate) fn of(
        &self,
        cluster: &Cluster,
        groups: &[String],
        source: &str,
    ) -> Result<Vec<String>, Status> {
        if source.is_empty() {
            return Ok(Vec::new());
        }
        let groups = GroupMapping::of(cluster).apply(&self.logins.carried(groups));
        let size: usize = groups.iter().map(|group| group.len() + 3).sum();
        match size <= MAX_BYTES {
            true => Ok(groups),
            false => Err(too_many(cluster.id(), groups.len(), size)),
        }
    }
}

fn too_many(cluster: &str, count: usize, size: usize) -> Status {
    let resource = GroupResource::from_static(api::ext::GROUP, Token::PLURAL);
    let text = format!(
        "a credential for cluster {cluster} would contain {count} groups of {size} bytes, and {MAX_BYTES} fit into a header: an administrator can select the groups that the cluster needs in spec.groups.patterns of the cluster, or in the setting kubeconfig-groups"
    );
    Status::forbidden(&resource, "", &text)
}
