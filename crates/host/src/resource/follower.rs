//! The one watch of a resource: kept open, checked for life, and never believed to be complete when
//! it is not.
//!
//! * The host ends every watch after some minutes, and when it restarts: it is opened again after
//!   the last revision seen, so nothing is missed or seen twice.
//! * Where the host does not know that revision any more (410) the log begins anew at the present,
//!   which ends its readers: they have to list.
//! * A connection can die without a word. So whatever the host has shown to us otherwise (our own
//!   writes, above all) must show up in the watch soon; where nothing was written for a while,
//!   `on_quiet` may see to that; and a watch that shows nothing at all for `silence` is dead anyway.

use std::time::Duration;

use futures_util::StreamExt;
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use storage::{Change, Event, Key, Record, Revision};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::failure::Refusal;
use super::{Call, Failure, Reading, Resource, Verb, query};

/// Time without news after which `on_quiet` is called.
const QUIET: Duration = Duration::from_secs(2);

/// Time for a watch to show what it has to, from its last sign of life on. In a healthy cluster it
/// is some milliseconds.
const OVERDUE: Duration = Duration::from_secs(2);

/// Pauses before a watch is opened again double from the first to the last while nothing comes.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// An event of a watch, as the host sends it.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: BookmarkMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMeta {
    resource_version: String,
}

impl Resource {
    /// Follows the resource for ever. `on_quiet` is called when nothing was heard for a while, and
    /// when the first watch begins; it must not wait.
    pub(crate) async fn follow(&self, on_quiet: &(dyn Fn() + Send + Sync)) {
        let [first, last] = PAUSES;
        let (mut pause, mut absent) = (first, false);
        loop {
            let opened = Instant::now();
            let ended = self.follow_once(on_quiet).await;
            let missing = |failure: &Failure| failure.is(StatusCode::NOT_FOUND);
            match ended {
                Err(failure) if missing(&failure) => {
                    if !std::mem::replace(&mut absent, true) {
                        self.begin_absent();
                    }
                }
                ended => {
                    absent = false;
                    self.recover(ended).await;
                }
            }
            pause = if opened.elapsed() > last {
                first
            } else {
                pause
            };
            sleep(pause).await;
            pause = last.min(pause * 2);
        }
    }

    async fn recover(&self, ended: Result<(), Failure>) {
        let at = self.log.position();
        let recovered = match ended {
            Err(failure) if failure.is(StatusCode::GONE) => {
                // When the first watch begins, that is no loss.
                if let Some(at) = at {
                    tracing::warn!(%at, "the host has forgotten what its watch missed");
                }
                self.begin_anew().await
            }
            ended => ended,
        };
        if let Err(failure) = recovered {
            let error = &failure as &dyn std::error::Error;
            tracing::warn!(error, "a watch of the host failed");
        }
    }

    /// One watch, to its end. It is opened where the log ends; the first time somewhat before the
    /// present, so that readers of before a restart can go on if the host still knows what happened
    /// since. That it does shows in its first event, which is an error where it does not.
    async fn follow_once(&self, on_quiet: &(dyn Fn() + Send + Sync)) -> Result<(), Failure> {
        let after = match self.log.position() {
            Some(position) => position,
            None => self.past().await?,
        };
        let lines = self.calls.watch(&self.watch_call(after)).await?;
        let mut lines = std::pin::pin!(lines);
        let mut expected = self.log.expected();
        let mut silent_for = Duration::ZERO;
        if self.log.position().is_none() {
            on_quiet();
        }
        while silent_for < self.limits.silence {
            let quiet = QUIET.min(self.limits.silence);
            tokio::select! {
                line = lines.next() => match line {
                    Some(line) => self.take(&line?, after)?,
                    None => return Ok(()),
                },
                () = self.overdue(&mut expected) => return Err(Failure::Silent),
                () = sleep(quiet) => {
                    silent_for += quiet;
                    on_quiet();
                            continue;
                }
            }
            silent_for = Duration::ZERO;
        }
        Err(Failure::Silent)
    }

    /// Where the first watch begins. The log begins with it where that is the present.
    async fn past(&self) -> Result<Revision, Failure> {
        let present = self.host_revision().await?;
        if self.limits.past == 0 {
            self.begin(present);
        }
        let past = present.get().saturating_sub(self.limits.past).max(1);
        Ok(Revision::new(past))
    }

    fn watch_call(&self, after: Revision) -> Call {
        let mut parameters = self.kind.selectors("");
        parameters.push(("watch", "true".to_owned()));
        parameters.push(("allowWatchBookmarks", "true".to_owned()));
        parameters.push(("resourceVersion", after.to_string()));
        if let Some(window) = self.limits.window {
            parameters.push(("timeoutSeconds", window.as_secs().to_string()));
        }
        let path = query(&self.calls.target().path(), &parameters);
        Call::new(Verb::Watch, path)
    }

    /// Returns when the watch should have shown more than it has.
    async fn overdue(&self, expected: &mut watch::Receiver<Revision>) {
        let position = self.log.position();
        // The sender is in the log, so it cannot be gone.
        let _ = expected
            .wait_for(|expected| Some(*expected) > position)
            .await;
        sleep(OVERDUE).await;
    }

    /// Adds an event to the log, which begins `after` if it has not.
    fn take(&self, line: &[u8], after: Revision) -> Result<(), Failure> {
        let Line { kind, object } = serde_json::from_slice(line)?;
        if kind == "ERROR" {
            let status = serde_json::from_str(object.get())?;
            return Err(Failure::Refused(Refusal::of_event(status)));
        }
        if self.log.position().is_none() {
            self.begin(after);
        }
        if kind == "BOOKMARK" {
            let bookmark: Bookmark = serde_json::from_str(object.get())?;
            let reached = super::revision(&bookmark.metadata.resource_version)?;
            self.log.advance(reached);
            return Ok(());
        }
        self.take_object(kind, object)
    }

    fn take_object(&self, kind: &str, object: &RawValue) -> Result<(), Failure> {
        match self.kind.read(object)? {
            Reading::Record(record) if kind == "DELETED" => {
                self.remove(record.key, record.revision)
            }
            Reading::Record(record) => {
                let Record {
                    key,
                    value,
                    revision,
                } = record;
                let change = Change::Put(value);
                self.log.append(Event {
                    key,
                    revision,
                    change,
                });
            }
            // It has been gone since it was marked.
            Reading::Removed(_, revision) if kind == "DELETED" => self.log.advance(revision),
            Reading::Removed(key, revision) => self.remove(key, revision),
            // It may have been a record before; which one, it does not say.
            Reading::Misfit(revision) if kind == "MODIFIED" => self.begin(revision),
            Reading::Misfit(revision) | Reading::Other(revision) => self.log.advance(revision),
        }
        Ok(())
    }

    fn remove(&self, key: Key, revision: Revision) {
        self.removals.tell(&key, revision);
        self.log.append(Event {
            key,
            revision,
            change: Change::Deleted,
        });
    }

    async fn begin_anew(&self) -> Result<(), Failure> {
        let present = self.host_revision().await?;
        if Some(present) < self.log.position() {
            self.note_lost_revisions(present);
            return Ok(());
        }
        self.begin(present);
        Ok(())
    }

    /// There is no such resource, so there are no objects. What there was is gone: a revision later
    /// than all that was shown says so, one of our own making since the host has none for it.
    fn begin_absent(&self) {
        self.note_absence();
        let position = self.log.position().map_or(0, Revision::get);
        self.begin(Revision::new(position + 1));
    }
}
