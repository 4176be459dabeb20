//! The clusters that the record of a token covers, by name and by uid.

use std::collections::{BTreeMap, BTreeSet};

use api::ext::Token;
use api::management::Cluster;
use api::management::cluster::LOCAL;
use jiff::Timestamp;
use machinery::meta::{Metadata, MetadataExt};

/// The clusters of a record.
#[derive(Clone, Debug)]
pub(crate) struct ClusterScope {
    names: BTreeSet<String>,
    uids: BTreeMap<String, String>,
    /// True if the record has uids. Records of older servers have none.
    has_uids: bool,
    /// The creation time of the record, or `None` if the record does not state it.
    created: Option<Timestamp>,
}

/// The identity of one cluster object. A later object of the same name has another one.
#[derive(Clone, Copy, Debug)]
pub struct ClusterId<'a> {
    /// The name.
    pub name: &'a str,
    /// The uid. Empty if the object has none.
    pub uid: &'a str,
    /// The creation time, if it is known.
    pub created: Option<Timestamp>,
}

impl ClusterScope {
    pub(crate) fn of(token: &Token) -> Self {
        let (spec, status) = (&token.spec, &token.status);
        // The same reading as in `TokenSpec::is_bound_to`.
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

    /// Returns whether the record covers a cluster of this name.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Returns whether the record covers this very object. The cluster `local` is always this
    /// server itself, so its object is not compared. A record without uids covers objects that are
    /// not younger than the record.
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
    /// Returns the identity of a cluster object.
    pub fn of(cluster: &'a Cluster) -> Self {
        let metadata = &cluster.metadata;
        let created = metadata.creation_timestamp.as_ref();
        Self {
            name: cluster.id(),
            uid: metadata.uid(),
            created: created.map(|time| time.0),
        }
    }
}

/// Returns whether an object is not younger than a record. An object without a creation time is
/// considered older.
pub(crate) fn is_older(object: Option<Timestamp>, record: Option<Timestamp>) -> bool {
    object.is_none_or(|object| record.is_some_and(|record| object <= record))
}
