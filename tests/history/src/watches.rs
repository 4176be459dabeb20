//! Checks of watches: every change is delivered once, in the order of versions, across all
//! reconnections.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::change_log::ChangeLog;
use crate::fault::{Fault, Law};
use crate::history::{Action, Delivery, EventKind, History, Outcome, State, Watch};

pub(crate) fn faults(history: &History, log: &ChangeLog<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for watch in &history.watches {
        let mut replay = Replay::new(watch);
        for delivery in &watch.deliveries {
            replay.deliver(delivery);
        }
        faults.append(&mut replay.faults);
        faults.extend(missing(watch, &replay.versions, log));
        if log.begins_with(watch) && watch.position() >= log.last() {
            faults.extend(missing_deletions(watch, history));
        }
    }
    faults
}

/// A client that maintains the objects from the events of a watch.
struct Replay<'a> {
    watch: &'a Watch,
    objects: BTreeMap<&'a str, &'a State>,
    position: u64,
    versions: HashSet<u64>,
    faults: Vec<Fault>,
}

impl<'a> Replay<'a> {
    fn new(watch: &'a Watch) -> Self {
        let initial = watch.initial.iter();
        Self {
            watch,
            objects: initial
                .map(|(name, state)| (name.as_str(), state))
                .collect(),
            position: watch.from,
            versions: HashSet::new(),
            faults: Vec::new(),
        }
    }

    fn deliver(&mut self, delivery: &'a Delivery) {
        match delivery {
            Delivery::Cut => {}
            Delivery::Bookmark { version, .. } if *version < self.position => {
                self.blame(
                    Law::WatchInOrder,
                    &format!("a bookmark of version {version}"),
                );
            }
            Delivery::Bookmark { version, .. } => self.position = *version,
            Delivery::Event {
                kind, name, state, ..
            } => self.event(*kind, name, state),
        }
    }

    fn event(&mut self, kind: EventKind, name: &'a str, state: &'a State) {
        if state.version <= self.position {
            self.blame(Law::WatchInOrder, &format!("{kind:?} {name:?}, {state}"));
        }
        self.position = self.position.max(state.version);
        self.versions.insert(state.version);
        let before = match kind {
            EventKind::Deleted => self.objects.remove(name),
            EventKind::Added | EventKind::Modified => self.objects.insert(name, state),
        };
        let follows = match (kind, before) {
            (EventKind::Added, None) | (EventKind::Modified, Some(_)) => true,
            (EventKind::Deleted, Some(before)) => before.value == state.value,
            _ => false,
        };
        if !follows {
            let known = match before {
                Some(before) => format!("had {before}"),
                None => "was absent".to_owned(),
            };
            let detail = format!("{kind:?} {name:?}, {state}, where it {known}");
            self.blame(Law::WatchFollows, &detail);
        }
    }

    fn blame(&mut self, law: Law, detail: &str) {
        let (client, position) = (self.watch.client, self.position);
        let detail = format!("watch of client {client} after version {position}: {detail}");
        self.faults.push(Fault::new(law, detail));
    }
}

fn missing(watch: &Watch, delivered: &HashSet<u64>, log: &ChangeLog<'_>) -> Vec<Fault> {
    let (client, from, to) = (watch.client, watch.from, watch.position());
    log.range(from.saturating_add(1)..=to)
        .filter(|(version, _)| !delivered.contains(version))
        .map(|(version, change)| {
            let detail = format!(
                "watch of client {client} from version {from} to {to}: {change} at version {version} is missing"
            );
            Fault::new(Law::WatchComplete, detail)
        })
        .collect()
}

/// Returns the deletions that were acknowledged without a version, and that a watch of the whole
/// history did not deliver.
fn missing_deletions(watch: &Watch, history: &History) -> Vec<Fault> {
    let mut events: HashMap<&str, usize> = HashMap::new();
    for delivery in &watch.deliveries {
        if let Delivery::Event {
            kind: EventKind::Deleted,
            name,
            ..
        } = delivery
        {
            *events.entry(name).or_default() += 1;
        }
    }
    let mut acknowledged: BTreeMap<&str, usize> = BTreeMap::new();
    for call in &history.calls {
        let deleted = matches!(call.outcome, Outcome::Deleted(_));
        if let (Action::Delete { .. }, Some(name), true) = (&call.action, &call.name, deleted) {
            *acknowledged.entry(name).or_default() += 1;
        }
    }
    acknowledged
        .into_iter()
        .filter_map(|(name, acknowledged)| {
            let delivered = events.get(name).copied().unwrap_or_default();
            (delivered < acknowledged).then(|| {
                let client = watch.client;
                let detail = format!(
                    "watch of client {client}: {delivered} deletions of {name:?}, of which {acknowledged} were acknowledged"
                );
                Fault::new(Law::WatchComplete, detail)
            })
        })
        .collect()
}
