//! Ends namespaces: deletes what is in them, then lets them go (upstream's namespace controller).
//!
//! It follows the namespaces. As long as one waits for objects with finalizers it looks again every
//! few seconds; otherwise it rests until a namespace changes.

use std::sync::Arc;
use std::time::Duration;

use apiserver::registry::Registry;
use apiserver::resource::Resource;
use apiserver::stored_object::StoredObject;
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use machinery::status::Status;
use serde::Deserialize;
use storage::Key;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{CONTENT_FINALIZER, Namespaces, is_terminating};
use crate::any_resource::AnyResource;

/// How long to wait for the finalizers of others, or after a failure.
const PAUSE: Duration = Duration::from_secs(2);

/// Deletes under way at once; the store commits them together.
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
    /// For these namespaces and all kinds that live in them.
    pub fn new(namespaces: Namespaces, contents: Vec<Arc<dyn AnyResource>>) -> Self {
        Self {
            namespaces,
            contents,
        }
    }

    /// Works until `shutdown`. Failures are logged and retried. Dropping the future is safe.
    pub async fn run(&self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&self) {
        let collection = self.namespaces.registry().collection();
        loop {
            // Nothing between this and the first turn is missed; the history starts no later than
            // the view.
            let Ok(mut changes) = collection.watch_from(collection.view().revision) else {
                sleep(PAUSE).await;
                continue;
            };
            loop {
                let is_idle = self.turn().await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "terminating namespaces could not be emptied");
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

    /// Does what can be done now; whether nothing is left to do.
    ///
    /// # Errors
    /// 503 where the store does not answer.
    pub async fn turn(&self) -> Result<bool, Status> {
        let registry = self.namespaces.registry();
        let mut is_idle = true;
        for (_, stored) in registry.latest().await?.iter() {
            let Ok(namespace) = registry.decode(stored) else {
                continue;
            };
            if is_terminating(&namespace) {
                let name = namespace.metadata.name.as_deref().unwrap_or_default();
                match self.empty(name).await? {
                    true => release(registry, namespace, stored.revision()).await?,
                    false => is_idle = false,
                }
            }
        }
        Ok(is_idle)
    }

    /// Deletes everything in a namespace; whether nothing is left.
    async fn empty(&self, namespace: &str) -> Result<bool, Status> {
        let mut is_empty = true;
        for kind in &self.contents {
            let prefix = kind.key(namespace, "");
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

/// Takes the content's finalizer from an empty namespace, and removes it where it waits for no
/// other. Somebody who was faster brings the emptier back.
async fn release(
    registry: &Registry<Namespace>,
    mut namespace: Namespace,
    revision: u64,
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
        (true, _) => registry.remove(&namespace, revision).await.map(drop),
        (false, true) => Ok(()),
        (false, false) => registry.replace(namespace, revision).await.map(drop),
    };
    match written {
        Ok(()) | Err(None) => Ok(()),
        Err(Some(status)) => Err(status),
    }
}
