//! The index of objects by the owners that they refer to.

use std::collections::BTreeSet;

use apiserver::stored_object::StoredObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use serde::Deserialize;
use storage::Key;

use super::changes::Change;
use super::{FOREGROUND, ORPHAN};

/// The location of an object: the position of its kind, and its key.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) kind: usize,
    pub(super) key: Key,
}

/// The relevant facts of an object. All are empty if there is no object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Facts {
    pub(super) uid: String,
    pub(super) namespace: String,
    pub(super) deletion_timestamp: Option<Time>,
    finalizers: Vec<String>,
    pub(super) owner_references: Vec<OwnerReference>,
}

/// The effect of a change: the facts of an object before and after it.
pub(super) struct Effect {
    pub(super) place: Place,
    pub(super) before: Facts,
    pub(super) after: Facts,
}

/// The references from objects to owners, by the owner's uid. A single set, since most owners have
/// one dependent.
#[derive(Default)]
pub(super) struct Graph {
    /// The place is always set. `None` is only used as the lower bound of a search.
    references: BTreeSet<(Box<str>, Option<Place>)>,
}

impl Facts {
    /// Returns the facts of an object. One that cannot be decoded has no owners, and waits for no
    /// finalizer that is handled here.
    pub(super) fn of(object: &StoredObject) -> Self {
        if object.broken().is_some() {
            return Self::default();
        }
        serde_json::from_slice(&object.metadata_facts()).unwrap_or_default()
    }

    /// Returns whether the object is being deleted and held by this finalizer.
    pub(super) fn waits_for(&self, finalizer: &str) -> bool {
        self.deletion_timestamp.is_some() && self.finalizers.iter().any(|held| held == finalizer)
    }

    /// Returns whether the object blocks the deletion of this owner in the foreground.
    pub(super) fn blocks(&self, owner: &str) -> bool {
        let holds = |reference: &OwnerReference| {
            reference.uid == owner && reference.block_owner_deletion == Some(true)
        };
        self.owner_references.iter().any(holds)
    }

    /// Returns whether the object itself may need processing.
    pub(super) fn is_of_interest(&self) -> bool {
        !self.owner_references.is_empty() || self.waits_for(FOREGROUND) || self.waits_for(ORPHAN)
    }
}

impl Graph {
    /// Applies a change to the index.
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

    /// Adds an object to the index, under its owners.
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

    /// Returns the objects that refer to this owner.
    pub(super) fn dependents(&self, owner: &str) -> Vec<Place> {
        self.references
            .range((Box::from(owner), None)..)
            .take_while(|(uid, _)| **uid == *owner)
            .filter_map(|(_, place)| place.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn facts(value: Value) -> Facts {
        serde_json::from_value(value).unwrap()
    }

    fn owned_by(uids: &[&str]) -> Facts {
        let reference =
            |uid| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid});
        let references: Vec<Value> = uids.iter().map(reference).collect();
        facts(json!({"ownerReferences": references}))
    }

    fn place(name: &str) -> Place {
        let key = format!("/configmaps/default/{name}").parse().unwrap();
        Place { kind: 0, key }
    }

    #[test]
    fn only_a_deleted_object_waits_for_finalizers() {
        let mut object = facts(json!({"uid": "1", "finalizers": [ORPHAN]}));
        assert!(!object.waits_for(ORPHAN));
        assert!(!object.is_of_interest());
        let deleted = json!({"deletionTimestamp": "2026-01-02T03:04:05Z"});
        object.deletion_timestamp = facts(deleted).deletion_timestamp;
        assert!(object.waits_for(ORPHAN));
        assert!(!object.waits_for(FOREGROUND));
        assert!(object.is_of_interest());
        object.finalizers = vec![FOREGROUND.to_owned()];
        assert!(object.is_of_interest());
        object.finalizers = vec!["example.com/held".to_owned()];
        assert!(!object.is_of_interest());
        assert!(owned_by(&["1"]).is_of_interest());
    }

    #[test]
    fn an_object_blocks_the_owners_that_it_says() {
        let reference = |uid: &str, blocks: Value| {
            json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": "owner",
                "uid": uid,
                "blockOwnerDeletion": blocks,
            })
        };
        let references = json!([
            reference("blocked", json!(true)),
            reference("free", json!(false)),
            reference("unset", json!(null)),
        ]);
        let object = facts(json!({"ownerReferences": references}));
        let blocks = ["blocked", "free", "unset", "unknown"].map(|owner| object.blocks(owner));
        assert_eq!(blocks, [true, false, false, false]);
    }

    #[test]
    fn dependents_are_found_by_the_uid_of_their_owner() {
        let mut graph = Graph::default();
        graph.link(&owned_by(&["10", "1"]), place("b"));
        graph.link(&owned_by(&["1"]), place("a"));
        graph.link(&owned_by(&["2", "2"]), place("c"));
        assert_eq!(graph.dependents("1"), [place("a"), place("b")]);
        assert_eq!(graph.dependents("10"), [place("b")]);
        assert_eq!(graph.dependents("2"), [place("c")]);
        for uid in ["", "0", "11", "3"] {
            assert_eq!(graph.dependents(uid), [], "{uid:?}");
        }
        graph.unlink(&owned_by(&["1", "10"]), &place("b"));
        assert_eq!(graph.dependents("1"), [place("a")]);
        assert_eq!(graph.dependents("10"), []);
        graph.unlink(&owned_by(&["1"]), &place("b"));
        assert_eq!(graph.dependents("1"), [place("a")]);
    }

    #[test]
    fn objects_of_different_kinds_are_different_dependents() {
        let mut graph = Graph::default();
        let other = Place {
            kind: 1,
            ..place("a")
        };
        graph.link(&owned_by(&["1"]), place("a"));
        graph.link(&owned_by(&["1"]), other.clone());
        assert_eq!(graph.dependents("1"), [place("a"), other.clone()]);
        graph.unlink(&owned_by(&["1"]), &place("a"));
        assert_eq!(graph.dependents("1"), [other]);
    }
}
