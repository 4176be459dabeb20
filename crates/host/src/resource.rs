//! One resource of the host, listed and followed: the common part of [`crate::records`] and
//! [`crate::mirror`].
//!
//! ```text
//!   calls     one request, its deadline, and current problems (troubles)
//!   lists     all pages of a state, sorted by key
//!   follower  the one watch of the resource  --->  log  --->  any number of readers
//! ```
//!
//! Revisions are the host's resource versions, which are ordered numbers across the whole cluster
//! (KEP-5504). A [`Kind`] maps objects to records.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use serde_json::value::RawValue;
use storage::{Key, Record, Revision};

mod calls;
mod failure;
mod follower;
mod lines;
mod lists;
mod log;
mod removals;
mod troubles;

pub(crate) use calls::{Call, Calls, Target};
pub(crate) use failure::Failure;
pub(crate) use log::{HISTORY, Log};
pub(crate) use troubles::{Topic, Troubles};

/// An action on a resource, in the terms of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
}

impl Verb {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    pub(crate) fn is_write(self) -> bool {
        match self {
            Self::Get | Self::List | Self::Watch => false,
            Self::Create | Self::Update | Self::Patch | Self::Delete => true,
        }
    }
}

/// The meaning of an object of the host for the store.
#[derive(Debug)]
pub(crate) enum Reading {
    /// A record.
    Record(Record),
    /// A record that is being deleted. The store treats it as deleted, even if finalizers hold its
    /// object.
    Removed(Key, Revision),
    /// An object that is not meant to be a record. Only its revision is used.
    Other(Revision),
    /// An object that resembles a record but is not a valid one.
    Misfit(Revision),
}

/// The mapping from the objects of a resource to records.
pub(crate) trait Kind: Send + Sync {
    /// Returns the list parameters that select at least the records under `prefix`. With an empty
    /// prefix they are also used for the watch.
    fn selectors(&self, prefix: &str) -> Vec<(&'static str, String)>;

    /// Interprets an object.
    ///
    /// # Errors
    /// `Garbled` if it is not an API object.
    fn read(&self, object: &RawValue) -> Result<Reading, Failure>;
}

/// The limits for following a resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Number of revisions before the present at which the first watch starts, if the host permits
    /// it.
    pub(crate) past: u64,
    /// Duration of a watch; `None` leaves it to the host. The host sends a bookmark shortly before
    /// the end.
    pub(crate) window: Option<Duration>,
    /// Time without any event after which a watch is considered dead.
    pub(crate) silence: Duration,
}

/// A resource of the host.
pub(crate) struct Resource {
    pub(crate) calls: Calls,
    pub(crate) kind: Box<dyn Kind>,
    pub(crate) log: Arc<Log>,
    pub(crate) removals: removals::Removals,
    kept: lists::Kept,
    limits: Limits,
    /// All verbs that are used on the resource.
    verbs: &'static [Verb],
}

impl Resource {
    pub(crate) fn new(
        client: Client,
        target: Target,
        kind: Box<dyn Kind>,
        limits: Limits,
        verbs: &'static [Verb],
    ) -> Self {
        Self {
            calls: Calls::new(client, target),
            kind,
            log: Arc::new(Log::new()),
            removals: removals::Removals::default(),
            kept: lists::Kept::default(),
            limits,
            verbs,
        }
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.calls.troubles().text()
    }

    /// Follows the host, expires cached listings, and reviews permissions. Never returns.
    pub(crate) async fn run(&self, on_quiet: &(dyn Fn() + Send + Sync)) {
        let review = self.calls.review(self.verbs);
        tokio::join!(self.follow(on_quiet), self.kept.expire(), review);
    }

    /// Restarts the log at `at`, because earlier events are unknown.
    fn begin(&self, at: Revision) {
        // In this order: removals that are registered from now on are resolved by events after
        // `at`.
        self.removals.fail();
        self.log.begin(at);
    }

    /// Records that the host does not serve the resource.
    fn note_absence(&self) {
        let Target {
            group,
            version,
            resource,
            ..
        } = self.calls.target();
        let text =
            format!("the host does not serve {resource} of {group}/{version}: install its CRD");
        self.calls.troubles().set(Topic::Resource, text);
    }

    /// Records that the host is at an earlier revision than before.
    pub(crate) fn note_lost_revisions(&self, present: Revision) {
        let text = format!(
            "the host went back to revision {present}, as after a restored backup: restart this server"
        );
        self.calls.troubles().set(Topic::Revisions, text);
    }
}

/// Parses a resource version.
pub(crate) fn revision(version: &str) -> Result<Revision, Failure> {
    let number = version.parse().map_err(|_| Failure::Garbled(0))?;
    Ok(Revision::new(number))
}

/// Appends query parameters to a path.
pub(crate) fn query(path: &str, parameters: &[(&str, String)]) -> String {
    let mut query = form_urlencoded::Serializer::new(format!("{path}?"));
    query.extend_pairs(parameters);
    query.finish()
}

/// Returns the revision of a write whose answer is the object.
pub(crate) fn answered(body: &[u8]) -> Result<Revision, Failure> {
    let object: Versioned = serde_json::from_slice(body)?;
    revision(&object.metadata.resource_version)
}

#[derive(serde::Deserialize)]
struct Versioned {
    metadata: VersionedMeta,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionedMeta {
    resource_version: String,
}
