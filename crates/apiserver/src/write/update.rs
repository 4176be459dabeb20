//! Replacement of an object: PUT and all kinds of patch.

use std::sync::Arc;

use machinery::managed_fields::differ_at_most_in_times;
use machinery::meta::{Metadata, MetadataExt, Object, ObjectMeta};
use machinery::status::{Status, uid_mismatch};
use serde_json::Value;
use storage::Revision;

use super::{ATTEMPTS, Candidate, Ownership, Part, Target, dedup_owners, tree, typed, validate};
use crate::description::STATUS;
use crate::registry::WriteError;
use crate::request_context::RequestContext;
use crate::resource::{Resource, Update, Write};
use crate::stored_object::StoredObject;

/// The live object, also as a JSON tree.
struct Live<'a, T> {
    object: &'a T,
    tree: &'a Value,
}

/// The state that a write replaces.
struct Replaced<'a, T> {
    live: &'a T,
    revision: Revision,
    dry_run: bool,
}

/// Replaces an object with the one that `make` computes from the live one. Repeats this if another
/// writer won the race.
///
/// # Errors
/// 404 if the caller can see no such object; 409 if the live version is not the one that the client
/// requires; 422 if the new state is invalid; otherwise, any error of the kind or of `make`.
pub(crate) async fn update<R: Resource>(
    resource: &R,
    cx: &RequestContext,
    target: Target<'_>,
    by: &Ownership<'_>,
    make: impl Fn(&R::Object, &Value) -> Result<Candidate<R::Object>, Status> + Send + Sync,
) -> Result<R::Object, Status> {
    let registry = resource.registry();
    for _ in 0..ATTEMPTS {
        let stored = live(resource, target).await?;
        let live: R::Object = registry.decode(&stored)?;
        let live_tree = tree(&live)?;
        let candidate = make(&live, &live_tree)?;
        let before = Live {
            object: &live,
            tree: &live_tree,
        };
        let object = prepare(resource, cx, candidate, by, before)?;
        validate(resource, &object, Some(&live))?;
        resource
            .admit(
                cx,
                Write::Update {
                    object: &object,
                    live: &live,
                },
            )
            .await?;
        let replaced = Replaced {
            live: &live,
            revision: stored.revision(),
            dry_run: by.dry_run,
        };
        match write(resource, cx, object, replaced).await {
            // The next attempt sees the other write: it returns 404 after a delete, and 409 if the
            // new state names the version that it replaces.
            Err(WriteError::Conflict) => {}
            Err(WriteError::Status(status)) => return Err(status),
            Ok(object) => return Ok(object),
        }
    }
    Err(modified(resource, target.key.name))
}

/// Returns the live object, if the caller may see it.
pub(crate) async fn live<R: Resource>(
    resource: &R,
    Target { key, visibility }: Target<'_>,
) -> Result<Arc<StoredObject>, Status> {
    let registry = resource.registry();
    let not_found = || Status::not_found(registry.group_resource(), key.name);
    let stored = registry.store().find(key).await?.ok_or_else(not_found)?;
    match visibility.admits(&stored).await? {
        true => Ok(stored),
        false => Err(not_found()),
    }
}

/// Returns the 409 of optimistic locking.
pub(super) fn modified<R: Resource>(resource: &R, name: &str) -> Status {
    Status::object_modified(resource.registry().group_resource(), name)
}

fn prepare<R: Resource>(
    resource: &R,
    cx: &RequestContext,
    candidate: Candidate<R::Object>,
    by: &Ownership<'_>,
    before: Live<'_, R::Object>,
) -> Result<R::Object, Status> {
    let Candidate {
        mut object,
        applied,
    } = candidate;
    let Live {
        object: live,
        tree: live_tree,
    } = before;
    dedup_owners(cx, object.metadata_mut());
    check_identity(resource, object.metadata(), live.metadata())?;
    keep_system_fields(object.metadata_mut(), live.metadata());
    match by.part {
        Part::Object => resource.prepare_update(cx, &mut object, live)?,
        Part::Status => {
            object = with_status_of(&object, live, live_tree)?;
            resource.prepare_status_update(cx, &mut object, live)?;
        }
    }
    let new_tree = tree(&object)?;
    if by.part == Part::Object && content_differs(&new_tree, live_tree, resource.reset_fields()) {
        let generation = live.metadata().generation.unwrap_or_default();
        object.metadata_mut().generation = Some(generation + 1);
    }
    if !applied {
        let owned = by.after_write(Some(live_tree), &new_tree, by.reset(resource));
        object.metadata_mut().managed_fields = Some(owned);
    }
    Ok(object)
}

