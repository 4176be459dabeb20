//! A closed loop: each client sends its next request when it has received the answer to the last
//! one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::process::Meter;
use crate::sample::Sample;

/// A load on a server.
#[derive(Clone)]
pub(crate) struct Load {
    /// The server.
    pub(crate) endpoint: Arc<Endpoint>,
    /// The requests. Each client cycles through them, from an offset of its own.
    pub(crate) requests: Arc<[Bytes]>,
    /// The number of concurrent connections.
    pub(crate) clients: usize,
}

/// The end of a load. Requests in flight are awaited.
#[derive(Clone, Copy)]
pub(crate) enum Stop {
    /// After this time.
    After(Duration),
    /// After so many requests, over all clients.
    Count(usize),
}

impl Load {
    /// Creates a load in which every client sends the same request.
    pub(crate) fn same(endpoint: &Arc<Endpoint>, request: Bytes, clients: usize) -> Self {
        Self {
            endpoint: Arc::clone(endpoint),
            requests: Arc::new([request]),
            clients,
        }
    }

    /// Opens the connections, then sends until `stop`. `server` measures the CPU time of the server
    /// process.
    ///
    /// # Errors
    /// Fails if a connection broke, or an answer was not a success.
    pub(crate) async fn run(&self, stop: Stop, server: Meter) -> anyhow::Result<Sample> {
        let connections = self.connect().await?;
        let mut sample = Sample::default();
        let cpu = server.cpu()?;
        let started = Instant::now();
        let gate = Arc::new(Gate::new(stop, started));
        let mut clients = JoinSet::new();
        for (index, connection) in connections.into_iter().enumerate() {
            let first = index * self.requests.len() / self.clients;
            let requests = Arc::clone(&self.requests);
            clients.spawn(client(connection, requests, first, Arc::clone(&gate)));
        }
        while let Some(observed) = clients.join_next().await {
            sample.extend(observed??);
        }
        sample.elapsed = started.elapsed();
        sample.cpu = server.cpu()?.saturating_sub(cpu);
        Ok(sample)
    }

    async fn connect(&self) -> anyhow::Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(self.clients);
        for _ in 0..self.clients {
            connections.push(Connection::open(&self.endpoint).await?);
        }
        Ok(connections)
    }
}

/// Number of turns of each load.
pub(crate) const ROUNDS: u32 = 8;

/// Runs the loads for `each` in short turns, so that changes of the machine's speed affect all
/// alike.
pub(crate) async fn in_turns<const N: usize>(
    each: Duration,
    loads: [(&Load, Meter); N],
) -> anyhow::Result<[Sample; N]> {
    let turn = Stop::After(each / ROUNDS);
    let mut samples = std::array::from_fn(|_| Sample::default());
    for _ in 0..ROUNDS {
        for (sample, (load, meter)) in samples.iter_mut().zip(loads) {
            sample.extend(load.run(turn, meter).await?);
        }
    }
    Ok(samples)
}

/// Admits requests until it is time to stop.
struct Gate {
    deadline: Option<Instant>,
    left: AtomicUsize,
}

impl Gate {
    fn new(stop: Stop, started: Instant) -> Self {
        let (deadline, left) = match stop {
            Stop::After(duration) => (Some(started + duration), usize::MAX),
            Stop::Count(count) => (None, count),
        };
        Self {
            deadline,
            left: AtomicUsize::new(left),
        }
    }

    fn admits(&self, now: Instant) -> bool {
        match self.deadline {
            Some(deadline) => now < deadline,
            None => {
                let take = |left: usize| left.checked_sub(1);
                self.left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                    .is_ok()
            }
        }
    }
}

async fn client(
    mut connection: Connection,
    requests: Arc<[Bytes]>,
    first: usize,
    gate: Arc<Gate>,
) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    let mut now = Instant::now();
    for request in requests.iter().cycle().skip(first) {
        if !gate.admits(now) {
            break;
        }
        sample.bytes += connection.send(request).await? as u64;
        let then = Instant::now();
        sample.latencies.push(then - now);
        now = then;
    }
    Ok(sample)
}
