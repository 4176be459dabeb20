//! Rejection of new objects in a namespace that is absent or being deleted (admission plugin
//! `NamespaceLifecycle`).
//!
//! The check and the creation are two steps, so the deletion of a namespace may begin between them.
//! Therefore the namespace is checked again after the creation. If its deletion has begun by then,
//! the emptier may not have seen the object, and the object is removed again. If its deletion
//! begins later, the emptier sees the object. No lock is needed, and no object is left in a
//! namespace that is gone.

use apiserver::registry::{Registry, WriteError};
use k8s_openapi::api::core::v1::Namespace;
use machinery::meta::{MetadataExt, Object, ObjectKey};
use machinery::status::{Cause, Status};

use super::is_terminating;

/// Admits objects to namespaces.
#[derive(Clone)]
pub struct NamespaceLifecycle {
    namespaces: Registry<Namespace>,
}

/// The reason that a namespace accepts no new objects.
enum Closed {
    Absent,
    Terminating,
}

impl NamespaceLifecycle {
    /// Creates the check for these namespaces.
    pub fn new(namespaces: Registry<Namespace>) -> Self {
        Self { namespaces }
    }

    /// Checks that the object may be created in its namespace.
    ///
    /// # Errors
    /// 404 if there is no such namespace; 403 if it is being deleted.
    pub async fn admit<T: Object>(&self, registry: &Registry<T>, object: &T) -> Result<(), Status> {
        match self.closed(object).await? {
            None => Ok(()),
            Some(closed) => Err(self.refusal(registry, object, closed)),
        }
    }

    /// Stores a new object, and removes it again if its namespace was closed in the meantime.
    ///
    /// # Errors
    /// The same as [`Stored::insert`] and [`NamespaceLifecycle::admit`].
    ///
    /// [`Stored::insert`]: apiserver::registry::Stored::insert
    pub async fn insert<T: Object>(
        &self,
        registry: &Registry<T>,
        object: T,
        dry_run: bool,
    ) -> Result<T, Status> {
        let stored = registry.store().insert(object, dry_run).await?;
        if dry_run {
            return Ok(stored);
        }
        match self.closed(&stored).await {
            Ok(Some(closed)) => {
                take_back(registry, &stored).await;
                Err(self.refusal(registry, &stored, closed))
            }
            // The object has been stored, even if the store does not answer now.
            Ok(None) | Err(_) => Ok(stored),
        }
    }

    async fn closed<T: Object>(&self, object: &T) -> Result<Option<Closed>, Status> {
        let namespace = object.metadata().namespace();
        Ok(
            match self
                .namespaces
                .store()
                .get(ObjectKey::cluster(namespace))
                .await?
            {
                None => Some(Closed::Absent),
                Some(namespace) if is_terminating(&namespace) => Some(Closed::Terminating),
                Some(_) => None,
            },
        )
    }

    fn refusal<T: Object>(&self, registry: &Registry<T>, object: &T, closed: Closed) -> Status {
        let metadata = object.metadata();
        let namespace = metadata.namespace();
        if matches!(closed, Closed::Absent) {
            return Status::not_found(self.namespaces.group_resource(), namespace);
        }
        let name = metadata.name();
        let text = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let mut status = Status::forbidden(registry.group_resource(), name, &text);
        status.details.get_or_insert_default().causes.push(Cause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        });
        status
    }
}

/// Removes an object again. A writer that changed it in the meantime has seen it, and the emptier
/// may have removed it already: both are fine.
async fn take_back<T: Object>(registry: &Registry<T>, object: &T) {
    if let Err(WriteError::Status(error)) = registry.store().remove_as_read(object).await {
        let resource = registry.group_resource();
        tracing::warn!(%error, %resource, "an object that was created in a terminating namespace could not be deleted");
    }
}