/// Returns the live object with the status and the managed fields of the new state.
fn with_status_of<T: Object>(new: &T, live: &T, live_tree: &Value) -> Result<T, Status> {
    let mut merged = live_tree.clone();
    match tree(new)?.get_mut(STATUS) {
        Some(status) => merged[STATUS] = status.take(),
        None => {
            merged.as_object_mut().map(|fields| fields.remove(STATUS));
        }
    }
    let mut object: T = typed(merged)?;
    *object.metadata_mut() = ObjectMeta {
        managed_fields: new.metadata().managed_fields.clone(),
        ..live.metadata().clone()
    };
    Ok(object)
}

/// Checks that the resource version and UID in the new state, if set, are those of the live object.
fn check_identity<R: Resource>(
    resource: &R,
    new: &ObjectMeta,
    live: &ObjectMeta,
) -> Result<(), Status> {
    let name = live.name();
    let claims = |claimed: &Option<String>, live: &Option<String>| {
        claimed
            .as_deref()
            .is_some_and(|claimed| !claimed.is_empty() && Some(claimed) != live.as_deref())
    };
    if claims(&new.uid, &live.uid) {
        let key = resource.registry().key(live.into());
        let claimed = new.uid();
        let text = uid_mismatch(&key, claimed, live.uid());
        return Err(Status::conflict(
            resource.registry().group_resource(),
            name,
            &text,
        ));
    }
    if claims(&new.resource_version, &live.resource_version) {
        return Err(modified(resource, name));
    }
    Ok(())
}

/// Copies metadata from the live object: always for fields that a client cannot change, and for
/// others if the client left them out.
fn keep_system_fields(new: &mut ObjectMeta, live: &ObjectMeta) {
    new.resource_version.clone_from(&live.resource_version);
    new.generation = live.generation;
    new.self_link = None;
    if new.uid().is_empty() {
        new.uid.clone_from(&live.uid);
    }
    if new.creation_timestamp.is_none() {
        new.creation_timestamp.clone_from(&live.creation_timestamp);
    }
    new.deletion_timestamp.clone_from(&live.deletion_timestamp);
    new.deletion_grace_period_seconds = live.deletion_grace_period_seconds;
    if new.generate_name.as_deref().unwrap_or_default().is_empty() {
        new.generate_name.clone_from(&live.generate_name);
    }
}

/// Returns whether any field other than metadata and server-owned fields differs.
fn content_differs(new: &Value, live: &Value, server_owned: &[&str]) -> bool {
    let fields = |tree: &Value, other: &Value| {
        tree.as_object()
            .into_iter()
            .flatten()
            .any(|(field, value)| {
                field != "metadata"
                    && !server_owned.contains(&field.as_str())
                    && other.get(field) != Some(value)
            })
    };
    fields(new, live) || fields(live, new)
}

/// Stores the new state. Stores nothing if it equals the live state, and removes a deleted object
/// whose last finalizer is gone.
async fn write<R: Resource>(
    resource: &R,
    cx: &RequestContext,
    object: R::Object,
    replaced: Replaced<'_, R::Object>,
) -> Result<R::Object, WriteError> {
    let Replaced {
        live,
        revision,
        dry_run,
    } = replaced;
    let registry = resource.registry();
    let finished = object.metadata().deletion_timestamp.is_some() && !resource.waits(&object);
    if finished {
        if !dry_run {
            registry.store().remove(&object, revision).await?;
            resource.after_delete(&object).await?;
        }
        return Ok(object);
    }
    // A state that differs only in the times of its managed fields is not stored, as in Kubernetes.
    if differ_at_most_in_times(&tree(live)?, &tree(&object)?) {
        return Ok(live.clone());
    }
    let update = Update {
        object: &object,
        live,
        dry_run,
    };
    resource.meter(cx, update).await?;
    if dry_run {
        return Ok(object);
    }
    registry.store().replace(object, revision).await
}
