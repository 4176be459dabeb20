//! Few writers, many watchers: every event has to reach each of them.
//!
//! An event contains the time at which its create request was sent, so each delivery gives its own
//! delay, measured by one clock. The last event is marked, and a watcher ends when it receives it.
//! So the fan-out is over when every watcher has received everything, and a watcher that misses an
//! event is an error.

mod frames;
mod marker;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;

use self::frames::Frames;
use self::marker::Marker;
use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::process::Meter;
use crate::sample::Sample;

/// Number of watchers that connect at the same time.
const OPENING: usize = 32;

/// Number of writers that keep the watchers busy. The answers of a single writer would queue up
/// behind all deliveries.
const WRITERS: usize = 8;

/// Number of events in flight when the watchers are kept busy: enough that they never wait for a
/// write, too few for one of them to be dropped as slow.
const WINDOW: usize = 32;

/// Interval at which a writer checks whether the watchers have caught up.
const PAUSE: Duration = Duration::from_millis(1);

/// Time limit for the watchers to receive the rest after the writers have ended.
const DRAIN: Duration = Duration::from_secs(30);

/// The watched collection, and the source of the events.
pub(crate) struct FanOut {
    /// The server.
    pub(crate) endpoint: Arc<Endpoint>,
    /// The request of a watcher.
    pub(crate) watch: Bytes,
    /// Returns the request that causes an event whose frame contains the given text.
    pub(crate) request: Box<dyn Fn(&str) -> Bytes>,
    /// The number of watchers.
    pub(crate) watchers: usize,
    /// The frequency of the events.
    pub(crate) pace: Pace,
}

/// The frequency of events.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As fast as the watchers can receive them.
    Saturated,
    /// One event per period.
    Every(Duration),
}

impl FanOut {
    /// Opens the watches, writes for `duration`, and waits until everything has arrived. An
    /// operation of the sample is a delivery, and its latency is the time since the create request
    /// was sent.
    ///
    /// # Errors
    /// Fails if a connection broke, a write failed, or a watcher did not get every event.
    pub(crate) async fn run(&self, duration: Duration, server: Meter) -> anyhow::Result<Sample> {
        let mut writers = self.writers().await.context("opening the writers")?;
        let connections = self.open().await?;
        let cpu = server.cpu()?;
        let run = Arc::new(Run::start(duration, self.watchers));
        let mut watchers = JoinSet::new();
        for connection in connections {
            watchers.spawn(watch(connection, Arc::clone(&run)));
        }
        let written = self.write_all(&mut writers, &run).await;
        let all = collect(watchers, written.context("writing")?);
        let mut sample = tokio::time::timeout(DRAIN, all)
            .await
            .context("the watchers did not receive the last event")??;
        sample.elapsed = run.now();
        sample.cpu = server.cpu()?.saturating_sub(cpu);
        Ok(sample)
    }

    async fn writers(&self) -> anyhow::Result<Vec<Connection>> {
        let count = match self.pace {
            Pace::Saturated => WRITERS,
            Pace::Every(_) => 1,
        };
        let writers = (0..count).map(|_| Connection::open(&self.endpoint));
        try_join_all(writers).await
    }

    async fn open(&self) -> anyhow::Result<Vec<Connection>> {
        stream::iter(0..self.watchers)
            .map(|_| async {
                let mut connection = Connection::open(&self.endpoint).await?;
                connection.begin(&self.watch).await?;
                anyhow::Ok(connection)
            })
            .buffer_unordered(OPENING)
            .try_collect()
            .await
            .context("opening the watches")
    }

    /// Runs all writers until the time is over, then writes the last event. Returns the number of
    /// events.
    async fn write_all(&self, writers: &mut [Connection], run: &Run) -> anyhow::Result<usize> {
        try_join_all(writers.iter_mut().map(|writer| self.write(writer, run))).await?;
        let [first, ..] = writers else {
            bail!("there is no writer");
        };
        let last = Marker::LAST.to_string();
        first.send(&(self.request)(&last)).await?;
        Ok(run.written.load(Ordering::Relaxed) + 1)
    }

    async fn write(&self, writer: &mut Connection, run: &Run) -> anyhow::Result<()> {
        self.pause(run).await;
        while run.now() < run.duration {
            run.written.fetch_add(1, Ordering::Relaxed);
            let marker = Marker::sent(run.now()).to_string();
            writer.send(&(self.request)(&marker)).await?;
            self.pause(run).await;
        }
        Ok(())
    }

    /// Waits until the next event is due, or the time is over.
    async fn pause(&self, run: &Run) {
        let written = run.written.load(Ordering::Relaxed);
        match self.pace {
            Pace::Every(period) => {
                let due = run.started + period.mul_f64(written as f64);
                tokio::time::sleep_until(due.into()).await;
            }
            Pace::Saturated => {
                let is_full = || run.under_way() >= WINDOW * run.watchers;
                while is_full() && run.now() < run.duration {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// A fan-out in progress.
struct Run {
    started: Instant,
    duration: Duration,
    watchers: usize,
    written: AtomicUsize,
    delivered: AtomicUsize,
}

impl Run {
    /// Starts the clock.
    fn start(duration: Duration, watchers: usize) -> Self {
        Self {
            started: Instant::now(),
            duration,
            watchers,
            written: AtomicUsize::new(0),
            delivered: AtomicUsize::new(0),
        }
    }

    /// Returns the time since the start.
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the number of deliveries that are still outstanding.
    fn under_way(&self) -> usize {
        let delivered = self.delivered.load(Ordering::Relaxed);
        let written = self.written.load(Ordering::Relaxed) * self.watchers;
        written.saturating_sub(delivered)
    }
}

/// Returns the observations of all watchers.
async fn collect(
    mut watchers: JoinSet<anyhow::Result<Sample>>,
    written: usize,
) -> anyhow::Result<Sample> {
    let mut all = Sample::default();
    while let Some(observed) = watchers.join_next().await {
        let observed = observed?.context("watching")?;
        // The last event has no delay.
        let events = observed.latencies.len() + 1;
        ensure!(
            events == written,
            "a watcher has seen {events} of {written} events"
        );
        all.extend(observed);
    }
    Ok(all)
}

/// Reads until the last event.
async fn watch(mut connection: Connection, run: Arc<Run>) -> anyhow::Result<Sample> {
    let mut frames = Frames::default();
    let mut sample = Sample::default();
    let mut last = false;
    while !last {
        let before = sample.latencies.len();
        let mut each = |frame: &[u8]| match Marker::find(frame) {
            Some(Marker::LAST) => last = true,
            Some(marker) => {
                sample.latencies.push(marker.delay(run.now()));
                sample.bytes += frame.len() as u64;
            }
            None => (),
        };
        let more = connection
            .advance(&mut |data| frames.feed(data, &mut each))
            .await?;
        ensure!(more || last, "the watch ended before the last event");
        let new = sample.latencies.len() - before;
        run.delivered.fetch_add(new, Ordering::Relaxed);
    }
    Ok(sample)
}
