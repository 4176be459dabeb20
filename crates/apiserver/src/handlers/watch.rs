//! GET of a collection with `watch`: a stream of changes.

use std::mem;
use std::sync::Arc;
use std::time::Duration;
use std::vec;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use machinery::status::Status;
use rand::RngExt;
use storage::Key;
use storage::cache::{CacheEvent, EventCursor};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Call;
use super::selection::Selection;
use crate::description::Verb;
use crate::lease::Lease;
use crate::options::{ListOptions, RequestedVersion};
use crate::resource::Resource;
use crate::respond::Representation;
use crate::stored_object::StoredObject;
use crate::watch_frame::{EventType, FrameWriter};

/// The interval at which a watch that allows bookmarks gets one.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);

/// The minimum default duration of a watch, in seconds (kube-apiserver `--min-request-timeout`).
/// The maximum is twice as long.
const LIFE_SECS: u64 = 1800;

/// The maximum duration of a watch, even if its client requests more. Such a client then opens
/// another watch.
const MAX_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// The size of the frames that are passed to the connection at once, in bytes.
const PIECE: usize = 64 * 1024;

/// The maximum size of the stored objects for one piece, in bytes. Table rows are short, but each
/// takes time.
const READ: usize = 4 * PIECE;

pub(super) async fn handle<R: Resource>(
    call: Call<'_, R>,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let representation = Representation::of_watch(&request, call.cx)?;
    let options = ListOptions::for_watch(&call.cx.query)?;
    let selection = Selection::of(&call, Verb::Watch, &options).await?;
    let writer = FrameWriter::new(call.resource, &representation, Arc::clone(&call.cx.clock));
    let life = match options.timeout {
        Some(asked) => asked.min(MAX_LIFE),
        None => Duration::from_secs(rand::rng().random_range(LIFE_SECS..2 * LIFE_SECS)),
    };
    let watch = Watch {
        phase: begin(&call, &selection, &options).await?,
        selection,
        writer,
        bookmarks: options.allow_bookmarks,
        ends: Instant::now() + life,
        next_bookmark: Instant::now() + BOOKMARK_PERIOD,
        lease: call.cx.lease(),
        stop: call.cx.shutdown.clone(),
    };
    let frames = stream::unfold(watch, |mut watch| async move {
        let frames = watch.next().await?;
        Some((Ok::<_, Status>(frames), watch))
    });
    Ok(representation.encoded(StatusCode::OK, Body::from_stream(frames)))
}

/// A running watch.
struct Watch {
    phase: Phase,
    selection: Selection,
    writer: FrameWriter,
    bookmarks: bool,
    ends: Instant,
    next_bookmark: Instant,
    lease: Lease,
    stop: CancellationToken,
}

/// The phase of a watch.
enum Phase {
    /// The current state is being sent, then the bookmark that ends it, if requested.
    /// [`Phase::Live`] follows.
    Initial {
        objects: vec::IntoIter<Arc<StoredObject>>,
        mark: bool,
        cursor: EventCursor<StoredObject>,
    },
    /// Events are being sent, starting with those that were found and not sent yet.
    Live {
        events: vec::IntoIter<Arc<CacheEvent<StoredObject>>>,
        cursor: EventCursor<StoredObject>,
    },
    /// An error is due as the last frame.
    Failed(Status),
    /// The watch has ended.
    Over,
}

/// Determines the start of a watch. A version that is gone, or does not exist yet, is reported in
/// the stream.
async fn begin<R: Resource>(
    call: &Call<'_, R>,
    selection: &Selection,
    options: &ListOptions,
) -> Result<Phase, Status> {
    let registry = call.resource.registry();
    let initial = options.send_initial_events == Some(true);
    let view = match options.resource_version {
        RequestedVersion::Unset => registry.store().latest().await,
        RequestedVersion::Any => Ok(registry.cache().view()),
        RequestedVersion::At(version) => registry.store().not_older_than(version).await,
    };
    let view = match view {
        Ok(view) => view,
        Err(status) if status.http_code() == 504 => return Ok(Phase::Failed(status)),
        Err(status) => return Err(status),
    };
    let after = match options.resource_version {
        RequestedVersion::At(version) if !initial => version,
        _ => view.revision,
    };
    let cursor = match registry.collection().watch_from(after) {
        Ok(cursor) => cursor,
        Err(storage::Error::Compacted { oldest }) => {
            return Ok(Phase::Failed(Status::expired_watch(
                after.get(),
                oldest.get(),
            )));
        }
        Err(error) => return Err(registry.status(error, "")),
    };
    if !initial {
        return Ok(Phase::live(cursor));
    }
    selection.warn_of_broken(call, &view);
    let mut objects = Vec::new();
    for (key, object) in view.range(&selection.prefix, None) {
        if selection.admits(key, object).await? {
            objects.push(Arc::clone(object));
        }
    }
    // As in Kubernetes, a client that did not explicitly request initial events also gets the
    // bookmark that ends them.
    Ok(Phase::Initial {
        objects: objects.into_iter(),
        mark: options.allow_bookmarks,
        cursor,
    })
}

