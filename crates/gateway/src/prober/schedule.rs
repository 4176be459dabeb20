//! The times at which clusters are probed. Does no I/O and reads no clock: the caller passes both
//! the clusters and the time.
//!
//! | operation | work, for n clusters |
//! |---|---|
//! | a cluster changed, a probe ended, the next due cluster | log n |
//! | a gap in the events | n log n |
//!
//! A cluster without a connection is probed once after each change of its object, and not
//! periodically: its state depends on nothing else.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use storage::Revision;
use tokio::time::Instant;

/// The inputs of a probe. While they are unchanged, the result is still valid.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) uid: String,
    /// A digest of the spec. The generation cannot be used: if the status is not a subresource,
    /// writing it changes the generation, too.
    pub(super) spec: u64,
    /// True if the cluster has a connection.
    pub(super) connected: bool,
    /// The revision of the Secret with the credential, if it exists.
    pub(super) secret_revision: Option<Revision>,
}

/// The clusters and the times at which they are due.
pub(super) struct Schedule {
    period: Duration,
    /// The minimum time between two probes of a cluster, if a request causes the second.
    requested_period: Duration,
    entries: HashMap<String, ScheduledCluster>,
    /// The clusters that are due at some time, by that time.
    waiting: BTreeSet<DueCluster>,
}

/// A cluster that is due. The order is that of the times.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct DueCluster {
    due: Instant,
    name: String,
}

struct ScheduledCluster {
    subject: Subject,
    /// The revision of the object that the subject was read from.
    revision: Revision,
    state: State,
    /// The time at which the last probe ended.
    last_probe: Option<Instant>,
    /// True if a request contradicted the last result during the probe under way, which may have
    /// asked before.
    is_requested: bool,
}

enum State {
    /// It is in `waiting` with this time.
    Due(Instant),
    /// This subject, read from the object of this revision, is being probed.
    UnderWay(Subject, Revision),
    /// Only a change makes it due.
    Dormant,
}

impl Schedule {
    pub(super) fn new(period: Duration, requested_period: Duration) -> Self {
        Self {
            period,
            requested_period,
            entries: HashMap::new(),
            waiting: BTreeSet::new(),
        }
    }

    /// Removes clusters that no longer exist.
    pub(super) fn keep(&mut self, exists: impl Fn(&str) -> bool) {
        self.entries.retain(|name, _| exists(name));
        self.waiting.retain(|waiting| exists(&waiting.name));
    }

    /// Removes a cluster.
    pub(super) fn forget(&mut self, name: &str) {
        if let Some(entry) = self.entries.remove(name)
            && let State::Due(due) = entry.state
        {
            let name = entry.subject.name;
            self.waiting.remove(&DueCluster { due, name });
        }
    }

    /// Updates a cluster. If it has changed, it is due at once.
    pub(super) fn put(&mut self, subject: Subject, revision: Revision, now: Instant) {
        let Some(entry) = self.entries.get_mut(&subject.name) else {
            self.waiting.insert(DueCluster {
                due: now,
                name: subject.name.clone(),
            });
            let entry = ScheduledCluster {
                state: State::Due(now),
                last_probe: None,
                is_requested: false,
                revision,
                subject,
            };
            self.entries.insert(entry.subject.name.clone(), entry);
            return;
        };
        let is_news = entry.is_news(&subject, revision);
        entry.revision = revision;
        if is_news {
            entry.subject = subject;
            entry.move_to(&mut self.waiting, now);
        }
    }

