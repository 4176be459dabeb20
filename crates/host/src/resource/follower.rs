//! Keeps the one watch of a resource open, and detects when it misses events.
//!
//! * The host ends every watch after some minutes, and when it restarts. The watch is opened again
//!   after the last revision seen, so no event is missed or seen twice.
//! * If the host no longer knows that revision (410), the log restarts at the present. That ends
//!   its readers, which have to list again.
//! * A connection can die silently. So every revision that the host has returned elsewhere, above
//!   all for our own writes, must appear in the watch soon. If nothing was written for a while,
//!   `on_quiet` may cause a write. A watch without any event for `silence` is considered dead.

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

/// Time without events after which `on_quiet` is called.
const QUIET: Duration = Duration::from_secs(2);

/// Time for the watch to deliver an expected event, since its last event. In a healthy cluster it
/// takes some milliseconds.
const OVERDUE: Duration = Duration::from_secs(2);

/// The shortest and the longest pause before a watch is opened again. Pauses double while no event
/// comes.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// An event of a watch in the host's format.
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
    /// Follows the resource. Never returns. `on_quiet` is called after a time without events, and
    /// when the first watch starts. It must not block.
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
                // For the first watch this is not a loss.
                if let Some(at) = at {
                    tracing::warn!(%at, "the host no longer has the events that the watch missed");
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

    /// Runs one watch until it ends. It starts at the end of the log. The first watch starts
    /// somewhat before the present, so that readers from before a restart can continue if the host
    /// still has the events since then. If it does not, the first event is an error.
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

    /// Returns the start of the first watch. If that is the present, the log also starts there.
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

    /// Returns when the watch is late with an expected event.
    async fn overdue(&self, expected: &mut watch::Receiver<Revision>) {
        let position = self.log.position();
        // The log owns the sender, so it is not closed.
        let _ = expected
            .wait_for(|expected| Some(*expected) > position)
            .await;
        sleep(OVERDUE).await;
    }

    /// Adds an event to the log, which starts at `after` if it has not started yet.
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
            // It was treated as deleted when its deletion began.
            Reading::Removed(_, revision) if kind == "DELETED" => self.log.advance(revision),
            Reading::Removed(key, revision) => self.remove(key, revision),
            // It may have been a record before, but its key is unknown.
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

    /// Restarts the log for a resource that does not exist. All its objects are gone. An artificial
    /// revision, later than all that were seen, represents this, since the host provides none.
    fn begin_absent(&self) {
        self.note_absence();
        let position = self.log.position().map_or(0, Revision::get);
        self.begin(Revision::new(position + 1));
    }
}
