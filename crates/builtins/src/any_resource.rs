//! A served kind without the type of its objects: what emptying a namespace and collecting garbage
//! need to know.
//!
//! Every [`Resource`] is one. Changes made here are the server's own: nobody is asked whether they
//! are admitted, but an object still waits for its finalizers and what hangs on it is told of its
//! end.

use apiserver::description::Description;
use apiserver::resource::Resource;
use apiserver::stored_object::StoredObject;
use async_trait::async_trait;
use machinery::meta::{Metadata, ObjectMeta, Time};
use machinery::status::Status;
use storage::cache::{Collection, View};

/// How often a change is tried again when somebody else was faster.
const ATTEMPTS: usize = 16;

/// A change of an object's metadata. It is made again on the newest state when somebody else was
/// faster.
pub type Edit = dyn Fn(&mut ObjectMeta) + Send + Sync;

/// A served kind without the type of its objects.
#[async_trait]
pub trait AnyResource: Send + Sync {
    /// What the kind is.
    fn description(&self) -> &Description;

    /// The cached objects.
    fn collection(&self) -> &Collection<StoredObject>;

    /// Where an object lies, or all objects of a namespace where `name` is empty.
    fn key(&self, namespace: &str, name: &str) -> String;

    /// The newest state of all objects.
    ///
    /// # Errors
    /// 503 where the store does not answer.
    async fn latest(&self) -> Result<View<StoredObject>, Status>;

    /// Changes the metadata of the object at `key` if it is still that of this uid. One that is
    /// being deleted and waits for nothing any more is removed. Does nothing where the object is
    /// gone.
    ///
    /// # Errors
    /// 503 where the store does not answer, and what the kind's own clean-up reports.
    async fn edit(&self, key: &str, uid: &str, edit: &Edit) -> Result<(), Status>;

    /// Deletes the object at `key` if it is still that of this uid: marks it, or removes it where
    /// it waits for nothing.
    ///
    /// # Errors
    /// As [`AnyResource::edit`].
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

    fn key(&self, namespace: &str, name: &str) -> String {
        self.registry().key(namespace, name)
    }

    async fn latest(&self) -> Result<View<StoredObject>, Status> {
        self.registry().latest().await
    }

    async fn edit(&self, key: &str, uid: &str, edit: &Edit) -> Result<(), Status> {
        let registry = self.registry();
        for _ in 0..ATTEMPTS {
            let Some(stored) = registry.latest().await?.get(key).cloned() else {
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
                Err(None) => {}
                Err(Some(status)) => return Err(status),
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

/// Marks an object as being deleted, once.
pub(crate) fn mark_deleted(metadata: &mut ObjectMeta, now: &Time) {
    if metadata.deletion_timestamp.is_some() {
        return;
    }
    metadata.deletion_timestamp = Some(now.clone());
    metadata.deletion_grace_period_seconds = Some(0);
    metadata.generation = metadata.generation.map(|generation| generation + 1);
}

/// Stores a changed object, or removes it where its time has come. `None` inside: somebody else was
/// faster.
async fn store_change<R: Resource>(
    resource: &R,
    mut object: R::Object,
    live: &R::Object,
    revision: u64,
) -> Result<(), Option<Status>> {
    let registry = resource.registry();
    let is_marked = object.metadata().deletion_timestamp.is_some();
    let is_new_mark = is_marked && live.metadata().deletion_timestamp.is_none();
    let is_finished = is_marked && !resource.waits(&object);
    if is_new_mark {
        resource.prepare_delete(&mut object);
    }
    if is_finished {
        registry.remove(&object, revision).await?;
    } else if object.metadata() == live.metadata() {
        return Ok(());
    } else {
        object = registry.replace(object, revision).await?;
    }
    if is_new_mark || is_finished {
        resource.after_delete(&object).await.map_err(Some)?;
    }
    Ok(())
}
