//! Deletion of namespaces: deletes their contents, then removes the finalizer (upstream's namespace
//! controller).
//!
//! The emptier follows the namespaces. While one of them waits for objects with finalizers, it
//! retries every few seconds. Otherwise it is idle until a namespace changes.

use std::sync::Arc;
use std::time::Duration;

use apiserver::registry::{Registry, WriteError};
use apiserver::resource::Resource;
use apiserver::stored_object::StoredObject;
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use machinery::meta::{MetadataExt, ObjectKey};
use machinery::status::Status;
use serde::Deserialize;
use storage::{Key, Revision};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{CONTENT_FINALIZER, Namespaces, is_terminating};
use crate::any_resource::AnyResource;

/// Time to wait for finalizers of other controllers, or after a failure.
const PAUSE: Duration = Duration::from_secs(2);

/// Maximum number of concurrent deletes. The store commits them together.
const PARALLEL: usize = 64;

/// Empties terminating namespaces.
pub struct NamespaceEmptier {
    namespaces: Namespaces,
    contents: Vec<Arc<dyn AnyResource>>,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(default)]
    uid: String,
}

impl NamespaceEmptier {
    /// Creates an emptier for these namespaces and all kinds of objects in them.
    pub fn new(namespaces: Namespaces, contents: Vec<Arc<dyn AnyResource>>) -> Self {
        Self {
            namespaces,
            contents,
        }
    }

    /// Runs until `shutdown`. Failures are logged and retried. Dropping the future is safe.
    pub async fn run(&self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&self) {
        let collection = self.namespaces.registry().collection();
        loop {
            // No change between this point and the first turn is missed: the history starts no
            // later than the view.
            let Ok(mut changes) = collection.watch_from(collection.view().revision) else {
                sleep(PAUSE).await;
                continue;
            };
            loop {
                let is_idle = self.turn().await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "the contents of terminating namespaces could not be deleted");
                    false
                });
                let seen = match is_idle {
                    true => changes.next().await,
                    false => changes.next_or_progress(Instant::now() + PAUSE).await,
                };
                match seen {
                    Ok(_) => {}
                    Err(storage::Error::Closed) => return,
                    Err(_) => break,
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Does the work that can be done now. Returns whether nothing is left to do.
    ///
    /// # Errors
    /// 503 if the store does not answer.
    pub async fn turn(&self) -> Result<bool, Status> {
        let registry = self.namespaces.registry();
        let mut is_idle = true;
        for (_, stored) in registry.store().latest().await?.iter() {
            let Ok(namespace) = registry.decode(stored) else {
                continue;
            };
            if is_terminating(&namespace) {
                let name = namespace.metadata.name();
                match self.empty(name).await? {
                    true => release(registry, namespace, stored.revision()).await?,
                    false => is_idle = false,
                }
            }
        }
        Ok(is_idle)
    }

    /// Deletes all objects in a namespace. Returns whether it is empty.
    async fn empty(&self, namespace: &str) -> Result<bool, Status> {
        let mut is_empty = true;
        for kind in &self.contents {
            let prefix = kind.key(ObjectKey::namespaced(namespace, ""));
            let doomed: Vec<(Key, String)> = {
                let view = kind.latest().await?;
                let objects = view.range(&prefix, None);
                objects
                    .map(|(key, object)| (key.clone(), uid(object)))
                    .collect()
            };
            let deletes = doomed.into_iter().map(|(key, uid)| {
                let kind = Arc::clone(kind);
                async move { kind.delete(key.as_str(), &uid).await }
            });
            stream::iter(deletes)
                .buffer_unordered(PARALLEL)
                .try_collect::<()>()
                .await?;
            is_empty &= kind.latest().await?.range(&prefix, None).next().is_none();
        }
        Ok(is_empty)
    }
}

fn uid(object: &StoredObject) -> String {
    let identity = serde_json::from_slice::<Identity>(&object.metadata_facts());
    identity.map(|identity| identity.uid).unwrap_or_default()
}

/// Removes the content finalizer from an empty namespace, and removes the namespace if it waits for
/// no other finalizer. A conflicting write triggers another turn.
async fn release(
    registry: &Registry<Namespace>,
    mut namespace: Namespace,
    revision: Revision,
) -> Result<(), Status> {
    let finalizers = namespace
        .spec
        .get_or_insert_default()
        .finalizers
        .get_or_insert_default();
    let held = finalizers.len();
    finalizers.retain(|finalizer| finalizer != CONTENT_FINALIZER);
    let is_released = finalizers.len() == held;
    let is_free = finalizers.is_empty()
        && namespace
            .metadata
            .finalizers
            .as_deref()
            .unwrap_or_default()
            .is_empty();
    let written = match (is_free, is_released) {
        (true, _) => registry
            .store()
            .remove(&namespace, revision)
            .await
            .map(drop),
        (false, true) => Ok(()),
        (false, false) => registry
            .store()
            .replace(namespace, revision)
            .await
            .map(drop),
    };
    match written {
        Ok(()) | Err(WriteError::Conflict) => Ok(()),
        Err(WriteError::Status(status)) => Err(status),
    }
}
