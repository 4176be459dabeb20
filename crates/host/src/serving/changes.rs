//! Reading one object by its name, and waiting until it changes.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::call::{Failure, Written, call};
use super::registration::Registrations;
use super::secret::Secrets;

/// Time between two passes in any case: watches fail without saying so, and certificates get older.
const POLL: Duration = Duration::from_secs(30);

/// Time between two passes while there is trouble.
const RETRY: Duration = Duration::from_secs(5);

/// Time between two passes at least, should somebody take back at once whatever we write.
const PAUSE: Duration = Duration::from_secs(1);

/// The versions that a pass has seen; none where it could not read.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) secret: Option<String>,
    pub(super) registration: Option<String>,
    pub(super) troubles: Vec<String>,
    /// Whether somebody else was faster.
    pub(super) outrun: bool,
}

impl Seen {
    /// Whether it was written; if not, why not is kept.
    pub(super) fn note(&mut self, outcome: Result<Written, String>) -> bool {
        match outcome {
            Ok(Written::Done) => return true,
            Ok(Written::Conflict) => self.outrun = true,
            Err(trouble) => self.troubles.push(trouble),
        }
        false
    }

    /// Waits until there may be something to do.
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

/// The object of this name, if it is there, and the version that this answer is of. A list, since the
/// version of an object may be too old to be watched from.
pub(super) async fn named<K>(api: &Api<K>, name: &str) -> Result<(Option<K>, String), Failure>
where
    K: Clone + Debug + DeserializeOwned,
{
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let list = call(api.list(&params)).await?;
    let version = list.metadata.resource_version.unwrap_or_default();
    Ok((list.items.into_iter().next(), version))
}

/// Ends with the next change of the object; where it cannot be watched, never.
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
    // The host has closed it, as it does now and then: look whether something was missed.
    Ok(())
}
