//! Nothing is created in a namespace that is absent or going (admission plugin
//! `NamespaceLifecycle`).
//!
//! The check and the creation are two steps, so a namespace may begin to end between them.
//! Therefore the namespace is looked at once more after the creation: whoever began to end it
//! before then may not have seen the object, and the object is taken back; whoever begins later
//! will see it. No lock is needed, and nothing is left behind in a namespace that is gone.

use apiserver::registry::Registry;
use k8s_openapi::api::core::v1::Namespace;
use machinery::meta::Object;
use machinery::status::{Cause, Status};

use super::is_terminating;

/// Lets objects into namespaces.
#[derive(Clone)]
pub struct NamespaceLifecycle {
    namespaces: Registry<Namespace>,
}

/// Why a namespace takes nothing new.
enum Closed {
    Absent,
    Terminating,
}

impl NamespaceLifecycle {
    /// By these namespaces.
    pub fn new(namespaces: Registry<Namespace>) -> Self {
        Self { namespaces }
    }

    /// Whether the object may be created in its namespace.
    ///
    /// # Errors
    /// 404 where there is no such namespace, 403 where it is being deleted (A185).
    pub async fn admit<T: Object>(&self, registry: &Registry<T>, object: &T) -> Result<(), Status> {
        match self.closed(object).await? {
            None => Ok(()),
            Some(closed) => Err(self.refusal(registry, object, closed)),
        }
    }

    /// Stores a new object, and takes it back where its namespace closed meanwhile.
    ///
    /// # Errors
    /// As [`Registry::insert`] and [`NamespaceLifecycle::admit`].
    pub async fn insert<T: Object>(
        &self,
        registry: &Registry<T>,
        object: T,
        dry_run: bool,
    ) -> Result<T, Status> {
        let stored = registry.insert(object, dry_run).await?;
        if dry_run {
            return Ok(stored);
        }
        match self.closed(&stored).await {
            Ok(Some(closed)) => {
                take_back(registry, &stored).await;
                Err(self.refusal(registry, &stored, closed))
            }
            // A store that does not answer now has stored the object nevertheless.
            Ok(None) | Err(_) => Ok(stored),
        }
    }

    async fn closed<T: Object>(&self, object: &T) -> Result<Option<Closed>, Status> {
        let namespace = object.metadata().namespace.as_deref().unwrap_or_default();
        Ok(match self.namespaces.get("", namespace).await? {
            None => Some(Closed::Absent),
            Some(namespace) if is_terminating(&namespace) => Some(Closed::Terminating),
            Some(_) => None,
        })
    }

    fn refusal<T: Object>(&self, registry: &Registry<T>, object: &T, closed: Closed) -> Status {
        let metadata = object.metadata();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        if matches!(closed, Closed::Absent) {
            return Status::not_found(self.namespaces.group_resource(), namespace);
        }
        let name = metadata.name.as_deref().unwrap_or_default();
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

/// Whoever changed the object meanwhile saw it, and whoever empties the namespace may have removed
/// it: both are fine.
async fn take_back<T: Object>(registry: &Registry<T>, object: &T) {
    let version = object
        .metadata()
        .resource_version
        .as_deref()
        .unwrap_or_default();
    let Ok(version) = version.parse() else {
        return;
    };
    if let Err(Some(error)) = registry.remove(object, version).await {
        let resource = registry.group_resource();
        tracing::warn!(%error, %resource, "a late object could not be taken back");
    }
}