    /// Brings the next probe forward, because a request contradicted the result of the last one.
    pub(super) fn request_probe(&mut self, name: &str, now: Instant) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        match entry.state {
            State::Due(due) => {
                let earliest = entry
                    .last_probe
                    .map_or(now, |last_probe| last_probe + self.requested_period);
                entry.move_to(&mut self.waiting, due.min(earliest.max(now)));
            }
            State::UnderWay(..) => entry.is_requested = true,
            State::Dormant => {}
        }
    }

    /// Returns the cluster that has been due longest, and marks it as being probed.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Subject> {
        if self.next_due()? > now {
            return None;
        }
        let DueCluster { name, .. } = self.waiting.pop_first()?;
        let entry = self.entries.get_mut(&name)?;
        entry.state = State::UnderWay(entry.subject.clone(), entry.revision);
        Some(entry.subject.clone())
    }

    /// Returns the time at which the next cluster is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.first().map(|first| first.due)
    }

    /// Records that a probe has ended. The next is due one period later, plus or minus a seventh,
    /// or at once if the cluster has changed in the meantime.
    pub(super) fn done(&mut self, name: &str, now: Instant, jitter: f64) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        entry.last_probe = Some(now);
        let is_requested = std::mem::take(&mut entry.is_requested);
        let State::UnderWay(subject, revision) = &entry.state else {
            return;
        };
        let due = match () {
            () if entry.is_news(subject, *revision) => now,
            () if is_requested => now + self.requested_period,
            () if entry.subject.connected => now + self.period.mul_f64((6.0 + 2.0 * jitter) / 7.0),
            () => {
                entry.state = State::Dormant;
                return;
            }
        };
        entry.state = State::Due(due);
        let name = name.to_owned();
        self.waiting.insert(DueCluster { due, name });
    }
}

impl ScheduledCluster {
    /// Returns whether a subject differs from this one. Without a connection each revision differs:
    /// the next probe corrects what other clients wrote to the status.
    fn is_news(&self, subject: &Subject, revision: Revision) -> bool {
        self.subject != *subject || !subject.connected && self.revision != revision
    }

