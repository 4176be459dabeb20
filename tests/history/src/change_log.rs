//! The writes that the answers and events of a history show, ordered by version.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use crate::check::answers_for_itself;
use crate::fault::{Fault, Law};
use crate::history::{Action, Call, Delivery, EventKind, History, Outcome, State, Watch};
use crate::time::Time;

/// The writes by version. For objects that were observed, at most the first and the last write are
/// missing, unless a watch has delivered them.
pub(crate) struct ChangeLog<'a> {
    changes: BTreeMap<u64, Change<'a>>,
    versions: HashMap<&'a str, u64>,
    complete_until: u64,
}

/// A write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) name: &'a str,
    /// The new value; `None` for a deletion.
    pub(crate) value: Option<&'a str>,
    /// The time of the first observation, if it is known.
    seen: Option<Time>,
}

impl<'a> ChangeLog<'a> {
    /// Builds the log of a history. Also returns its contradictory versions and values.
    pub(crate) fn of(history: &'a History) -> (Self, Vec<Fault>) {
        let mut log = Self {
            changes: BTreeMap::new(),
            versions: HashMap::new(),
            complete_until: 0,
        };
        let mut faults = Vec::new();
        for call in &history.calls {
            let Some(name) = call.name.as_deref() else {
                continue;
            };
            let seen = Some(call.returned);
            match &call.outcome {
                Outcome::State(state) => faults.extend(log.put(name, state, seen)),
                Outcome::Deleted(Some(version)) => {
                    let gone = Change {
                        name,
                        value: None,
                        seen,
                    };
                    faults.extend(log.add(*version, gone));
                }
                _ => {}
            }
        }
        for list in &history.lists {
            for (name, state) in list.items() {
                faults.extend(log.put(name, state, Some(list.returned)));
            }
        }
        for watch in &history.watches {
            faults.extend(log.add_watch(watch));
        }
        log.complete_until = log.complete_until(history);
        (log, faults)
    }

    /// Returns the writes at these versions.
    pub(crate) fn range(
        &self,
        versions: RangeInclusive<u64>,
    ) -> impl Iterator<Item = (u64, Change<'a>)> {
        let nothing = versions.is_empty();
        let range = if nothing { 0..=0 } else { versions };
        let found = self.changes.range(range);
        found
            .filter(move |_| !nothing)
            .map(|(version, change)| (*version, *change))
    }

    /// Returns the version of the write of a value, if any observation shows it.
    pub(crate) fn version_of(&self, value: &str) -> Option<u64> {
        self.versions.get(value).copied()
    }

    /// Returns the time at which a value was first observed, if it is known.
    pub(crate) fn seen(&self, value: &str) -> Option<Time> {
        self.changes.get(self.versions.get(value)?)?.seen
    }

    /// Returns the name of the object that a value was written to, if any observation shows it.
    pub(crate) fn name_of(&self, value: &str) -> Option<&'a str> {
        let change = self.changes.get(self.versions.get(value)?)?;
        Some(change.name)
    }

    /// Returns the version up to which all writes are known, because a watch that started before
    /// the first write has delivered them.
    pub(crate) fn complete_to(&self) -> u64 {
        self.complete_until
    }

    /// Returns whether all observable writes of the history are known.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete_until > 0 && self.complete_until >= self.last()
    }

    /// Returns the highest observed version.
    pub(crate) fn last(&self) -> u64 {
        self.changes
            .last_key_value()
            .map_or(0, |(version, _)| *version)
    }

    /// Returns the observed values that no earlier call wrote, and the deletions without a call
    /// that deletes.
    pub(crate) fn invented(&self, history: &History) -> Vec<Fault> {
        let invented = |detail: String| Fault::new(Law::NothingInvented, detail);
        let mut faults = Vec::new();
        let mut writers: HashMap<&str, &Call> = HashMap::new();
        let mut deletes: HashMap<&str, usize> = HashMap::new();
        for call in &history.calls {
            let effective = matches!(
                call.outcome,
                Outcome::State(_) | Outcome::Deleted(_) | Outcome::Unknown
            );
            if !answers_for_itself(call) {
                faults.push(invented(format!("another value in the answer: {call}")));
            }
            match (&call.action, &call.name) {
                _ if !effective => {}
                (Action::Delete { .. }, Some(name)) => *deletes.entry(name).or_default() += 1,
                _ => {
                    writers.extend(call.written().map(|value| (value, call)));
                }
            }
        }
        for (version, change) in &self.changes {
            let name = change.name;
            match change.value {
                Some(value) => {
                    let writes = |call: &&&Call| {
                        call.name.as_deref().is_none_or(|known| known == name)
                            && change.seen.is_none_or(|seen| seen >= call.invoked)
                    };
                    if writers.get(value).filter(writes).is_none() {
                        faults.push(invented(format!(
                            "{name:?} has the value {value:?} at version {version}, which no call wrote before it was seen"
                        )));
                    }
                }
                None => match deletes.get_mut(name).filter(|left| **left > 0) {
                    Some(left) => *left -= 1,
                    None => faults.push(invented(format!(
                        "{name:?} was deleted at version {version}, for which there is no call"
                    ))),
                },
            }
        }
        faults
    }

    fn add_watch(&mut self, watch: &'a Watch) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (name, state) in &watch.initial {
            faults.extend(self.put(name, state, None));
        }
        for delivery in &watch.deliveries {
            let Delivery::Event {
                at,
                kind,
                name,
                state,
            } = delivery
            else {
                continue;
            };
            let value = match kind {
                EventKind::Deleted => None,
                EventKind::Added | EventKind::Modified => Some(state.value.as_str()),
            };
            let change = Change {
                name,
                value,
                seen: Some(*at),
            };
            faults.extend(self.add(state.version, change));
        }
        faults
    }

    fn put(&mut self, name: &'a str, state: &'a State, seen: Option<Time>) -> Option<Fault> {
        let value = Some(state.value.as_str());
        self.add(state.version, Change { name, value, seen })
    }

    fn add(&mut self, version: u64, change: Change<'a>) -> Option<Fault> {
        let known = self.changes.entry(version).or_insert(change);
        known.seen = match (known.seen, change.seen) {
            (Some(known), Some(seen)) => Some(known.min(seen)),
            (known, seen) => known.or(seen),
        };
        let before = *known;
        if (before.name, before.value) != (change.name, change.value) {
            return Some(Fault::new(
                Law::OneWritePerVersion,
                format!("version {version} is of {before} and of {change}"),
            ));
        }
        let value = change.value?;
        let first = *self.versions.entry(value).or_insert(version);
        (first != version).then(|| {
            let detail = format!("{change} was written at version {first} and at {version}");
            Fault::new(Law::OneWritePerVersion, detail)
        })
    }

    /// Returns whether a watch started before the first write.
    pub(crate) fn begins_with(&self, watch: &Watch) -> bool {
        let first = self.changes.first_key_value();
        let first = first.map_or(u64::MAX, |(version, _)| *version);
        watch.initial.is_empty() && watch.from < first
    }

    fn complete_until(&self, history: &History) -> u64 {
        let watches = history
            .watches
            .iter()
            .filter(|watch| self.begins_with(watch));
        watches.map(Watch::position).max().unwrap_or(0)
    }
}

impl std::fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.value {
            Some(value) => write!(f, "the value {value:?} of {:?}", self.name),
            None => write!(f, "the deletion of {:?}", self.name),
        }
    }
}
