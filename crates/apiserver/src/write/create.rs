//! Creation of an object.

use jiff::Timestamp;
use machinery::meta::{Metadata, ObjectKey, ObjectMeta, Time};
use machinery::status::{Reason, Status};

use super::{Candidate, Ownership, dedup_owners, tree, validate};
use crate::names::random_name;
use crate::request_context::RequestContext;
use crate::resource::{Resource, Write};

/// The maximum number of generated names to try (upstream `maxNameGenerationCreateAttempts`).
const NAME_ATTEMPTS: usize = 8;

/// Prepares, validates, admits and stores a new object.
///
/// # Errors
/// 422 if the object is invalid; 409 if the name already exists; otherwise, any error of the kind.
pub(crate) async fn create<R: Resource>(
    resource: &R,
    cx: &RequestContext,
    candidate: Candidate<R::Object>,
    by: &Ownership<'_>,
) -> Result<R::Object, Status> {
    let Candidate {
        mut object,
        applied,
    } = candidate;
    if object
        .metadata()
        .resource_version
        .as_deref()
        .is_some_and(|version| !version.is_empty())
    {
        return Err(Status::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    if !applied {
        object.metadata_mut().managed_fields = None;
    }
    dedup_owners(cx, object.metadata_mut());
    resource.prepare_create(cx, &mut object)?;
    fill(object.metadata_mut(), cx.clock.now());
    let base = object.metadata().generate_name.clone().unwrap_or_default();
    let generated = object
        .metadata()
        .name
        .as_deref()
        .unwrap_or_default()
        .is_empty()
        && !base.is_empty();
    for attempt in 1.. {
        let mut object = object.clone();
        if generated {
            object.metadata_mut().name = Some(random_name(&base));
        }
        if !applied {
            let owned = by.after_write(None, &tree(&object)?, by.reset(resource));
            object.metadata_mut().managed_fields = Some(owned);
        }
        validate(resource, &object, None)?;
        resource.admit(cx, Write::Create(&object)).await?;
        let name = object.metadata().name.clone().unwrap_or_default();
        let namespace = object.metadata().namespace.clone().unwrap_or_default();
        match resource.create(cx, object, by.dry_run).await {
            Err(status) if generated && status.reason == Reason::AlreadyExists => {
                if attempt == NAME_ATTEMPTS {
                    let resource = resource.registry().group_resource();
                    return Err(Status::generate_name_conflict(resource, &name));
                }
            }
            Err(status) if status.reason == Reason::AlreadyExists => {
                return Err(taken(resource, ObjectKey::namespaced(&namespace, &name))
                    .await
                    .unwrap_or(status));
            }
            result => return result,
        }
    }
    Err(Status::internal("no name was generated"))
}

/// Returns the 409 for a name whose object is being deleted, so that the client can wait for its
/// removal.
async fn taken<R: Resource>(resource: &R, key: ObjectKey<'_>) -> Option<Status> {
    let registry = resource.registry();
    let live = registry.store().get(key).await.ok()??;
    let terminating = live.metadata().deletion_timestamp.is_some();
    terminating.then(|| Status::already_exists_terminating(registry.group_resource(), key.name))
}

/// Sets the metadata that the server assigns to every new object.
fn fill(metadata: &mut ObjectMeta, now: Timestamp) {
    metadata.uid = Some(uuid::Uuid::new_v4().to_string());
    metadata.creation_timestamp = Some(Time(now));
    metadata.generation = Some(1);
    metadata.resource_version = None;
    metadata.self_link = None;
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
}
