//! The clusters that the record of a token holds, by name and by uid.

use std::collections::{BTreeMap, BTreeSet};

use api::ext::Token;
use api::management::Cluster;
use api::management::cluster::LOCAL;
use jiff::Timestamp;
use machinery::meta::Metadata;

/// The clusters of a record.
#[derive(Clone, Debug)]
pub(crate) struct ClusterScope {
    names: BTreeSet<String>,
    uids: BTreeMap<String, String>,
    /// Whether the record has uids; those of older servers have none.
    has_uids: bool,
    /// `None` where the record does not say when it was created.
    created: Option<Timestamp>,
}

/// An object of a cluster, which a later object of the same name differs from.
#[derive(Clone, Copy, Debug)]
pub struct ClusterId<'a> {
    /// The name.
    pub name: &'a str,
    /// The uid; empty without one.
    pub uid: &'a str,
    /// The time of creation, if it is known.
    pub created: Option<Timestamp>,
}

impl ClusterScope {
    pub(crate) fn of(token: &Token) -> Self {
        let (spec, status) = (&token.spec, &token.status);
        // As `TokenSpec::is_bound_to` reads them.
        let names = match spec.cluster_name.as_str() {
            "" => spec.cluster_names.iter().cloned().collect(),
            one => BTreeSet::from([one.to_owned()]),
        };
        let created = token.metadata().creation_timestamp.as_ref();
        Self {
            names,
            uids: status.cluster_uids.clone(),
            has_uids: status.user_uid.is_some(),
            created: created.map(|time| time.0),
        }
    }

    /// Whether the record holds a cluster of this name.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Whether the record holds this very object. The cluster `local` is this server itself, whatever
    /// its object. Where the record has no uids, it holds objects that are not younger than itself.
    pub(crate) fn covers(&self, cluster: ClusterId<'_>) -> bool {
        self.names(cluster.name)
            && match self.has_uids {
                _ if cluster.name == LOCAL => true,
                true => self.uids.get(cluster.name).map(String::as_str) == Some(cluster.uid),
                false => is_older(cluster.created, self.created),
            }
    }
}

impl<'a> ClusterId<'a> {
    /// The object of a cluster.
    pub fn of(cluster: &'a Cluster) -> Self {
        let metadata = &cluster.metadata;
        let created = metadata.creation_timestamp.as_ref();
        Self {
            name: cluster.id(),
            uid: metadata.uid.as_deref().unwrap_or_default(),
            created: created.map(|time| time.0),
        }
    }
}

/// Whether an object is not younger than a record. An object without a time of creation is older.
pub(crate) fn is_older(object: Option<Timestamp>, record: Option<Timestamp>) -> bool {
    object.is_none_or(|object| record.is_some_and(|record| object <= record))
}
