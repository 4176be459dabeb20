//! Which clusters the names of a zone mean.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use api::management::Cluster;
use apiserver::registry::Registry;
use machinery::validation;
use storage::Revision;

use super::{Label, Zone, hash};

/// Where a host name of the zone leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) door: Door,
    /// The id of the cluster, if there is one of that name.
    pub(crate) cluster: Option<Arc<str>>,
}

/// Which of the endpoints a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The gateway's.
    Managed,
    /// The cluster's own.
    Unmanaged,
    /// The same, by a name that is going to go.
    Older,
}

/// The names of a zone, and the clusters that they mean at the moment.
pub(crate) struct Directory {
    zone: Zone,
    clusters: Registry<Cluster>,
    names: RwLock<Arc<Names>>,
}

/// What the names meant after a write to the clusters.
#[derive(Default)]
struct Names {
    /// Which write, if any was looked at.
    of: Option<Revision>,
    by_hash: HashMap<Box<str>, Meaning>,
    by_name: HashMap<Box<str>, Meaning>,
}

/// What a name means: `None` where it could mean several clusters, and so none.
type Meaning = Option<Arc<str>>;

/// What the names of a cluster are made of.
struct Facts {
    is_connected: bool,
    hash: Box<str>,
    /// The name for people, where it can stand in a host name.
    name: Option<Box<str>>,
}

impl Directory {
    /// For the clusters in this registry.
    pub(crate) fn new(zone: Zone, clusters: Registry<Cluster>) -> Self {
        Self {
            zone,
            clusters,
            names: RwLock::default(),
        }
    }

    /// How the names are formed.
    pub(crate) fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The URL of the unmanaged endpoint beside the managed one of this name.
    pub(crate) fn unmanaged_of(&self, managed: &str) -> String {
        let managed = managed.to_ascii_lowercase();
        match self.zone.read(&managed) {
            Some(Label::Managed(label)) => self.zone.unmanaged_url(label),
            _ => String::new(),
        }
    }

    /// Where a host name leads; `None` where it is not of the zone.
    pub(crate) fn find(&self, host: &str) -> Option<Place> {
        let host = host.to_ascii_lowercase();
        let (door, label) = match self.zone.read(&host)? {
            Label::Managed(label) => (Door::Managed, label),
            Label::Unmanaged(label) => (Door::Unmanaged, label),
            Label::Unknown => (Door::Unmanaged, ""),
        };
        let names = self.names();
        let by_hash = names.by_hash.get(label).cloned().flatten();
        let (door, cluster) = match (door, by_hash) {
            (Door::Unmanaged, None) => {
                let by_name = names.by_name.get(label).cloned().flatten();
                let door = by_name.as_ref().map_or(door, |_| Door::Older);
                (door, by_name)
            }
            found => found,
        };
        Some(Place { door, cluster })
    }

    /// What the names mean now.
    fn names(&self) -> Arc<Names> {
        let view = self.clusters.collection().view();
        let newest = Some(view.last_change());
        let known = {
            let known = self.names.read().unwrap_or_else(PoisonError::into_inner);
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
            if let Some(facts) = self.clusters.derived_of(object, Facts::of) {
                names.add(&self.zone, object.name(), &facts);
            }
        }
        let names = Arc::new(names);
        let mut known = self.names.write().unwrap_or_else(PoisonError::into_inner);
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

/// The second of a name takes it away from the first.
fn insert(names: &mut HashMap<Box<str>, Meaning>, label: String, id: &Arc<str>) {
    let meaning = names.entry(label.into());
    meaning
        .and_modify(|meaning| *meaning = None)
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
