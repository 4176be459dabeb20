//! Which objects refer to which owner.

use std::collections::BTreeSet;

use apiserver::stored_object::StoredObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use serde::Deserialize;
use storage::Key;

use super::changes::Change;
use super::{FOREGROUND, ORPHAN};

/// Where an object is: the position of its kind, and its key.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) kind: usize,
    pub(super) key: Key,
}

/// What counts of an object. All empty where there is none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Facts {
    pub(super) uid: String,
    pub(super) namespace: String,
    pub(super) deletion_timestamp: Option<Time>,
    finalizers: Vec<String>,
    pub(super) owner_references: Vec<OwnerReference>,
}

/// What a change means: an object before and after it.
pub(super) struct Effect {
    pub(super) place: Place,
    pub(super) before: Facts,
    pub(super) after: Facts,
}

/// The uid of each owner with each object that refers to it: one set, since most owners have one
/// dependent.
#[derive(Default)]
pub(super) struct Graph {
    /// Never without a place, which is only left out to search for the first of an owner.
    references: BTreeSet<(Box<str>, Option<Place>)>,
}

impl Facts {
    /// An object that cannot be decoded has no owners and waits for nobody here.
    pub(super) fn of(object: &StoredObject) -> Self {
        if object.broken().is_some() {
            return Self::default();
        }
        serde_json::from_slice(&object.metadata_facts()).unwrap_or_default()
    }

    /// Whether the object is being deleted and held by this finalizer.
    pub(super) fn waits_for(&self, finalizer: &str) -> bool {
        self.deletion_timestamp.is_some() && self.finalizers.iter().any(|held| held == finalizer)
    }

    /// Whether the object keeps this owner from being deleted in the foreground.
    pub(super) fn blocks(&self, owner: &str) -> bool {
        let holds = |reference: &OwnerReference| {
            reference.uid == owner && reference.block_owner_deletion == Some(true)
        };
        self.owner_references.iter().any(holds)
    }

    /// Whether there can be anything to do about the object itself.
    pub(super) fn is_of_interest(&self) -> bool {
        !self.owner_references.is_empty() || self.waits_for(FOREGROUND) || self.waits_for(ORPHAN)
    }
}

impl Graph {
    /// Takes a change in.
    pub(super) fn apply(&mut self, change: Change) -> Effect {
        let Change { kind, event } = change;
        let place = Place {
            kind,
            key: event.key.clone(),
        };
        let before = event.previous.as_deref().map(Facts::of).unwrap_or_default();
        let after = event.current.as_deref().map(Facts::of).unwrap_or_default();
        self.unlink(&before, &place);
        self.link(&after, place.clone());
        Effect {
            place,
            before,
            after,
        }
    }

    /// Enters an object under its owners.
    pub(super) fn link(&mut self, facts: &Facts, place: Place) {
        for reference in &facts.owner_references {
            self.references
                .insert((reference.uid.as_str().into(), Some(place.clone())));
        }
    }

    fn unlink(&mut self, facts: &Facts, place: &Place) {
        for reference in &facts.owner_references {
            self.references
                .remove(&(reference.uid.as_str().into(), Some(place.clone())));
        }
    }

    /// The objects that refer to this owner.
    pub(super) fn dependents(&self, owner: &str) -> Vec<Place> {
        self.references
            .range((Box::from(owner), None)..)
            .take_while(|(uid, _)| **uid == *owner)
            .filter_map(|(_, place)| place.clone())
            .collect()
    }
}