    /// Makes the cluster due at this time, unless it is being probed.
    fn move_to(&mut self, waiting: &mut BTreeSet<DueCluster>, due: Instant) {
        let name = self.subject.name.clone();
        match self.state {
            State::UnderWay(..) => return,
            State::Due(before) => {
                let (due, name) = (before, name.clone());
                waiting.remove(&DueCluster { due, name });
            }
            State::Dormant => {}
        }
        waiting.insert(DueCluster { due, name });
        self.state = State::Due(due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(70);
    const REQUESTED: Duration = Duration::from_secs(10);

    fn subject(name: &str, spec: u64) -> Subject {
        Subject {
            name: name.to_owned(),
            spec,
            connected: true,
            ..Subject::default()
        }
    }

    #[test]
    fn a_request_during_a_probe_causes_another_one() {
        let (mut schedule, start) = (Schedule::new(PERIOD, REQUESTED), Instant::now());
        schedule.put(subject("a", 1), Revision::new(5), start);
        assert_eq!(schedule.take_due(start), Some(subject("a", 1)));
        schedule.request_probe("a", start);
        assert_eq!(schedule.next_due(), None, "one probe at a time");
        schedule.done("a", start, 0.5);
        assert_eq!(schedule.next_due(), Some(start + REQUESTED));
        let later = start + REQUESTED;
        assert_eq!(schedule.take_due(later), Some(subject("a", 1)));
        schedule.done("a", later, 0.5);
        assert_eq!(schedule.next_due(), Some(later + PERIOD));
    }

    #[test]
    fn a_cluster_is_due_at_once_then_a_period_after_each_look() {
        let (mut schedule, start) = (Schedule::new(PERIOD, REQUESTED), Instant::now());
        schedule.put(subject("a", 1), Revision::new(5), start);
        assert_eq!(schedule.take_due(start), Some(subject("a", 1)));
        assert_eq!(
            (schedule.take_due(start), schedule.next_due()),
            (None, None)
        );
        for (jitter, seconds) in [(0.0, 60), (0.5, 70), (1.0, 80)] {
            schedule.done("a", start, jitter);
            let due = start + Duration::from_secs(seconds);
            assert_eq!(schedule.next_due(), Some(due));
            assert_eq!(schedule.take_due(due), Some(subject("a", 1)));
        }
    }

    #[test]
    fn a_change_is_due_at_once_and_a_write_that_changes_nothing_is_not() {
        let (mut schedule, start) = (Schedule::new(PERIOD, REQUESTED), Instant::now());
        schedule.put(subject("a", 1), Revision::new(5), start);
        schedule.take_due(start);
        schedule.done("a", start, 0.5);
        schedule.put(subject("a", 1), Revision::new(6), start);
        assert_eq!(schedule.take_due(start), None);
        schedule.put(subject("a", 2), Revision::new(7), start);
        assert_eq!(schedule.take_due(start), Some(subject("a", 2)));
    }

    #[test]
    fn a_change_during_a_look_is_looked_at_after_it() {
        let (mut schedule, start) = (Schedule::new(PERIOD, REQUESTED), Instant::now());
        schedule.put(subject("a", 1), Revision::new(5), start);
        schedule.take_due(start);
        schedule.put(subject("a", 2), Revision::new(6), start);
        assert_eq!(schedule.take_due(start), None);
        schedule.done("a", start, 0.5);
        assert_eq!(schedule.take_due(start), Some(subject("a", 2)));
    }

    #[test]
    fn who_has_waited_longest_is_first() {
        let (mut schedule, start) = (Schedule::new(PERIOD, REQUESTED), Instant::now());
        schedule.put(
            subject("b", 1),
            Revision::new(5),
            start + Duration::from_secs(1),
        );
        schedule.put(subject("a", 1), Revision::new(5), start);
        let later = start + Duration::from_secs(2);
        assert_eq!(schedule.take_due(later), Some(subject("a", 1)));
        assert_eq!(schedule.take_due(later), Some(subject("b", 1)));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let (mut schedule, start) = (Schedule::new(PERIOD, REQUESTED), Instant::now());
        schedule.put(subject("a", 1), Revision::new(5), start);
        schedule.keep(|name| name != "a");
        assert_eq!(schedule.take_due(start), None);
        schedule.done("a", start, 0.5);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn a_secret_of_another_revision_is_news() {
        let (mut schedule, start) = (Schedule::new(PERIOD, REQUESTED), Instant::now());
        schedule.put(subject("a", 1), Revision::new(5), start);
        schedule.take_due(start);
        schedule.done("a", start, 0.5);
        let with_secret = Subject {
            secret_revision: Some(Revision::new(3)),
            ..subject("a", 1)
        };
        schedule.put(with_secret.clone(), Revision::new(5), start);
        assert_eq!(schedule.take_due(start), Some(with_secret));
    }

    #[test]
    fn a_cluster_without_a_connection_is_due_after_changes_only() {
        let unconnected = |name: &str| Subject {
            connected: false,
            ..subject(name, 1)
        };
        let (mut schedule, start) = (Schedule::new(PERIOD, REQUESTED), Instant::now());
        for number in 0..5000 {
            schedule.put(unconnected(&number.to_string()), Revision::new(5), start);
        }
        while let Some(subject) = schedule.take_due(start) {
            schedule.done(&subject.name, start, 0.5);
        }
        assert_eq!(schedule.next_due(), None);
        // Written by the probe itself, or by another client.
        schedule.put(unconnected("7"), Revision::new(6), start);
        assert_eq!(schedule.take_due(start), Some(unconnected("7")));
        schedule.put(unconnected("7"), Revision::new(7), start);
        schedule.done("7", start, 0.5);
        assert_eq!(schedule.take_due(start), Some(unconnected("7")));
        schedule.done("7", start, 0.5);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn a_doubt_brings_the_next_look_forward_but_not_more_often_than_allowed() {
        let (mut schedule, start) = (Schedule::new(PERIOD, REQUESTED), Instant::now());
        schedule.put(subject("a", 1), Revision::new(5), start);
        schedule.take_due(start);
        schedule.done("a", start, 0.5);
        assert_eq!(schedule.next_due(), Some(start + PERIOD));
        for _ in 0..3 {
            schedule.request_probe("a", start);
            assert_eq!(schedule.next_due(), Some(start + REQUESTED));
        }
        let later = start + REQUESTED * 2;
        schedule.request_probe("a", later);
        assert_eq!(schedule.next_due(), Some(start + REQUESTED));
        schedule.request_probe("unknown", later);
        assert_eq!(schedule.take_due(later), Some(subject("a", 1)));
    }

    #[test]
    fn a_cluster_that_is_forgotten_is_not_due() {
        let (mut schedule, start) = (Schedule::new(PERIOD, REQUESTED), Instant::now());
        for name in ["a", "b"] {
            schedule.put(subject(name, 1), Revision::new(5), start);
        }
        schedule.take_due(start);
        schedule.forget("a");
        schedule.forget("b");
        schedule.done("a", start, 0.5);
        assert_eq!(schedule.next_due(), None);
    }
}
