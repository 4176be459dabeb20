//! Which cluster is looked at when. Pure: it is told what there is and what time it is.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// What is looked at. As long as it is the same, a look at it counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) uid: String,
    /// A digest of the spec. Its generation would not do: where the status is no subresource, writing
    /// that changes the generation too.
    pub(super) spec: u64,
    /// Whether there is a way to it.
    pub(super) connected: bool,
    /// The revision of the Secret with the credential, if it exists.
    pub(super) secret_revision: Option<u64>,
}

/// Which cluster is looked at when.
pub(super) struct Schedule {
    period: Duration,
    entries: HashMap<String, Entry>,
    /// Clusters that are not probed as they are: the object cannot be read, or has no connection. With its revision.
    skipped: HashMap<String, u64>,
}

struct Entry {
    subject: Subject,
    /// The revision of the object that says so.
    revision: u64,
    due: Instant,
    /// What is being looked at.
    under_way: Option<Subject>,
}

impl Schedule {
    pub(super) fn new(period: Duration) -> Self {
        Self {
            period,
            entries: HashMap::new(),
            skipped: HashMap::new(),
        }
    }

    /// Forgets clusters that are gone.
    pub(super) fn keep(&mut self, exists: impl Fn(&str) -> bool) {
        self.entries.retain(|name, _| exists(name));
        self.skipped.retain(|name, _| exists(name));
    }

    /// Whether nothing is new about a cluster: its object has this revision, and its Secret that.
    pub(super) fn knows(&self, name: &str, revision: u64, secret: Option<u64>) -> bool {
        if self.skipped.get(name) == Some(&revision) {
            return true;
        }
        self.entries.get(name).is_some_and(|entry| {
            entry.revision == revision && entry.subject.secret_revision == secret
        })
    }

    /// Takes in that a cluster is not probed, so that this revision of its object is not read again.
    pub(super) fn put_skipped(&mut self, name: &str, revision: u64) {
        self.skipped.insert(name.to_owned(), revision);
    }

    /// Takes in what a cluster is now. One that is not what it was is due at once.
    pub(super) fn put(&mut self, subject: Subject, revision: u64, now: Instant) {
        let entry = self.entries.entry(subject.name.clone());
        let entry = entry.or_insert_with(|| Entry {
            subject: subject.clone(),
            revision,
            due: now,
            under_way: None,
        });
        entry.revision = revision;
        if entry.subject != subject {
            entry.subject = subject;
            entry.due = now;
        }
    }

    /// The cluster that has been due longest; it is under way from now on.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Subject> {
        let waiting = self
            .entries
            .values_mut()
            .filter(|entry| entry.under_way.is_none());
        let first = waiting.min_by_key(|entry| entry.due)?;
        if first.due > now {
            return None;
        }
        first.under_way = Some(first.subject.clone());
        first.under_way.clone()
    }

    /// When the next cluster is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self
            .entries
            .values()
            .filter(|entry| entry.under_way.is_none());
        waiting.map(|entry| entry.due).min()
    }

    /// A look has ended. The next is a period later, give or take a seventh, or at once where the cluster has changed meanwhile.
    pub(super) fn done(&mut self, name: &str, now: Instant, jitter: f64) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let seen = entry.under_way.take();
        entry.due = match seen.as_ref() == Some(&entry.subject) {
            true => now + self.period.mul_f64((6.0 + 2.0 * jitter) / 7.0),
            false => now,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(70);

    fn subject(name: &str, spec: u64) -> Subject {
        Subject {
            name: name.to_owned(),
            spec,
            ..Subject::default()
        }
    }

    #[test]
    fn a_cluster_is_due_at_once_then_a_period_after_each_look() {
        let (mut schedule, start) = (Schedule::new(PERIOD), Instant::now());
        schedule.put(subject("a", 1), 5, start);
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
        let (mut schedule, start) = (Schedule::new(PERIOD), Instant::now());
        schedule.put(subject("a", 1), 5, start);
        schedule.take_due(start);
        schedule.done("a", start, 0.5);
        schedule.put(subject("a", 1), 6, start);
        assert_eq!(schedule.take_due(start), None);
        schedule.put(subject("a", 2), 7, start);
        assert_eq!(schedule.take_due(start), Some(subject("a", 2)));
    }

    #[test]
    fn a_change_during_a_look_is_looked_at_after_it() {
        let (mut schedule, start) = (Schedule::new(PERIOD), Instant::now());
        schedule.put(subject("a", 1), 5, start);
        schedule.take_due(start);
        schedule.put(subject("a", 2), 6, start);
        assert_eq!(schedule.take_due(start), None);
        schedule.done("a", start, 0.5);
        assert_eq!(schedule.take_due(start), Some(subject("a", 2)));
    }

    #[test]
    fn who_has_waited_longest_is_first() {
        let (mut schedule, start) = (Schedule::new(PERIOD), Instant::now());
        schedule.put(subject("b", 1), 5, start + Duration::from_secs(1));
        schedule.put(subject("a", 1), 5, start);
        let later = start + Duration::from_secs(2);
        assert_eq!(schedule.take_due(later), Some(subject("a", 1)));
        assert_eq!(schedule.take_due(later), Some(subject("b", 1)));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let (mut schedule, start) = (Schedule::new(PERIOD), Instant::now());
        schedule.put(subject("a", 1), 5, start);
        schedule.keep(|name| name != "a");
        assert_eq!(schedule.take_due(start), None);
        schedule.done("a", start, 0.5);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn an_object_or_a_secret_of_another_revision_is_news() {
        let mut schedule = Schedule::new(PERIOD);
        let with_secret = Subject {
            secret_revision: Some(3),
            ..subject("a", 1)
        };
        schedule.put(with_secret, 5, Instant::now());
        assert!(schedule.knows("a", 5, Some(3)));
        assert!(!schedule.knows("a", 6, Some(3)));
        assert!(!schedule.knows("a", 5, Some(4)));
        assert!(!schedule.knows("a", 5, None));
        assert!(!schedule.knows("b", 5, None));
        schedule.put_skipped("b", 5);
        assert!(schedule.knows("b", 5, None));
        assert!(!schedule.knows("b", 6, None));
        schedule.keep(|name| name == "a");
        assert!(!schedule.knows("b", 5, None));
    }
}
