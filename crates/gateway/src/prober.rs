//! Probes every cluster after each change and periodically, and writes the result to its status.
//!
//! ```text
//! Cluster or its Secret changes ─┐
//! a request is refused ──────────┤
//! 30 seconds have passed ────────┴▶ schedule ─▶ probe (at most 16 at once) ─▶ renewal ─▶ status
//! ```
//!
//! One task does all of it; dropping it stops everything. It writes only the status, only if it
//! differs, by compare-and-swap on the newest object, and only while the object still matches what
//! was probed. Several replicas may probe at once: their results are the same, so the second writes
//! nothing.

mod observation;
mod probe;
mod schedule;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use api::management::cluster;
use api::management::{Cluster, ClusterSpec};
use apiserver::registry::{Registry, WriteError};
use apiserver::stored_object::StoredObject;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use machinery::meta::{Object, ObjectKey};
use machinery::status::Status;
use machinery::time::Clock;
use management::cluster_secret::{ClusterSecrets, Purpose};
use storage::cache::{Collection, EventCursor};
use storage::{Key, Revision};
use tokio::time::Instant;

use crate::endpoint::Zone;
use crate::renewal::Renewal;
use crate::upstream::Upstreams;

pub use observation::{CREDENTIAL_NOT_BOUND, NO_CREDENTIAL};
use observation::{Finding, Observation};
pub use probe::{IMPERSONATED, Impersonated};
use schedule::{Schedule, Subject};

/// The schedule and limits of probes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The time between two probes of a cluster, plus or minus a seventh.
    pub period: Duration,
    /// The minimum time between two probes of a cluster, if a request to it was refused in the
    /// meantime.
    pub requested_period: Duration,
    /// Time limit for a probe.
    pub deadline: Duration,
    /// Maximum number of concurrent probes.
    pub at_once: usize,
    /// True if the status of clusters without a connection is written. False if other components
    /// own these objects.
    pub unconnected: bool,
}

impl Default for Options {
    /// Every 30 seconds, or 10 after a refusal; 10 seconds at most, 16 at a time; all clusters.
    fn default() -> Self {
        Self {
            period: Duration::from_secs(30),
            requested_period: Duration::from_secs(10),
            deadline: Duration::from_secs(10),
            at_once: 16,
            unconnected: true,
        }
    }
}

/// Keeps the status of clusters up to date.
pub struct Prober {
    parts: ProberParts,
    renewal: Renewal,
    /// The number of times that the schedule of a cluster was updated.
    #[cfg(test)]
    updates: std::sync::atomic::AtomicUsize,
}

/// The dependencies of a prober.
pub struct ProberParts {
    /// The connections to the clusters.
    pub upstreams: Arc<Upstreams>,
    /// The clusters.
    pub clusters: Registry<Cluster>,
    /// The Secrets with the gateway's credentials.
    pub secrets: ClusterSecrets,
    /// The source of the current time.
    pub clock: Arc<dyn Clock>,
    /// The schedule and limits of probes.
    pub options: Options,
    /// The zone whose host names are written to the status of clusters, if clusters have host
    /// names.
    pub zone: Option<Zone>,
}

/// The probes in progress. Each returns the name of its cluster.
type Probes = FuturesUnordered<BoxFuture<'static, String>>;

impl Prober {
    /// Creates a prober of all clusters.
    pub fn new(parts: ProberParts) -> Self {
        let renewal = Renewal::new(
            Arc::clone(&parts.upstreams),
            parts.secrets.clone(),
            Arc::clone(&parts.clock),
        );
        Self {
            parts,
            renewal,
            #[cfg(test)]
            updates: std::sync::atomic::AtomicUsize::default(),
        }
    }

    /// Runs until it is dropped or the cache ends.
    pub async fn run(self) {
        let this = Arc::new(self);
        this.follow().await;
    }

    async fn follow(self: &Arc<Self>) {
        let mut clusters = Follower::new(&self.parts.clusters);
        let mut secrets = Follower::new(self.parts.secrets.registry());
        let mut schedule = Schedule::new(
            self.parts.options.period,
            self.parts.options.requested_period,
        );
        let mut probes = Probes::new();
        loop {
            while probes.len() < self.parts.options.at_once
                && let Some(subject) = schedule.take_due(Instant::now())
            {
                let this = Arc::clone(self);
                probes.push(Box::pin(async move { this.probe(subject).await }));
            }
            let next = match probes.len() < self.parts.options.at_once {
                true => schedule.next_due(),
                false => None,
            };
            tokio::select! {
                changes = clusters.changes() => match changes {
                    Changes::All => self.update_schedule_of_all(&mut schedule),
                    Changes::Of(keys) => for key in keys {
                        self.update_schedule(key.name(), &mut schedule);
                    },
                    Changes::Ended => return,
                },
                changes = secrets.changes() => match changes {
                    Changes::All => self.update_schedule_of_all(&mut schedule),
                    Changes::Of(keys) => for key in keys {
                        if let Some(cluster) = self.cluster_of(&key) {
                            self.update_schedule(cluster, &mut schedule);
                        }
                    },
                    Changes::Ended => return,
                },
                requested = self.parts.upstreams.requested_probes() => for name in requested {
                    schedule.request_probe(&name, Instant::now());
                },
                Some(name) = probes.next(), if !probes.is_empty() => {
                    schedule.done(&name, Instant::now(), jitter());
                }
                () = at(next) => {}
            }
        }
    }

    /// Updates the schedule with all current clusters.
    fn update_schedule_of_all(&self, schedule: &mut Schedule) {
        let view = self.parts.clusters.cache().view();
        schedule.keep(|name| {
            view.get(&self.parts.clusters.key(ObjectKey::cluster(name)))
                .is_some()
        });
        for (_, object) in view.iter() {
            self.update_schedule(object.name(), schedule);
        }
    }

