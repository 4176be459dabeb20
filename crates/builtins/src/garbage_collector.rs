//! A small garbage collector that implements the owner references of objects (upstream
//! `pkg/controller/garbagecollector`).
//!
//! * An object all of whose owners are gone is deleted. An object that still has an owner loses its
//!   references to those that are gone.
//! * An object deleted in the *foreground* (finalizer `foregroundDeletion`) waits until the
//!   dependents that block it are deleted. Objects that own each other in a circle stop blocking
//!   each other.
//! * An object deleted as *orphan* (finalizer `orphan`) waits until its dependents no longer refer
//!   to it.
//!
//! The collector follows the cached collections of the given kinds and keeps a single index: the
//! objects that refer to each owner. Owners are looked up by kind and name and compared by uid, in
//! a cache that is never older than the event being processed. References to other kinds are
//! ignored. After a failure or a gap in the history it starts over from the current state.

mod changes;
mod graph;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use apiserver::description::Scope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use machinery::meta::{ObjectKey, ObjectMeta, Time};
use machinery::status::Status;
use machinery::time::Clock;
use tokio::task::consume_budget;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::any_resource::{AnyResource, mark_deleted};
use changes::Changes;
use graph::{Effect, Facts, Graph, Place};

/// Finalizer of an object that waits for its dependents to be deleted.
const FOREGROUND: &str = "foregroundDeletion";

/// Finalizer of an object that waits until its dependents no longer refer to it.
const ORPHAN: &str = "orphan";

/// Time to wait before starting over.
const PAUSE: Duration = Duration::from_secs(5);

/// Deletes dependents, or removes their references to owners.
pub struct GarbageCollector {
    kinds: Vec<Arc<dyn AnyResource>>,
    clock: Arc<dyn Clock>,
}

/// The state of the owner that a reference names.
enum Owner {
    /// The owner exists, or its state is unknown here.
    Stays,
    /// The owner waits for its dependents to be deleted.
    WaitsForDependents,
    /// The owner does not exist.
    Gone,
}

/// The order in which an object and its own dependents are deleted.
#[derive(Clone, Copy, PartialEq)]
enum Cascade {
    /// The object is deleted first.
    Background,
    /// The dependents are deleted first.
    Foreground,
    /// The same, but a dependent already waits for this object, as in a circle of owners.
    /// Therefore the object does not block its owners any longer.
    ForegroundInCircle,
}

/// The decision about an object that has owners.
struct Verdict {
    facts: Facts,
    /// The uids of owners that are gone or being deleted.
    lost: Vec<String>,
    /// True if an owner stays, so that the object stays too.
    stays: bool,
    /// True if an owner waits for its dependents.
    in_foreground: bool,
}

impl Verdict {
    /// Returns whether there is anything to do.
    fn is_due(&self) -> bool {
        !self.lost.is_empty() && (self.stays || self.facts.deletion_timestamp.is_none())
    }
}

impl GarbageCollector {
    /// Creates a collector for these kinds, as owners and as dependents.
    pub fn new(kinds: Vec<Arc<dyn AnyResource>>, clock: Arc<dyn Clock>) -> Self {
        Self { kinds, clock }
    }

