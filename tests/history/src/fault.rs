//! The faults of a history.

use std::fmt;

/// A contradiction between a history and a linearizable store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The law that is broken.
    pub law: Law,
    /// The contradiction, in one line or several.
    pub detail: String,
}

/// The laws that a history must obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// The calls of each object have a legal order that agrees with time.
    Linearizable,
    /// The search for that order ends within its bound.
    Decidable,
    /// A version belongs to one write, and a write has one version.
    OneWritePerVersion,
    /// An observed value was written before, by a call that was not rejected, and an object is
    /// deleted only by a call that deletes.
    NothingInvented,
    /// A write has a higher version than everything observed before it was invoked. A list has no
    /// lower version than that.
    VersionsFollowTime,
    /// A list is the state of all objects at its version.
    ListIsOneState,
    /// A watch delivers increasing versions, and no event after a bookmark that includes it.
    WatchInOrder,
    /// The events of a watch are consistent with each other: an object is added, modified, deleted.
    WatchFollows,
    /// A watch delivers every change between the version of its start and that of its last
    /// delivery.
    WatchComplete,
}

impl Fault {
    pub(crate) fn new(law: Law, detail: impl Into<String>) -> Self {
        Self {
            law,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.law, self.detail)
    }
}
