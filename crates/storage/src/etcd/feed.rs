//! A watch: an etcd stream that, if it breaks, is opened again after the last delivered revision.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};
use tonic::Streaming;

use crate::{Batch, Change, Error, Event, Revision, Watch};

use super::{
    client::Client,
    failure::Failure,
    keyspace::{number, revision},
    wire::{
        self, WatchAction, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
    },
};

/// Pause before a broken stream is opened again.
const PAUSE: Duration = Duration::from_millis(50);

/// Pause before etcd is asked for progress again. etcd does not answer while the stream is behind.
const PROGRESS_PAUSE: Duration = Duration::from_millis(50);

/// A watch and its position.
pub(super) struct Feed {
    client: Arc<Client>,
    /// The newest revision that was returned to any caller. The watch must reach it.
    told: watch::Receiver<Revision>,
    position: Revision,
    stream: Option<Responses>,
    failed: bool,
}

/// An etcd stream with one watch.
struct Responses {
    requests: mpsc::Sender<WatchRequest>,
    answers: Streaming<WatchResponse>,
    /// The events of a fragmented batch that is not complete yet.
    begun: Vec<Event>,
    /// The time of the next progress request, if one is needed.
    ask: Instant,
}

impl Feed {
    /// Opens a watch after the revision `after`.
    pub(super) async fn open(
        after: Revision,
        client: Arc<Client>,
        told: watch::Receiver<Revision>,
    ) -> Result<Watch, Error> {
        let stream = Responses::open(&client, after).await;
        let stream = match stream {
            Ok(stream) => stream,
            Err(failure) => return Err(client.explain(failure, after).await),
        };
        let feed = Self {
            client,
            told,
            position: after,
            stream: Some(stream),
            failed: false,
        };
        let next = |mut feed: Self| async move { feed.next().await.map(|item| (item, feed)) };
        Ok(stream::unfold(feed, next).boxed())
    }

    /// Returns the next item of the stream; `None` at its end.
    async fn next(&mut self) -> Option<Result<Batch, Error>> {
        if self.failed {
            return None;
        }
        let client = self.client.clone();
        let result = tokio::select! {
            () = client.stopped() => return None,
            result = self.advance() => result,
        };
        match &result {
            Ok(batch) => self.position = batch.revision,
            Err(_) => self.failed = true,
        }
        Some(result)
    }

    /// Waits for something new, and opens the stream again if it breaks. The failure of a member is
    /// bridged; an outage longer than the deadline of a call is not.
    async fn advance(&mut self) -> Result<Batch, Error> {
        loop {
            let failure = match self.step().await {
                Ok(Some(batch)) => return Ok(batch),
                Ok(None) => continue,
                Err(failure) => failure,
            };
            let lost = self.stream.take().is_some() && failure.is_passing();
            if !lost {
                return Err(self.client.explain(failure, self.position).await);
            }
            tracing::debug!(at = %self.position, "a watch of etcd broke and is restarted");
            sleep(PAUSE).await;
        }
    }

    async fn step(&mut self) -> Result<Option<Batch>, Failure> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(Responses::open(&self.client, self.position).await?),
        };
        let told = &mut self.told;
        tokio::select! {
            answer = stream.answers.message() => {
                let ended = || tonic::Status::unavailable("the stream has ended");
                let answer = answer?.ok_or_else(ended)?;
                stream.accept(&self.client, answer, self.position)
            }
            () = needed(told, self.position, stream.ask) => {
                stream.ask_for_progress();
                Ok(None)
            }
        }
    }
}

/// Returns when a revision after `position` was returned to a caller, but not before `ask`.
async fn needed(told: &mut watch::Receiver<Revision>, position: Revision, ask: Instant) {
    if told.wait_for(|told| *told > position).await.is_err() {
        // No further revision will be returned to a caller.
        std::future::pending::<()>().await;
    }
    sleep_until(ask).await;
}

impl Responses {
    /// Opens a stream of the changes after `after`. Fails if etcd has not reached that revision, or
    /// has compacted it.
    async fn open(client: &Client, after: Revision) -> Result<Self, Failure> {
        client.check(after).await?;
        let (first, end) = client.keys.range("", None);
        let create = WatchCreateRequest {
            key: first,
            range_end: end,
            start_revision: number(after).saturating_add(1),
            progress_notify: true,
            fragment: true,
        };
        let open = |link: super::link::Link| {
            let create = request(WatchAction::Create(create.clone()));
            async move {
                // One request creates the watch, the other asks for progress.
                let (requests, queue) = mpsc::channel(2);
                requests.try_send(create).map_err(|_| Failure::Closed)?;
                let next = |mut queue: mpsc::Receiver<WatchRequest>| async {
                    queue.recv().await.map(|request| (request, queue))
                };
                let answers = link.watch(stream::unfold(queue, next)).await?;
                Ok((requests, answers))
            }
        };
        let (requests, answers) = client.attempt(open, Failure::is_passing).await?;
        Ok(Self {
            requests,
            answers,
            begun: Vec::new(),
            ask: Instant::now(),
        })
    }

    /// Returns what is new in an answer; `None` if nothing is, or if the batch is not complete yet.
    fn accept(
        &mut self,
        client: &Client,
        answer: WatchResponse,
        position: Revision,
    ) -> Result<Option<Batch>, Failure> {
        if answer.canceled && answer.compact_revision > 0 {
            return Err(Failure::Compacted);
        }
        if answer.canceled {
            let reason = tonic::Status::failed_precondition(answer.cancel_reason);
            return Err(Failure::Refused(Box::new(reason)));
        }
        if answer.created {
            return Ok(None);
        }
        let header = answer.header.ok_or(Failure::Malformed)?;
        let last = answer.events.last().and_then(|event| event.kv.as_ref());
        let reached = match last {
            Some(kv) => revision(kv.mod_revision),
            // The watch has delivered everything up to here. A caller that needs a later revision
            // may ask at once.
            None => {
                self.ask = Instant::now();
                revision(header.revision)
            }
        };
        let events = answer.events.into_iter();
        self.begun
            .extend(events.filter_map(|event| ours(client, event)));
        if answer.fragment || reached <= position {
            return Ok(None);
        }
        Ok(Some(Batch {
            events: std::mem::take(&mut self.begun),
            revision: reached,
        }))
    }

    fn ask_for_progress(&mut self) {
        self.ask = Instant::now() + PROGRESS_PAUSE;
        // If the previous request has not been sent yet, this one is not needed.
        let _ = self
            .requests
            .try_send(request(WatchAction::Progress(WatchProgressRequest {})));
    }
}

fn request(action: WatchAction) -> WatchRequest {
    WatchRequest {
        action: Some(action),
    }
}

/// Converts an event; `None` for a key that is not a valid record key, which another client wrote.
fn ours(client: &Client, event: wire::Event) -> Option<Event> {
    let kv = event.kv?;
    Some(Event {
        key: client.keys.key(&kv.key)?,
        revision: revision(kv.mod_revision),
        change: match event.kind {
            wire::EVENT_DELETE => Change::Deleted,
            _ => Change::Put(kv.value),
        },
    })
}
