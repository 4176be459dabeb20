//! Reads an object by its name, and waits until it changes.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::call::{Failure, Written, call};
use super::registration::Registrations;
use super::secret::Secrets;

/// Maximum time between two passes: watches may fail silently, and certificates expire.
const POLL: Duration = Duration::from_secs(30);

/// Maximum time between two passes while there are problems.
const RETRY: Duration = Duration::from_secs(5);

/// Minimum time between two passes, in case another client reverts our writes at once.
const PAUSE: Duration = Duration::from_secs(1);

/// The versions that a pass has read. `None` if the object could not be read.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) secret: Option<String>,
    pub(super) registration: Option<String>,
    pub(super) troubles: Vec<String>,
    /// True if another replica was faster.
    pub(super) outrun: bool,
}

impl Seen {
    /// Records the outcome of a write. Returns whether it was written.
    pub(super) fn note(&mut self, outcome: Result<Written, String>) -> bool {
        match outcome {
            Ok(Written::Done) => return true,
            Ok(Written::Conflict) => self.outrun = true,
            Err(trouble) => self.troubles.push(trouble),
        }
        false
    }

    /// Waits until the next pass should run.
    pub(super) async fn changed(self, secrets: &Secrets, registrations: &Registrations) {
        sleep(PAUSE).await;
        let at_most = if self.troubles.is_empty() {
            POLL
        } else {
            RETRY
        };
        tokio::select! {
            () = sleep(at_most) => {}
            () = changed(&secrets.api, &secrets.name, self.secret) => {}
            () = changed(&registrations.api, &registrations.name, self.registration) => {}
        }
    }
}

/// Returns the object of this name, if it exists, and the version of this answer. Uses a list,
/// since the version of an object may be too old to watch from.
pub(super) async fn named<K>(api: &Api<K>, name: &str) -> Result<(Option<K>, String), Failure>
where
    K: Clone + Debug + DeserializeOwned,
{
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let list = call(api.list(&params)).await?;
    let version = list.metadata.resource_version.unwrap_or_default();
    Ok((list.items.into_iter().next(), version))
}

/// Returns at the next change of the object. Never returns if it cannot be watched.
async fn changed<K>(api: &Api<K>, name: &str, since: Option<String>)
where
    K: Clone + Debug + DeserializeOwned,
{
    if let Some(since) = since {
        match watched(api, name, &since).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(name, %error, "a watch ended"),
        }
    }
    std::future::pending().await
}

async fn watched<K>(api: &Api<K>, name: &str, since: &str) -> Result<(), kube::Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    let events = api.watch(&params, since).await?;
    pin_mut!(events);
    while let Some(event) = events.next().await {
        match event? {
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
            WatchEvent::Added(_) | WatchEvent::Modified(_) | WatchEvent::Deleted(_) => {
                return Ok(());
            }
        }
    }
    // The host closes watches from time to time: run a pass in case a change was missed.
    Ok(())
}