    /// Runs until `shutdown`. Failures are logged and retried. Dropping the future is safe.
    pub async fn run(&self, shutdown: CancellationToken) {
        let work = async {
            while let Err(error) = self.follow().await {
                tracing::warn!(%error, "the garbage collector restarts");
                sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = work => {}
        }
    }

    /// Processes the current state, then every change, until the caches close.
    async fn follow(&self) -> Result<(), Status> {
        let mut graph = Graph::default();
        let (mut changes, present) = self.survey(&mut graph).await?;
        for place in present {
            self.settle(&graph, &place).await?;
        }
        loop {
            let batch = match changes.next().await {
                Ok(batch) => batch,
                Err(storage::Error::Closed) => return Ok(()),
                Err(error) => return Err(gap(&error)),
            };
            // Apply all changes before processing their effects: an owner whose dependents are
            // orphaned must know all of them.
            let effects: Vec<Effect> = batch
                .into_iter()
                .map(|change| graph.apply(change))
                .collect();
            for effect in effects {
                self.process(&graph, effect).await?;
            }
        }
    }

    /// Indexes the current objects. Returns those that may need processing, and all changes from
    /// here on.
    async fn survey(&self, graph: &mut Graph) -> Result<(Changes, Vec<Place>), Status> {
        let mut changes = Changes::default();
        let mut present = Vec::new();
        for (kind, resource) in self.kinds.iter().enumerate() {
            let view = resource.collection().view();
            for (key, object) in view.iter() {
                // Yields to other tasks about once per millisecond.
                consume_budget().await;
                let facts = Facts::of(object);
                let place = Place {
                    kind,
                    key: key.clone(),
                };
                if facts.is_of_interest() {
                    present.push(place.clone());
                }
                graph.link(&facts, place);
            }
            let followed = changes.follow(resource.collection(), view.revision);
            followed.map_err(|error| gap(&error))?;
        }
        Ok((changes, present))
    }

    async fn process(&self, graph: &Graph, effect: Effect) -> Result<(), Status> {
        let Effect {
            place,
            before,
            after,
        } = effect;
        let replaced = before.uid != after.uid;
        if after.is_of_interest() {
            self.settle_as(graph, &place, after).await?;
        }
        if replaced {
            for dependent in graph.dependents(&before.uid) {
                self.settle(graph, &dependent).await?;
            }
        }
        // An owner that waited for this object may no longer have to. Several references can name
        // one owner.
        let owners = before.owner_references.iter();
        let owners: BTreeSet<Place> = owners
            .filter_map(|reference| self.place_of(&before, reference))
            .collect();
        for owner in &owners {
            self.settle(graph, owner).await?;
        }
        Ok(())
    }

    /// Processes the finalizers and owners of one object. Must be idempotent.
    async fn settle(&self, graph: &Graph, place: &Place) -> Result<(), Status> {
        match self.facts(place) {
            Some(facts) => self.settle_as(graph, place, facts).await,
            None => Ok(()),
        }
    }

    /// Does the same for an object with these facts, which may be those before a change that is
    /// still to be processed.
    async fn settle_as(&self, graph: &Graph, place: &Place, facts: Facts) -> Result<(), Status> {
        if facts.waits_for(ORPHAN) {
            for dependent in graph.dependents(&facts.uid) {
                self.release(&dependent, std::slice::from_ref(&facts.uid))
                    .await?;
            }
            return self.finish(place, &facts, ORPHAN).await;
        }
        if facts.waits_for(FOREGROUND) {
            let dependents = graph.dependents(&facts.uid);
            for dependent in &dependents {
                if let Some(facts) = self.facts(dependent) {
                    self.judge(graph, dependent, facts).await?;
                }
            }
            let blocks = |place: &Place| {
                self.facts(place)
                    .is_some_and(|found| found.blocks(&facts.uid))
            };
            if !dependents.iter().any(blocks) {
                self.finish(place, &facts, FOREGROUND).await?;
            }
        }
        self.judge(graph, place, facts).await
    }

    /// Deletes an object whose owners are gone or being deleted, or removes the references to
    /// those.
    async fn judge(&self, graph: &Graph, place: &Place, facts: Facts) -> Result<(), Status> {
        if !self.verdict(facts).is_due() {
            return Ok(());
        }
        // The kinds are published one after the other, so an owner that was stored with its
        // dependent can be missing for a moment. Therefore only the latest state of all kinds is
        // decisive.
        self.kinds[place.kind].latest().await?;
        let verdict = self.facts(place).map(|facts| self.verdict(facts));
        let Some(verdict) = verdict.filter(Verdict::is_due) else {
            return Ok(());
        };
        let Verdict { facts, lost, .. } = &verdict;
        if verdict.stays {
            return self.release(place, lost).await;
        }
        let dependents = graph.dependents(&facts.uid);
        if !verdict.in_foreground || dependents.is_empty() {
            return self.delete(place, facts, Cascade::Background).await;
        }
        let waits = |place: &Place| {
            self.facts(place)
                .is_some_and(|found| found.waits_for(FOREGROUND))
        };
        let cascade = match dependents.iter().any(waits) {
            true => Cascade::ForegroundInCircle,
            false => Cascade::Foreground,
        };
        self.delete(place, facts, cascade).await
    }

    /// Returns the decision about an object that has owners.
    fn verdict(&self, facts: Facts) -> Verdict {
        let mut verdict = Verdict {
            lost: Vec::new(),
            stays: facts.owner_references.is_empty(),
            in_foreground: false,
            facts,
        };
        for reference in &verdict.facts.owner_references {
            match self.owner(&verdict.facts, reference) {
                Owner::Stays => verdict.stays = true,
                Owner::WaitsForDependents => {
                    verdict.in_foreground = true;
                    verdict.lost.push(reference.uid.clone());
                }
                Owner::Gone => verdict.lost.push(reference.uid.clone()),
            }
        }
        verdict
    }

    /// Deletes an object.
    async fn delete(&self, place: &Place, facts: &Facts, cascade: Cascade) -> Result<(), Status> {
        let now = Time(self.clock.now());
        let edit = move |metadata: &mut ObjectMeta| {
            if cascade != Cascade::Background && metadata.deletion_timestamp.is_none() {
                let finalizers = metadata.finalizers.get_or_insert_default();
                finalizers.push(FOREGROUND.to_owned());
            }
            if cascade == Cascade::ForegroundInCircle {
                unblock(metadata);
            }
            mark_deleted(metadata, &now);
        };
        self.kinds[place.kind]
            .edit(place.key.as_str(), &facts.uid, &edit)
            .await
    }

    /// Removes the references to these owners from an object.
    async fn release(&self, place: &Place, owners: &[String]) -> Result<(), Status> {
        let Some(facts) = self.facts(place) else {
            return Ok(());
        };
        let owners: HashSet<String> = owners.iter().cloned().collect();
        let edit = move |metadata: &mut ObjectMeta| {
            let is_kept = |reference: &OwnerReference| !owners.contains(&reference.uid);
            retain(&mut metadata.owner_references, is_kept);
        };
        self.kinds[place.kind]
            .edit(place.key.as_str(), &facts.uid, &edit)
            .await
    }

    /// Removes a finalizer from an object. If it was the last one, the object is removed.
    async fn finish(
        &self,
        place: &Place,
        facts: &Facts,
        finalizer: &'static str,
    ) -> Result<(), Status> {
        let edit = move |metadata: &mut ObjectMeta| {
            retain(&mut metadata.finalizers, |held: &String| held != finalizer);
        };
        self.kinds[place.kind]
            .edit(place.key.as_str(), &facts.uid, &edit)
            .await
    }

    fn owner(&self, dependent: &Facts, reference: &OwnerReference) -> Owner {
        let Some(place) = self.place_of(dependent, reference) else {
            return Owner::Stays;
        };
        match self.facts(&place) {
            None => Owner::Gone,
            // The owner cannot be decoded, so it is unknown whether it is the one that the
            // reference means.
            Some(owner) if owner.uid.is_empty() => Owner::Stays,
            Some(owner) if owner.uid != reference.uid => Owner::Gone,
            Some(owner) if owner.waits_for(FOREGROUND) => Owner::WaitsForDependents,
            Some(_) => Owner::Stays,
        }
    }

    /// Returns the place of the owner that a reference names, if its kind is known here. An owner
    /// in a namespace only owns objects in the same namespace.
    fn place_of(&self, dependent: &Facts, reference: &OwnerReference) -> Option<Place> {
        let group = reference
            .api_version
            .rsplit_once('/')
            .map_or("", |(group, _)| group);
        let is_named = |kind: &&Arc<dyn AnyResource>| {
            kind.description().group == group && kind.description().kind == reference.kind
        };
        let kind = self.kinds.iter().position(|kind| is_named(&kind))?;
        let namespace = match self.kinds[kind].description().scope {
            Scope::Cluster => "",
            Scope::Namespaced if dependent.namespace.is_empty() => return None,
            Scope::Namespaced => &dependent.namespace,
        };
        let key = self.kinds[kind]
            .key(ObjectKey::namespaced(namespace, &reference.name))
            .parse()
            .ok()?;
        Some(Place { kind, key })
    }

    fn facts(&self, place: &Place) -> Option<Facts> {
        let view = self.kinds[place.kind].collection().view();
        view.get(place.key.as_str()).map(|object| Facts::of(object))
    }
}

/// Makes an object block the deletion of none of its owners.
fn unblock(metadata: &mut ObjectMeta) {
    for reference in metadata.owner_references.iter_mut().flatten() {
        if reference.block_owner_deletion == Some(true) {
            reference.block_owner_deletion = Some(false);
        }
    }
}

/// Removes items from a list. An empty list becomes `None`.
fn retain<T>(list: &mut Option<Vec<T>>, is_kept: impl Fn(&T) -> bool) {
    if let Some(items) = list {
        items.retain(is_kept);
    }
    list.take_if(|items| items.is_empty());
}

fn gap(error: &storage::Error) -> Status {
    Status::internal(format!("the history of changes has a gap: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_without_items_is_absent() {
        #[track_caller]
        fn check(list: Option<&[u8]>, expected: Option<&[u8]>) {
            let mut list = list.map(<[u8]>::to_vec);
            retain(&mut list, |item| *item > 1);
            assert_eq!(list.as_deref(), expected);
        }
        check(Some(&[1, 2, 3, 1]), Some(&[2, 3]));
        check(Some(&[1, 1]), None);
        check(Some(&[]), None);
        check(None, None);
    }

    #[test]
    fn an_unblocked_object_keeps_its_owners() {
        let reference = |uid: &str, blocks: Option<bool>| OwnerReference {
            uid: uid.to_owned(),
            block_owner_deletion: blocks,
            ..OwnerReference::default()
        };
        let mut metadata = ObjectMeta::default();
        unblock(&mut metadata);
        assert_eq!(metadata, ObjectMeta::default());
        let owners = |first| {
            Some(vec![
                reference("1", first),
                reference("2", Some(false)),
                reference("3", None),
            ])
        };
        metadata.owner_references = owners(Some(true));
        unblock(&mut metadata);
        assert_eq!(metadata.owner_references, owners(Some(false)));
    }

    #[test]
    fn an_object_is_due_if_it_lost_owners() {
        #[track_caller]
        fn check(lost: &[&str], stays: bool, is_deleted: bool, expected: bool) {
            let deleted = json!({"deletionTimestamp": "2026-01-02T03:04:05Z"});
            let facts = if is_deleted { deleted } else { json!({}) };
            let verdict = Verdict {
                facts: serde_json::from_value(facts).unwrap(),
                lost: lost.iter().map(|uid| (*uid).to_owned()).collect(),
                stays,
                in_foreground: false,
            };
            assert_eq!(verdict.is_due(), expected);
        }
        check(&[], true, false, false);
        check(&[], false, false, false);
        check(&["1"], false, false, true);
        check(&["1"], true, false, true);
        // An object that is being deleted is not deleted again, but it is released.
        check(&["1"], false, true, false);
        check(&["1"], true, true, true);
    }
}