impl Phase {
    fn live(cursor: EventCursor<StoredObject>) -> Self {
        Self::Live {
            events: Vec::new().into_iter(),
            cursor,
        }
    }
}

impl Watch {
    /// Returns the next frames; `None` once the watch has ended.
    async fn next(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        while out.is_empty() {
            match mem::replace(&mut self.phase, Phase::Over) {
                Phase::Over => return None,
                Phase::Failed(status) => self.writer.error(&status, &mut out),
                Phase::Initial {
                    objects,
                    mark,
                    cursor,
                } => {
                    // Yield to other requests on this thread.
                    tokio::task::yield_now().await;
                    self.initial(objects, mark, cursor, &mut out);
                }
                Phase::Live { events, cursor } if events.len() > 0 => {
                    tokio::task::yield_now().await;
                    self.send(events, cursor, &mut out).await;
                }
                Phase::Live { cursor, .. } => self.wait(cursor, &mut out).await,
            }
        }
        Some(out.into())
    }

    fn initial(
        &mut self,
        mut objects: vec::IntoIter<Arc<StoredObject>>,
        mark: bool,
        cursor: EventCursor<StoredObject>,
        out: &mut Vec<u8>,
    ) {
        let mut read = 0;
        for object in objects.by_ref() {
            self.writer.event(EventType::Added, &object, out);
            read += object.json().len();
            if out.len() >= PIECE || read >= READ {
                self.phase = Phase::Initial {
                    objects,
                    mark,
                    cursor,
                };
                return;
            }
        }
        if mark {
            self.writer.bookmark(cursor.position(), true, out);
        }
        self.phase = Phase::live(cursor);
    }

    /// Waits for events, and sends the first of them.
    async fn wait(&mut self, mut cursor: EventCursor<StoredObject>, out: &mut Vec<u8>) {
        let wake = if self.bookmarks {
            self.next_bookmark.min(self.ends)
        } else {
            self.ends
        };
        let events = tokio::select! {
            () = self.stop.cancelled() => return,
            events = cursor.next_or_progress(wake) => events,
        };
        let events = match events {
            Ok(events) => events,
            // A watch that is too far behind ends. Its client starts again from the last version
            // that it saw.
            Err(error) => return tracing::debug!(%error, "a watch ended"),
        };
        // Check the lease for each batch, because an event of this batch may have ended it.
        if !(self.lease)() {
            return tracing::debug!(
                "a watch ended: the credential of its caller is no longer valid"
            );
        }
        let now = Instant::now();
        let is_over = now >= self.ends;
        if !is_over && self.bookmarks && now >= self.next_bookmark && events.is_empty() {
            self.next_bookmark = now + BOOKMARK_PERIOD;
            self.writer.bookmark(cursor.position(), false, out);
        }
        if !is_over || !events.is_empty() {
            self.send(events.into_iter(), cursor, out).await;
        }
    }

    /// Sends as many events as fit into a piece.
    async fn send(
        &mut self,
        mut events: vec::IntoIter<Arc<CacheEvent<StoredObject>>>,
        cursor: EventCursor<StoredObject>,
        out: &mut Vec<u8>,
    ) {
        let mut read = 0;
        for event in events.by_ref() {
            if let Err(status) = self.event(&event, out).await {
                self.phase = Phase::Failed(status);
                return;
            }
            let states = [&event.previous, &event.current].into_iter().flatten();
            read += states.map(|object| object.json().len()).sum::<usize>();
            if out.len() >= PIECE || read >= READ {
                break;
            }
        }
        if events.len() > 0 || Instant::now() < self.ends {
            self.phase = Phase::Live { events, cursor };
        }
    }

    /// Writes the event that this watch sees, if any.
    async fn event(
        &mut self,
        event: &CacheEvent<StoredObject>,
        out: &mut Vec<u8>,
    ) -> Result<(), Status> {
        if !event.key.as_str().starts_with(&self.selection.prefix) {
            return Ok(());
        }
        let before = self.selected(&event.key, event.previous.as_deref()).await?;
        let now = self.selected(&event.key, event.current.as_deref()).await?;
        match (before, now) {
            (None, None) => {}
            (None, Some(object)) => self.writer.event(EventType::Added, object, out),
            (Some(_), Some(object)) => self.writer.event(EventType::Modified, object, out),
            (Some(object), None) => {
                let last = object.at(event.revision);
                self.writer.event(EventType::Deleted, &last, out);
            }
        }
        Ok(())
    }

    async fn selected<'a>(
        &self,
        key: &Key,
        object: Option<&'a StoredObject>,
    ) -> Result<Option<&'a StoredObject>, Status> {
        match object {
            Some(object) if self.selection.admits(key, object).await? => Ok(Some(object)),
            _ => Ok(None),
        }
    }
}