    /// Updates the schedule with the current state of a cluster.
    fn update_schedule(&self, cluster: &str, schedule: &mut Schedule) {
        #[cfg(test)]
        self.updates
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let view = self.parts.clusters.cache().view();
        let object = view.get(&self.parts.clusters.key(ObjectKey::cluster(cluster)));
        let subject = object.and_then(|object| Some((self.subject(object)?, object.revision())));
        match subject {
            Some((subject, revision)) => schedule.put(subject, revision, Instant::now()),
            None => schedule.forget(cluster),
        }
    }

    /// Returns the cluster whose credential is in the Secret with this key.
    fn cluster_of<'k>(&self, key: &'k Key) -> Option<&'k str> {
        let name = key.name().strip_prefix("cluster-")?;
        let name = name.strip_suffix("-gateway")?;
        (self.parts.secrets.key(Purpose::Gateway, name) == key.as_str()).then_some(name)
    }

    fn subject(&self, object: &StoredObject) -> Option<Subject> {
        let cluster = self.parts.clusters.decode(object).ok()?;
        let connection = cluster.spec.connection.as_ref();
        if connection.is_none() && !self.parts.options.unconnected {
            return None;
        }
        Some(Subject {
            secret_revision: self.secret_revision(object.name()),
            connected: connection.is_some(),
            spec: digest(&cluster.spec),
            uid: cluster.metadata.uid.unwrap_or_default(),
            name: object.name().to_owned(),
        })
    }

    /// Returns the revision of the Secret with the credential for a cluster, if it exists.
    fn secret_revision(&self, cluster: &str) -> Option<Revision> {
        let key = self.parts.secrets.key(Purpose::Gateway, cluster);
        let view = self.parts.secrets.registry().cache().view();
        view.get(&key).map(|object| object.revision())
    }

    /// Probes a cluster and writes the result.
    async fn probe(&self, subject: Subject) -> String {
        if let Some(observation) = self.observe(&subject).await
            && let Err(status) = self.write(&subject, &observation).await
        {
            tracing::warn!(
                cluster = subject.name,
                status = status.message,
                "the status of a cluster cannot be written"
            );
        }
        subject.name
    }

    async fn observe(&self, subject: &Subject) -> Option<Observation> {
        let name = subject.name.as_str();
        if name == cluster::LOCAL && !subject.connected {
            return Some(Observation::local());
        }
        let probed = probe::probe(&self.parts.upstreams, name);
        let probed = tokio::time::timeout(self.parts.options.deadline, probed).await;
        let finding = probed.unwrap_or(Some(Finding::too_slow()))?;
        let mut observation = Observation::of(finding, name);
        let zone = self.parts.zone.as_ref().filter(|_| subject.connected);
        observation.name(zone.map(|zone| zone.endpoints(name)));
        if observation.is_connected()
            && let Some(cluster) = self.parts.clusters.cache().get(ObjectKey::cluster(name))
        {
            let renewed = self.renewal.renew_if_due(&cluster);
            let renewed = tokio::time::timeout(self.parts.options.deadline, renewed).await;
            observation.add_trouble(renewed.unwrap_or_else(|_| self.renewal.trouble(name)));
        }
        Some(observation)
    }

    /// Writes the result, unless the probed settings have changed in the meantime.
    async fn write(&self, subject: &Subject, observation: &Observation) -> Result<(), Status> {
        loop {
            let Some(stored) = self
                .parts
                .clusters
                .store()
                .find(ObjectKey::cluster(&subject.name))
                .await?
            else {
                return Ok(());
            };
            if self.subject(&stored).as_ref() != Some(subject) {
                return Ok(());
            }
            let mut cluster = self.parts.clusters.decode(&stored)?;
            if !observation.write_into(&mut cluster, self.parts.clock.now()) {
                return Ok(());
            }
            observation.log(&subject.name);
            match self
                .parts
                .clusters
                .store()
                .replace(cluster, stored.revision())
                .await
            {
                Ok(_) => return Ok(()),
                Err(WriteError::Conflict) => {}
                Err(WriteError::Status(status)) => return Err(status),
            }
        }
    }
}

fn digest(spec: &ClusterSpec) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_vec(spec)
        .unwrap_or_default()
        .hash(&mut hasher);
    hasher.finish()
}

/// Follows the changes of a collection.
struct Follower {
    collection: Collection<StoredObject>,
    cursor: Option<EventCursor<StoredObject>>,
}

/// The objects that have changed.
enum Changes {
    /// Any object may have changed, since the events start here.
    All,
    Of(Vec<Key>),
    /// The collection has ended.
    Ended,
}

impl Follower {
    fn new<T: Object>(registry: &Registry<T>) -> Self {
        Self {
            collection: registry.collection().clone(),
            cursor: None,
        }
    }

    /// Waits for changes. Cancel safe.
    async fn changes(&mut self) -> Changes {
        let Some(cursor) = &mut self.cursor else {
            let now = self.collection.view().revision;
            // If the revision is already too old, the next call tries again.
            self.cursor = self.collection.watch_from(now).ok();
            return Changes::All;
        };
        match cursor.next().await {
            Ok(events) => Changes::Of(events.iter().map(|event| event.key.clone()).collect()),
            Err(storage::Error::Closed) => Changes::Ended,
            Err(_) => {
                self.cursor = None;
                Changes::All
            }
        }
    }
}

/// Waits until this time, or forever.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Returns a random number between 0 and 1, so that clusters are not all probed at the same time.
fn jitter() -> f64 {
    rand::random()
}

#[cfg(test)]
mod tests;
