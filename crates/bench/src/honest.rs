//! Honest clients: users who work at a human pace during an attack.
//!
//! Each creates an object over a new connection, reads for a while over the same connection,
//! deletes the object, and begins again. Unlike a load, they count refusals and continue.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::request;
use crate::sample::Sample;

/// Pause between an answer and the next request: some 30 requests per second and client, which
/// leave a machine of two cores mostly idle.
const THINKING: Duration = Duration::from_millis(30);

/// Time limit of an answer, after which it is recorded as missing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Number of reads between a create and the delete.
const READS: usize = 24;

/// One client.
#[derive(Clone)]
pub(crate) struct Client {
    /// The server, as the user of this client.
    pub(crate) endpoint: Arc<Endpoint>,
    /// The collection that it creates in.
    pub(crate) collection: String,
    /// The object that it creates, JSON.
    pub(crate) object: String,
    /// The requests that it reads with.
    pub(crate) reads: Arc<[Bytes]>,
}

/// A step of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Opening a connection, including the handshake.
    Connect,
    Create,
    Read,
    Delete,
}

/// The observations of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The steps that ended, regardless of the answer.
    pub(crate) steps: BTreeMap<Step, Sample>,
    /// The number of requests that were not answered with 2xx, by status or error.
    pub(crate) failures: BTreeMap<String, usize>,
}

/// Runs all clients for `duration`. Waits for the requests in flight.
///
/// # Errors
/// Fails if a task of this program failed. Failures of the server are observed.
pub(crate) async fn work(clients: &[Client], duration: Duration) -> anyhow::Result<Observed> {
    let deadline = Instant::now() + duration;
    let mut tasks = JoinSet::new();
    for (index, client) in clients.iter().cloned().enumerate() {
        let start = THINKING * index as u32 / clients.len() as u32;
        tasks.spawn(async move {
            tokio::time::sleep(start).await;
            let mut observed = Observed::default();
            while Instant::now() < deadline {
                client.round(deadline, &mut observed).await;
                tokio::time::sleep(THINKING).await;
            }
            observed
        });
    }
    let mut all = Observed::default();
    while let Some(observed) = tasks.join_next().await {
        let observed = observed?;
        for (step, sample) in observed.steps {
            all.steps.entry(step).or_default().extend(sample);
        }
        for (what, count) in observed.failures {
            *all.failures.entry(what).or_default() += count;
        }
    }
    Ok(all)
}

impl Client {
    /// Performs a create, reads and the delete. Ends early if the connection breaks.
    async fn round(&self, deadline: Instant, observed: &mut Observed) {
        let opened = observed.time(Step::Connect, Connection::open(&self.endpoint));
        let Some(mut connection) = opened.await else {
            return;
        };
        let create = request::post(&self.endpoint, &self.collection, &self.object);
        let created = observed.time(Step::Create, connection.exchange(&create));
        let Some(created) = created.await else {
            return;
        };
        observed.judge(created.status);
        for read in self.reads.iter().cycle().take(READS) {
            if Instant::now() > deadline {
                break;
            }
            tokio::time::sleep(THINKING).await;
            let answer = observed.time(Step::Read, connection.exchange(read));
            let Some(answer) = answer.await else {
                return;
            };
            observed.judge(answer.status);
        }
        let Ok(name) = name(&created.body) else {
            return;
        };
        tokio::time::sleep(THINKING).await;
        let path = format!("{}/{name}", self.collection);
        let delete = request::delete(&self.endpoint, &path);
        let deleted = observed.time(Step::Delete, connection.exchange(&delete));
        if let Some(answer) = deleted.await {
            observed.judge(answer.status);
        }
    }
}

impl Observed {
    /// Returns all steps as one sample.
    pub(crate) fn all(&self) -> Sample {
        let mut all = Sample::default();
        for sample in self.steps.values() {
            all.extend(sample.clone());
        }
        all
    }

    /// Returns the sample of one step.
    pub(crate) fn of(&self, step: Step) -> Sample {
        self.steps.get(&step).cloned().unwrap_or_default()
    }

    /// Measures the time of a step. Returns `None` if it failed.
    async fn time<T>(
        &mut self,
        step: Step,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> Option<T> {
        let began = Instant::now();
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(answer)) => {
                let sample = self.steps.entry(step).or_default();
                sample.latencies.push(began.elapsed());
                return Some(answer);
            }
            Ok(Err(_)) => self.fail("broken"),
            Err(_) => self.fail("no answer"),
        }
        None
    }

    fn judge(&mut self, status: u16) {
        if !(200..300).contains(&status) {
            self.fail(&status.to_string());
        }
    }

    fn fail(&mut self, what: &str) {
        *self.failures.entry(what.to_owned()).or_default() += 1;
    }
}

/// Returns the name of a created object.
fn name(body: &[u8]) -> anyhow::Result<String> {
    let object: Value = serde_json::from_slice(body)?;
    let name = object["metadata"]["name"].as_str();
    Ok(name.context("an object without a name")?.to_owned())
}
