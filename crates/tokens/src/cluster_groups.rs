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
use grants::{GrantedGroups, Grants};
use jiff::{SignedDuration, Timestamp};
use machinery::meta::{GroupResource, ObjectKey};
use machinery::status::Status;
use management::group_filter::GroupMapping;

use crate::logins::Logins;
use crate::validity::owner;

/// Maximum size of the names of groups in a credential, in bytes. A token of that size is a header
/// of 32 KiB, because it is encoded in base64.
pub const MAX_BYTES: usize = 24 * 1024 - 1024;

/// The bearer of a credential.
pub(crate) struct Bearer<'a> {
    /// The name of the user.
    pub(crate) user: &'a str,
    /// The groups of the login that the credential comes from.
    pub(crate) groups: &'a [String],
    /// The source of that login. Empty for an impersonated user, whose groups no login confirms.
    pub(crate) source: &'a str,
    /// The lifetime of the credential, or `None` if it does not expire.
    pub(crate) life: Option<SignedDuration>,
}

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
    pub(crate) fn in_token(
        &self,
        cluster: &str,
        record: &Token,
        now: Timestamp,
    ) -> Result<Vec<String>, Status> {
        if ["", LOCAL].contains(&cluster) {
            return Ok(Vec::new());
        }
        let (user, status) = (&record.spec.user_id, &record.status);
        let cluster = self.clusters.cache().get(ObjectKey::cluster(cluster));
        let cluster = cluster.filter(|cluster| {
            let groups = cluster.spec.groups.as_ref();
            groups.is_some_and(|groups| groups.in_tokens)
        });
        let life = SignedDuration::from_millis(record.spec.ttl);
        match cluster {
            Some(cluster) => self.of(
                &cluster,
                &Bearer {
                    user,
                    groups: &status.groups,
                    source: &status.groups_source,
                    life: Some(life).filter(|life| life.is_positive()),
                },
                now,
            ),
            None => Ok(Vec::new()),
        }
    }

    /// Returns the groups in a credential for a cluster that verifies it itself: those that the user
    /// still has, and those of grants without limits, which only this server enforces.
    ///
    /// # Errors
    /// 403 if they exceed [`MAX_BYTES`].
    pub(crate) fn of(
        &self,
        cluster: &Cluster,
        bearer: &Bearer<'_>,
        now: Timestamp,
    ) -> Result<Vec<String>, Status> {
        let last = self.logins.recent(bearer.user, bearer.source, now);
        let confirmed = last.map(|last| last.still_has(bearer.source, bearer.groups));
        let confirmed = confirmed.unwrap_or_default();
        let granted = self.granted(cluster, bearer.user, &confirmed);
        let granted = granted.into_iter().filter(|granted| {
            let outlives = |max| bearer.life.is_none_or(|life| life > max);
            granted.ceiling.is_none() && !granted.max_ttl.is_some_and(outlives)
        });
        let groups = self.mapped(cluster, &confirmed, granted);
        let size: usize = groups.iter().map(|group| group.len() + 3).sum();
        match size <= MAX_BYTES {
            true => Ok(groups),
            false => Err(too_many(cluster.id(), groups.len(), size)),
        }
    }

    /// Returns the groups at a cluster of a user with these confirmed groups of logins.
    pub(crate) fn at(&self, cluster: &Cluster, user: &str, confirmed: &[String]) -> Vec<String> {
        let granted = self.granted(cluster, user, confirmed);
        self.mapped(cluster, confirmed, granted)
    }

    fn granted(&self, cluster: &Cluster, user: &str, confirmed: &[String]) -> Vec<GrantedGroups> {
        let labels = cluster.metadata.labels.clone().unwrap_or_default();
        let policy = self.grants.policy();
        policy.groups(&owner(user, confirmed), cluster.id(), &labels)
    }

    fn mapped(
        &self,
        cluster: &Cluster,
        confirmed: &[String],
        granted: impl IntoIterator<Item = GrantedGroups>,
    ) -> Vec<String> {
        let mapping = GroupMapping::of(cluster);
        let mut groups = mapping.apply(&self.logins.carried(confirmed));
        for granted in granted {
            add_granted(&mut groups, &mapping, &granted.groups);
        }
        groups
    }
}

/// Adds groups of a grant, once each. A grant gives no admin group.
pub(crate) fn add_granted(groups: &mut Vec<String>, mapping: &GroupMapping, granted: &[String]) {
    for group in granted {
        if !mapping.is_admin_group(group) && !groups.contains(group) {
            groups.push(group.clone());
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
