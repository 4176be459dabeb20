//! Counts of events.

use std::collections::BTreeMap;
use std::fmt;

use history::{Action, Delivery, History, Outcome};

/// The counts of a round, or of several.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) kills: usize,
    pub(super) pauses: usize,
    /// Connections of watches.
    pub(super) connections: usize,
    /// Watches and lists that could not be continued because their version had expired.
    pub(super) expired: usize,
    /// Requests for which no connection could be opened.
    pub(super) unsent: usize,
    counts: BTreeMap<&'static str, usize>,
    /// The number of answers of each status, and one example.
    failed: BTreeMap<u16, (usize, String)>,
}

impl Tally {
    /// Adds other counts.
    pub(super) fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.pauses += other.pauses;
        self.connections += other.connections;
        self.expired += other.expired;
        self.unsent += other.unsent;
        for (what, count) in &other.counts {
            *self.counts.entry(what).or_default() += count;
        }
        for (status, (count, sample)) in &other.failed {
            let failed = self.failed.entry(*status);
            failed.or_insert((0, sample.clone())).0 += count;
        }
    }

    /// Counts an answer without information about the object.
    pub(super) fn failed(&mut self, status: u16, text: &str) {
        let failed = self.failed.entry(status);
        failed.or_insert_with(|| (0, text.trim_end().to_owned())).0 += 1;
    }

    /// Counts the calls of a history.
    pub(super) fn count(&mut self, history: &History) {
        for call in &history.calls {
            self.one(match call.action {
                Action::Create(_) => "create",
                Action::Update { .. } => "update",
                Action::Delete { .. } => "delete",
                Action::Get | Action::Listed(_) => "get",
            });
            match call.outcome {
                Outcome::Unknown => self.one("of them unknown"),
                Outcome::Conflict | Outcome::AlreadyExists => self.one("of them refused by 409"),
                Outcome::NotFound => self.one("of them not found"),
                Outcome::State(_) | Outcome::Deleted(_) => {}
            }
        }
        for list in &history.lists {
            self.one("list");
            if list.pages.len() > 1 {
                self.one("of them in pages");
            }
        }
        for watch in &history.watches {
            self.one("watch");
            for delivery in &watch.deliveries {
                match delivery {
                    Delivery::Event { .. } => self.one("event"),
                    Delivery::Bookmark { .. } => self.one("bookmark"),
                    Delivery::Cut => {}
                }
            }
        }
    }

    fn one(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kills,
            pauses,
            connections,
            expired,
            unsent,
            counts,
            failed,
        } = self;
        write!(f, "kill {kills}, pause {pauses}")?;
        for (what, count) in counts {
            write!(f, ", {what} {count}")?;
        }
        write!(
            f,
            "; watch connections {connections}, expired {expired}, unsent {unsent}, failed {failed:?}"
        )
    }
}
