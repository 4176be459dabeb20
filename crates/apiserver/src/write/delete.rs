//! Deletion of an object: immediately, or once its finalizers are gone.

use machinery::meta::{GroupKind, Metadata, MetadataExt, ObjectMeta, Time};
use machinery::status::Status;
use storage::Revision;

use super::update::{live, modified};
use super::{ATTEMPTS, Target};
use crate::options::{DeleteOptions, Preconditions, Propagation};
use crate::registry::WriteError;
use crate::request_context::RequestContext;
use crate::resource::{Resource, Visibility, Write};

/// The finalizer that makes the garbage collector delete dependents first.
const FOREGROUND: &str = "foregroundDeletion";

/// The finalizer that makes the garbage collector keep dependents.
const ORPHAN: &str = "orphan";

/// The outcome of a delete.
pub(crate) struct Deleted<T> {
    /// The last state of the object.
    pub(crate) object: T,
    /// True if the object is removed. Otherwise, it waits for its finalizers.
    pub(crate) finished: bool,
}

/// Deletes an object that the caller may see.
///
/// # Errors
/// 404 if the caller can see no such object; 409 if a precondition fails; otherwise, any error of
/// the kind.
pub(crate) async fn delete<R: Resource>(
    resource: &R,
    cx: &RequestContext,
    target: Target<'_>,
    options: &DeleteOptions,
) -> Result<Deleted<R::Object>, Status> {
    let registry = resource.registry();
    for _ in 0..ATTEMPTS {
        let stored = live(resource, target).await?;
        let mut object: R::Object = registry.decode(&stored)?;
        check_preconditions(resource, &options.preconditions, object.metadata())?;
        resource.admit(cx, Write::Delete(&object)).await?;
        let terminating = object.metadata().deletion_timestamp.is_some();
        if !terminating {
            set_finalizers(object.metadata_mut(), options.propagation);
        }
        let waits = resource.waits(&object);
        let written = match (waits, terminating) {
            (true, true) => Ok(object),
            (true, false) => {
                mark(object.metadata_mut(), Time(cx.clock.now()));
                resource.prepare_delete(&mut object);
                if options.dry_run {
                    Ok(object)
                } else {
                    registry.store().replace(object, stored.revision()).await
                }
            }
            (false, _) if options.dry_run => Ok(object),
            (false, _) => remove(resource, object, stored.revision()).await,
        };
        match written {
            Ok(object) => {
                if !options.dry_run {
                    resource.after_delete(&object).await?;
                }
                return Ok(Deleted {
                    object,
                    finished: !waits,
                });
            }
            Err(WriteError::Conflict) => {}
            Err(WriteError::Status(status)) => return Err(status),
        }
    }
    Err(modified(resource, target.key.name))
}

/// Removes an object that cannot be read, for a caller who may see all objects. The kind is not
/// called, and there are no finalizers to wait for, because the object cannot be decoded. Returns
/// `false` if the object can be read, or if the caller can see no such object.
///
/// # Errors
/// 409 if a precondition fails or cannot be compared.
pub(crate) async fn delete_broken<R: Resource>(
    resource: &R,
    target: Target<'_>,
    options: &DeleteOptions,
) -> Result<bool, Status> {
    if !matches!(target.visibility, Visibility::Everything) {
        return Ok(false);
    }
    let registry = resource.registry();
    for _ in 0..ATTEMPTS {
        let found = registry.store().find(target.key).await?;
        let Some(broken) = found.filter(|object| object.broken().is_some()) else {
            return Ok(false);
        };
        let facts = ObjectMeta {
            name: Some(target.key.name.to_owned()),
            resource_version: Some(broken.revision().to_string()),
            ..ObjectMeta::default()
        };
        check_preconditions(resource, &options.preconditions, &facts)?;
        if options.dry_run {
            return Ok(true);
        }
        match registry.store().remove_stored(&broken).await {
            Ok(()) => return Ok(true),
            Err(WriteError::Conflict) => {}
            Err(WriteError::Status(status)) => return Err(status),
        }
    }
    Err(modified(resource, target.key.name))
}

async fn remove<R: Resource>(
    resource: &R,
    mut object: R::Object,
    revision: Revision,
) -> Result<R::Object, WriteError> {
    let removed = resource
        .registry()
        .store()
        .remove(&object, revision)
        .await?;
    object.metadata_mut().resource_version = Some(removed.to_string());
    Ok(object)
}

fn check_preconditions<R: Resource>(
    resource: &R,
    preconditions: &Preconditions,
    live: &ObjectMeta,
) -> Result<(), Status> {
    let description = resource.registry().description();
    let kind = GroupKind::new(description.group, description.kind);
    let name = live.name();
    let uid = live.uid();
    if let Some(wanted) = preconditions.uid.as_deref().filter(|wanted| *wanted != uid) {
        return Err(Status::uid_precondition(&kind, name, wanted, uid));
    }
    let version = live.resource_version();
    let wanted = preconditions.resource_version.as_deref();
    match wanted.filter(|wanted| *wanted != version) {
        Some(wanted) => Err(Status::version_precondition(&kind, name, wanted, version)),
        None => Ok(()),
    }
}

/// Sets or removes the finalizers of the garbage collector, according to the propagation policy
/// that the client requests.
fn set_finalizers(metadata: &mut ObjectMeta, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else {
        return;
    };
    let mut finalizers = metadata.finalizers.take().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != FOREGROUND && finalizer != ORPHAN);
    match propagation {
        Propagation::Foreground => finalizers.push(FOREGROUND.to_owned()),
        Propagation::Orphan => finalizers.push(ORPHAN.to_owned()),
        Propagation::Background => {}
    }
    metadata.finalizers = Some(finalizers).filter(|finalizers| !finalizers.is_empty());
}

fn mark(metadata: &mut ObjectMeta, now: Time) {
    metadata.deletion_timestamp = Some(now);
    metadata.deletion_grace_period_seconds = Some(0);
    if let Some(generation) = metadata.generation.filter(|generation| *generation > 0) {
        metadata.generation = Some(generation + 1);
    }
}
