//! Resolves the host names of a zone to clusters.

use std::collections::HashMap;
use std::sync::Arc;

use api::management::Cluster;
use apiserver::registry::Registry;
use machinery::validation;
use parking_lot::RwLock;
use storage::Revision;

use super::{Label, Zone, hash};

/// The cluster and the endpoint that a host name of the zone stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedName {
    pub(crate) endpoint: EndpointKind,
    /// The id of the cluster, if a cluster has that name.
    pub(crate) cluster: Option<Arc<str>>,
}

/// The endpoint that a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndpointKind {
    /// The gateway's.
    Managed,
    /// The cluster's own.
    Unmanaged,
    /// The cluster's own, by a deprecated name.
    Deprecated,
}

/// The names of a zone, and the clusters that they currently belong to.
pub(crate) struct Directory {
    zone: Zone,
    clusters: Registry<Cluster>,
    names: RwLock<Arc<Names>>,
}

/// The names as of one state of the clusters.
#[derive(Default)]
struct Names {
    /// The revision of that state; `None` before the first use.
    of: Option<Revision>,
    by_hash: HashMap<Box<str>, NamedCluster>,
    by_name: HashMap<Box<str>, NamedCluster>,
}

/// The cluster of a name; `None` if the name is ambiguous and so resolves to no cluster.
type NamedCluster = Option<Arc<str>>;

/// The properties of a cluster that its names are derived from.
struct Facts {
    is_connected: bool,
    hash: Box<str>,
    /// The display name, if it can be part of a host name.
    name: Option<Box<str>>,
}

impl Directory {
    /// Creates a directory of the clusters in this registry.
    pub(crate) fn new(zone: Zone, clusters: Registry<Cluster>) -> Self {
        Self {
            zone,
            clusters,
            names: RwLock::default(),
        }
    }

    /// Returns the zone of the names.
    pub(crate) fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Returns the URL of the unmanaged endpoint that corresponds to this managed name.
    pub(crate) fn unmanaged_of(&self, managed: &str) -> String {
        let managed = managed.to_ascii_lowercase();
        match self.zone.read(&managed) {
            Some(Label::Managed(label)) => self.zone.unmanaged_url(label),
            _ => String::new(),
        }
    }

    /// Resolves a host name. Returns `None` if it is not in the zone.
    pub(crate) fn find(&self, host: &str) -> Option<ResolvedName> {
        let host = host.to_ascii_lowercase();
        let (endpoint, label) = match self.zone.read(&host)? {
            Label::Managed(label) => (EndpointKind::Managed, label),
            Label::Unmanaged(label) => (EndpointKind::Unmanaged, label),
            Label::Unknown => (EndpointKind::Unmanaged, ""),
        };
        let names = self.names();
        let by_hash = names.by_hash.get(label).cloned().flatten();
        let (endpoint, cluster) = match (endpoint, by_hash) {
            (EndpointKind::Unmanaged, None) => {
                let by_name = names.by_name.get(label).cloned().flatten();
                let endpoint = by_name
                    .as_ref()
                    .map_or(endpoint, |_| EndpointKind::Deprecated);
                (endpoint, by_name)
            }
            found => found,
        };
        Some(ResolvedName { endpoint, cluster })
    }

    /// Returns the names, rebuilt if the clusters have changed.
    fn names(&self) -> Arc<Names> {
        let view = self.clusters.cache().view();
        let newest = Some(view.last_change());
        let known = {
            let known = self.names.read();
            Arc::clone(&known)
        };
        if known.of == newest {
            return known;
        }
        let mut names = Names {
            of: newest,
            ..Names::default()
        };
        for (_, object) in view.iter() {
            if let Some(facts) = self.clusters.cache().derived_of(object, Facts::of) {
                names.add(&self.zone, object.name(), &facts);
            }
        }
        let names = Arc::new(names);
        let mut known = self.names.write();
        *known = Arc::clone(&names);
        names
    }
}

impl Names {
    fn add(&mut self, zone: &Zone, id: &str, facts: &Facts) {
        if !facts.is_connected {
            return;
        }
        let id: Arc<str> = id.into();
        insert(&mut self.by_hash, zone.label(&facts.hash), &id);
        if let Some(name) = &facts.name {
            insert(&mut self.by_name, zone.label(name), &id);
        }
    }
}

/// Adds a name. A name of two clusters belongs to neither.
fn insert(names: &mut HashMap<Box<str>, NamedCluster>, label: String, id: &Arc<str>) {
    let entry = names.entry(label.into());
    entry
        .and_modify(|cluster| *cluster = None)
        .or_insert_with(|| Some(Arc::clone(id)));
}

impl Facts {
    fn of(cluster: &Cluster) -> Self {
        let name = cluster.display_name();
        let is_label = validation::dns1123_label(name).is_empty();
        Self {
            is_connected: cluster.spec.connection.is_some(),
            hash: hash(cluster.id()).into(),
            name: is_label.then(|| name.into()),
        }
    }
}

#[cfg(test)]
mod tests;
