//! One resource of the host, listed and followed: what [`crate::records`] and [`crate::mirror`]
//! have in common.
//!
//! ```text
//!   calls     one request, its deadline, what went wrong (troubles)
//!   lists     all pages of a state, in the order of keys
//!   follower  the one watch of the resource  --->  log  --->  any number of readers
//! ```
//!
//! Revisions are the host's resource versions, which are one order of numbers for all of a cluster
//! (KEP-5504). What an object means as a record is left to a [`Kind`].

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

/// What is done with a resource, in the words of RBAC.
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

/// What an object of the host is to us.
#[derive(Debug)]
pub(crate) enum Reading {
    /// A record.
    Record(Record),
    /// A record that is being deleted: to us it is gone, whatever still holds its object.
    Removed(Key, Revision),
    /// Something that is none and is not meant to be. Its revision counts.
    Other(Revision),
    /// Something that looks like a record and cannot be one.
    Misfit(Revision),
}

/// How the objects of a resource are records.
pub(crate) trait Kind: Send + Sync {
    /// Parameters of a list that select the records under `prefix`, and maybe more; with an empty
    /// prefix, of the watch.
    fn selectors(&self, prefix: &str) -> Vec<(&'static str, String)>;

    /// What this object is.
    ///
    /// # Errors
    /// `Garbled` where it is no object of the API at all.
    fn read(&self, object: &RawValue) -> Result<Reading, Failure>;
}

/// How a resource is followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Revisions before the present at which the first watch begins, where the host allows it.
    pub(crate) past: u64,
    /// How long a watch is to be; `None` leaves it to the host. Shortly before its end comes a
    /// bookmark.
    pub(crate) window: Option<Duration>,
    /// Time without anything after which a watch is dead.
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
    /// All that is done with it.
    verbs: &'static [Verb],
}

impl Resource {
    pub(crate) fn new(
        (client, target): (Client, Target),
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

    /// Follows the host and looks after what is kept, for ever.
    pub(crate) async fn run(&self, on_quiet: &(dyn Fn() + Send + Sync)) {
        let review = self.calls.review(self.verbs);
        tokio::join!(self.follow(on_quiet), self.kept.expire(), review);
    }

    /// Goes on at `at`, as nobody knows what happened before.
    fn begin(&self, at: Revision) {
        // In this order: who waits from now on is told by what comes after `at`.
        self.removals.fail();
        self.log.begin(at);
    }

    /// The host does not serve the resource.
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

    /// The host is at an earlier revision than it was.
    pub(crate) fn note_lost_revisions(&self, present: Revision) {
        let text = format!(
            "the host went back to revision {present}, as after a restored backup: restart this server"
        );
        self.calls.troubles().set(Topic::Revisions, text);
    }
}

/// A resource version as a revision.
pub(crate) fn revision(version: &str) -> Result<Revision, Failure> {
    let number = version.parse().map_err(|_| Failure::Garbled(0))?;
    Ok(Revision::new(number))
}

/// A path with parameters.
pub(crate) fn query(path: &str, parameters: &[(&str, String)]) -> String {
    let mut query = form_urlencoded::Serializer::new(format!("{path}?"));
    query.extend_pairs(parameters);
    query.finish()
}

/// The revision of a write whose answer is the object.
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
