//! The recorded actions and observations of clients.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::time::Time;

/// All actions and observations of the clients of a run on the objects of one kind. No object
/// existed at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct History {
    /// Calls on a single object.
    pub calls: Vec<Call>,
    /// Lists of all objects.
    pub lists: Vec<List>,
    /// Watches of all objects.
    pub watches: Vec<Watch>,
    /// True if the server may delete an object again whose create has an unknown outcome, because
    /// it could not store everything that belongs to the object.
    pub withdraws: bool,
}

/// The content of an object at a version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct State {
    /// The version of the write that stored the content.
    pub version: u64,
    /// The content. It is unique: no two writes have the same.
    pub value: String,
}

/// A call on a single object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// The client that made it.
    pub client: usize,
    /// The time before it was sent.
    pub invoked: Time,
    /// The time after its answer was read, or the client gave up.
    pub returned: Time,
    /// The name of the object. `None` for a create whose answer with the generated name was lost.
    pub name: Option<String>,
    /// The request.
    pub action: Action,
    /// The answer.
    pub outcome: Outcome,
}

/// The request of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Action {
    /// Create the object with this value.
    Create(String),
    /// Replace the value.
    Update {
        /// The new value.
        value: String,
        /// The version that the object must have.
        expected: Option<u64>,
    },
    /// Delete the object.
    Delete {
        /// The version that the object must have.
        expected: Option<u64>,
    },
    /// Read the object.
    Get,
    /// Read the object as part of a list at this version. Such calls are created by the checker,
    /// from lists.
    Listed(u64),
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// The object as it was read or written.
    State(State),
    /// The object was deleted, by a write at this version if the answer states it.
    Deleted(Option<u64>),
    /// The object does not exist.
    NotFound,
    /// An object of this name exists.
    AlreadyExists,
    /// The object is not at the expected version, or, without an expected version, the server gave
    /// up.
    Conflict,
    /// The answer was lost, or states that the outcome is unknown.
    Unknown,
}

/// A list of all objects, in one page or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// The client that made it.
    pub client: usize,
    /// The time before the first page was requested.
    pub invoked: Time,
    /// The time after the first page was read. The later pages show the same state.
    pub returned: Time,
    /// The pages, at least one.
    pub pages: Vec<Page>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    /// The version of the list.
    pub version: u64,
    /// The objects by name.
    pub items: BTreeMap<String, State>,
}

/// A watch of all objects, resumed after each cut from the last version that it delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Watch {
    /// The client that opened it.
    pub client: usize,
    /// The version from which it was first opened.
    pub from: u64,
    /// The objects at that version.
    pub initial: BTreeMap<String, State>,
    /// The delivered events, in order.
    pub deliveries: Vec<Delivery>,
}

/// An item that a watch delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Delivery {
    /// A change of an object.
    Event {
        /// The time after the event was read.
        at: Time,
        /// The change.
        kind: EventKind,
        /// The object.
        name: String,
        /// The new state. For a deletion: the last value, and the version of the deletion.
        state: State,
    },
    /// The watch has delivered everything up to this version.
    Bookmark {
        /// The time after the bookmark was read.
        at: Time,
        /// The version.
        version: u64,
    },
    /// The connection ended. The following items were delivered over the next one.
    Cut,
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum EventKind {
    /// The object was created.
    Added,
    /// The object was replaced.
    Modified,
    /// The object was deleted.
    Deleted,
}

impl Call {
    /// Returns the value that the call writes.
    pub(crate) fn written(&self) -> Option<&str> {
        match &self.action {
            Action::Create(value) | Action::Update { value, .. } => Some(value),
            Action::Delete { .. } | Action::Get | Action::Listed(_) => None,
        }
    }

    /// Returns the version that the answer shows.
    pub(crate) fn shown_version(&self) -> Option<u64> {
        match &self.outcome {
            Outcome::State(state) => Some(state.version),
            Outcome::Deleted(version) => *version,
            Outcome::NotFound | Outcome::AlreadyExists | Outcome::Conflict | Outcome::Unknown => {
                None
            }
        }
    }
}

impl List {
    /// Returns the version of the first page, which is that of all pages.
    pub(crate) fn version(&self) -> u64 {
        self.pages.first().map_or(0, |page| page.version)
    }

    /// Returns the object with this name, if a page shows it.
    pub(crate) fn get(&self, name: &str) -> Option<&State> {
        self.pages.iter().find_map(|page| page.items.get(name))
    }

    /// Returns all objects.
    pub(crate) fn items(&self) -> impl Iterator<Item = (&String, &State)> {
        self.pages.iter().flat_map(|page| &page.items)
    }
}

impl Watch {
    /// Returns the version up to which everything was delivered.
    pub(crate) fn position(&self) -> u64 {
        let version = |delivery: &Delivery| match delivery {
            Delivery::Event { state, .. } => Some(state.version),
            Delivery::Bookmark { version, .. } => Some(*version),
            Delivery::Cut => None,
        };
        let last = self.deliveries.iter().rev().find_map(version);
        last.unwrap_or(self.from)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at version {}", self.value, self.version)
    }
}

/// Formats the call in one line: times, client, request and answer.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            client,
            invoked,
            returned,
            ..
        } = self;
        write!(f, "{invoked} to {returned}  client {client:>2}  ")?;
        let expecting = |version: &Option<u64>| match version {
            Some(version) => format!(" if at version {version}"),
            None => String::new(),
        };
        match &self.action {
            Action::Create(value) => write!(f, "create {value:?}")?,
            Action::Update { value, expected } => {
                write!(f, "update to {value:?}{}", expecting(expected))?;
            }
            Action::Delete { expected } => write!(f, "delete{}", expecting(expected))?,
            Action::Get => write!(f, "get")?,
            Action::Listed(version) => write!(f, "list of version {version}")?,
        }
        match &self.outcome {
            Outcome::State(state) => write!(f, " -> {state}"),
            Outcome::Deleted(Some(version)) => write!(f, " -> deleted at version {version}"),
            Outcome::Deleted(None) => write!(f, " -> deleted"),
            Outcome::NotFound => write!(f, " -> not found"),
            Outcome::AlreadyExists => write!(f, " -> already exists"),
            Outcome::Conflict => write!(f, " -> conflict"),
            Outcome::Unknown => write!(f, " -> unknown"),
        }
    }
}
