//! Served kinds without the type of their objects, as needed by the emptying of namespaces and by
//! garbage collection.
//!
//! Every [`Resource`] implements this. Changes made here are the server's own and bypass admission,
//! but an object still waits for its finalizers, and the kind's own clean-up still runs.

use apiserver::description::Description;
use apiserver::registry::WriteError;
use apiserver::resource::Resource;
use apiserver::stored_object::StoredObject;
use async_trait::async_trait;
use machinery::meta::{Metadata, ObjectKey, ObjectMeta, Time};
use machinery::status::Status;
use storage::Revision;
use storage::cache::{Collection, View};

/// Maximum number of tries for a change that conflicts with other writers.
const ATTEMPTS: usize = 16;

/// A change of an object's metadata. It is applied again to the latest state after a conflict.
pub type Edit = dyn Fn(&mut ObjectMeta) + Send + Sync;

/// A served kind without the type of its objects.
#[async_trait]
pub trait AnyResource: Send + Sync {
    /// Returns the description of the kind.
    fn description(&self) -> &Description;

    /// Returns the cached objects.
    fn collection(&self) -> &Collection<StoredObject>;

    /// Returns the key of an object, or the prefix of all objects of a namespace if `name` is
    /// empty.
    fn key(&self, key: ObjectKey<'_>) -> String;

    /// Returns the latest state of all objects.
    ///
    /// # Errors
    /// 503 if the store does not answer.
    async fn latest(&self) -> Result<View<StoredObject>, Status>;

    /// Changes the metadata of the object at `key` if it still has this uid. An object that is
    /// being deleted and no longer waits for anything is removed. Does nothing if the object is
    /// gone.
    ///
    /// # Errors
    /// 503 if the store does not answer, and errors of the kind's own clean-up.
    async fn edit(&self, key: &str, uid: &str, edit: &Edit) -> Result<(), Status>;

    /// Deletes the object at `key` if it still has this uid: marks it, or removes it if it does not
    /// wait for anything.
    ///
    /// # Errors
    /// The same as [`AnyResource::edit`].
    async fn delete(&self, key: &str, uid: &str) -> Result<(), Status>;
}

#[async_trait]
impl<R: Resource> AnyResource for R {
    fn description(&self) -> &Description {
        self.registry().description()
    }

    fn collection(&self) -> &Collection<StoredObject> {
        self.registry().collection()
    }

    fn key(&self, key: ObjectKey<'_>) -> String {
        self.registry().key(key)
    }

    async fn latest(&self) -> Result<View<StoredObject>, Status> {
        self.registry().store().latest().await
    }

    async fn edit(&self, key: &str, uid: &str, edit: &Edit) -> Result<(), Status> {
        let registry = self.registry();
        for _ in 0..ATTEMPTS {
            let Some(stored) = registry.store().latest().await?.get(key).cloned() else {
                return Ok(());
            };
            let live = registry.decode(&stored)?;
            if live.metadata().uid.as_deref() != Some(uid) {
                return Ok(());
            }
            let mut object = live.clone();
            edit(object.metadata_mut());
            match store_change(self, object, &live, stored.revision()).await {
                Ok(()) => return Ok(()),
                Err(WriteError::Conflict) => {}
                Err(WriteError::Status(status)) => return Err(status),
            }
        }
        Err(Status::object_modified(registry.group_resource(), key))
    }

    async fn delete(&self, key: &str, uid: &str) -> Result<(), Status> {
        let now = Time(self.registry().clock().now());
        self.edit(key, uid, &move |metadata| mark_deleted(metadata, &now))
            .await
    }
}

/// Marks an object as being deleted, unless it already is.
pub(crate) fn mark_deleted(metadata: &mut ObjectMeta, now: &Time) {
    if metadata.deletion_timestamp.is_some() {
        return;
    }
    metadata.deletion_timestamp = Some(now.clone());
    metadata.deletion_grace_period_seconds = Some(0);
    metadata.generation = metadata.generation.map(|generation| generation + 1);
}

/// Stores a changed object, or removes it if its deletion is complete.
async fn store_change<R: Resource>(
    resource: &R,
    mut object: R::Object,
    live: &R::Object,
    revision: Revision,
) -> Result<(), WriteError> {
    let registry = resource.registry();
    let is_marked = object.metadata().deletion_timestamp.is_some();
    let is_new_mark = is_marked && live.metadata().deletion_timestamp.is_none();
    let is_finished = is_marked && !resource.waits(&object);
    if is_new_mark {
        resource.prepare_delete(&mut object);
    }
    if is_finished {
        registry.store().remove(&object, revision).await?;
    } else if object.metadata() == live.metadata() {
        return Ok(());
    } else {
        object = registry.store().replace(object, revision).await?;
    }
    if is_new_mark || is_finished {
        resource.after_delete(&object).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_set_once_and_is_a_new_generation() {
        let now = Time(jiff::Timestamp::UNIX_EPOCH);
        let later = Time(jiff::Timestamp::MAX);
        let mut metadata = ObjectMeta {
            name: Some("c".to_owned()),
            generation: Some(3),
            ..ObjectMeta::default()
        };
        let expected = ObjectMeta {
            deletion_timestamp: Some(now.clone()),
            deletion_grace_period_seconds: Some(0),
            generation: Some(4),
            ..metadata.clone()
        };
        mark_deleted(&mut metadata, &now);
        assert_eq!(metadata, expected);
        mark_deleted(&mut metadata, &later);
        assert_eq!(metadata, expected);
        let mut metadata = ObjectMeta::default();
        mark_deleted(&mut metadata, &later);
        assert_eq!(metadata.generation, None);
        assert_eq!(metadata.deletion_timestamp, Some(later));
    }
}
