//! Looks at every cluster, at once after a change and then now and again, and writes into its status how it is.
//!
//! ```text
//! Cluster or its Secret changes ─┐
//! a request meets a refusal ─────┤
//! half a minute is over ─────────┴▶ schedule ─▶ probe (at most 16 at a time) ─▶ renewal ─▶ status, if it differs
//! ```
//!
//! One task; dropping it ends everything. Only the status is written, by compare-and-swap on the newest object, and only while the object
//! still says what was probed. Several replicas may do the same at once: they find the same, so the second writes nothing.

mod observation;
mod probe;
mod schedule;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use api::management::cluster;
use api::management::{Cluster, ClusterSpec};
use apiserver::registry::Registry;
use apiserver::stored_object::StoredObject;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use machinery::status::Status;
use machinery::time::Clock;
use management::cluster_secret::{ClusterSecrets, Purpose};
use storage::Key;
use storage::cache::{Collection, EventCursor};
use tokio::time::Instant;

use crate::endpoint::Zone;
use crate::renewal::Renewal;
use crate::upstream::Upstreams;

pub use observation::{CREDENTIAL_NOT_BOUND, NO_CREDENTIAL};
use observation::{Finding, Observation};
pub use probe::{IMPERSONATED, role_resource};
use schedule::{Schedule, Subject};

/// When clusters are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The time between two looks at a cluster, give or take a seventh.
    pub period: Duration,
    /// The shortest time between a look at a cluster and the next one, where a request to the cluster
    /// was refused meanwhile.
    pub doubt_period: Duration,
    /// How long a look may take.
    pub deadline: Duration,
    /// Most clusters looked at in the same moment.
    pub at_once: usize,
    /// Whether clusters without a connection are told so: not where their objects are others'.
    pub unconnected: bool,
}

impl Default for Options {
    /// Every 30 seconds, or 10 after a refusal; 10 seconds at most, 16 at a time; all clusters.
    fn default() -> Self {
        Self {
            period: Duration::from_secs(30),
            doubt_period: Duration::from_secs(10),
            deadline: Duration::from_secs(10),
            at_once: 16,
            unconnected: true,
        }
    }
}

/// Keeps the status of clusters true.
pub struct Prober {
    upstreams: Arc<Upstreams>,
    clusters: Registry<Cluster>,
    secrets: ClusterSecrets,
    renewal: Renewal,
    clock: Arc<dyn Clock>,
    options: Options,
    zone: Option<Zone>,
    /// The number of times that a cluster was read.
    #[cfg(test)]
    taken_in: std::sync::atomic::AtomicUsize,
}

/// Looks under way; each gives the name of its cluster.
type Looks = FuturesUnordered<BoxFuture<'static, String>>;

impl Prober {
    /// For all clusters in this registry, with credentials from that one.
    pub fn new(
        upstreams: Arc<Upstreams>,
        (clusters, secrets): (Registry<Cluster>, ClusterSecrets),
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Self {
        let renewal = Renewal::new(Arc::clone(&upstreams), secrets.clone(), Arc::clone(&clock));
        Self {
            upstreams,
            clusters,
            secrets,
            renewal,
            clock,
            options,
            zone: None,
            #[cfg(test)]
            taken_in: std::sync::atomic::AtomicUsize::default(),
        }
    }

    /// Tells clusters their host names in this zone.
    #[must_use]
    pub fn naming(mut self, zone: Option<Zone>) -> Self {
        self.zone = zone;
        self
    }

    /// Goes on until it is dropped or the cache ends.
    pub async fn run(self) {
        let this = Arc::new(self);
        this.follow().await;
    }

    async fn follow(self: &Arc<Self>) {
        let mut clusters = Follower::new(&self.clusters);
        let mut secrets = Follower::new(self.secrets.registry());
        let mut schedule = Schedule::new(self.options.period, self.options.doubt_period);
        let mut looks = Looks::new();
        loop {
            while looks.len() < self.options.at_once
                && let Some(subject) = schedule.take_due(Instant::now())
            {
                let this = Arc::clone(self);
                looks.push(Box::pin(async move { this.look(subject).await }));
            }
            let next = match looks.len() < self.options.at_once {
                true => schedule.next_due(),
                false => None,
            };
            tokio::select! {
                changes = clusters.changes() => match changes {
                    Changes::All => self.take_in_all(&mut schedule),
                    Changes::Of(keys) => for key in keys {
                        self.take_in(key.name(), &mut schedule);
                    },
                    Changes::Ended => return,
                },
                changes = secrets.changes() => match changes {
                    Changes::All => self.take_in_all(&mut schedule),
                    Changes::Of(keys) => for key in keys {
                        if let Some(cluster) = self.cluster_of(&key) {
                            self.take_in(cluster, &mut schedule);
                        }
                    },
                    Changes::Ended => return,
                },
                doubted = self.upstreams.doubted() => for name in doubted {
                    schedule.doubt(&name, Instant::now());
                },
                Some(name) = looks.next(), if !looks.is_empty() => {
                    schedule.done(&name, Instant::now(), jitter());
                }
                () = at(next) => {}
            }
        }
    }

    /// Tells the schedule what clusters there are now.
    fn take_in_all(&self, schedule: &mut Schedule) {
        let view = self.clusters.collection().view();
        schedule.keep(|name| view.get(&self.clusters.key("", name)).is_some());
        for (_, object) in view.iter() {
            self.take_in(object.name(), schedule);
        }
    }

    /// Tells the schedule what a cluster is now.
    fn take_in(&self, cluster: &str, schedule: &mut Schedule) {
        #[cfg(test)]
        self.taken_in
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let view = self.clusters.collection().view();
        let object = view.get(&self.clusters.key("", cluster));
        let subject = object.and_then(|object| Some((self.subject(object)?, object.revision())));
        match subject {
            Some((subject, revision)) => schedule.put(subject, revision, Instant::now()),
            None => schedule.forget(cluster),
        }
    }

    /// The cluster whose credential is in the Secret with this key.
    fn cluster_of<'k>(&self, key: &'k Key) -> Option<&'k str> {
        let name = key.name().strip_prefix("cluster-")?;
        let name = name.strip_suffix("-gateway")?;
        (self.secrets.key(Purpose::Gateway, name) == key.as_str()).then_some(name)
    }

    fn subject(&self, object: &StoredObject) -> Option<Subject> {
        let cluster = self.clusters.decode(object).ok()?;
        let connection = cluster.spec.connection.as_ref();
        if connection.is_none() && !self.options.unconnected {
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

    /// The revision of the Secret with the credential at a cluster, if it exists.
    fn secret_revision(&self, cluster: &str) -> Option<u64> {
        let key = self.secrets.key(Purpose::Gateway, cluster);
        let view = self.secrets.registry().collection().view();
        view.get(&key).map(|object| object.revision())
    }

    /// Looks at a cluster and writes down what was found.
    async fn look(&self, subject: Subject) -> String {
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
        let probed = probe::probe(&self.upstreams, name);
        let probed = tokio::time::timeout(self.options.deadline, probed).await;
        let finding = probed.unwrap_or(Some(Finding::too_slow()))?;
        let mut observation = Observation::of(finding, name);
        let zone = self.zone.as_ref().filter(|_| subject.connected);
        observation.name(zone.map(|zone| zone.endpoints(name)));
        if observation.is_connected()
            && let Some(cluster) = self.clusters.cached("", name)
        {
            let renewed = self.renewal.renew_if_due(&cluster);
            let renewed = tokio::time::timeout(self.options.deadline, renewed).await;
            observation.add_trouble(renewed.unwrap_or_else(|_| self.renewal.trouble(name)));
        }
        Some(observation)
    }

    /// Writes what was found, unless somebody has changed meanwhile what was looked at.
    async fn write(&self, subject: &Subject, observation: &Observation) -> Result<(), Status> {
        loop {
            let Some(stored) = self.clusters.find("", &subject.name).await? else {
                return Ok(());
            };
            if self.subject(&stored).as_ref() != Some(subject) {
                return Ok(());
            }
            let mut cluster = self.clusters.decode(&stored)?;
            if !observation.write_into(&mut cluster, self.clock.now()) {
                return Ok(());
            }
            observation.log(&subject.name);
            match self.clusters.replace(cluster, stored.revision()).await {
                Ok(_) => return Ok(()),
                Err(None) => {}
                Err(Some(status)) => return Err(status),
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
    /// Any may have: the events begin here.
    All,
    Of(Vec<Key>),
    /// There will be no more.
    Ended,
}

impl Follower {
    fn new<T: machinery::meta::Object>(registry: &Registry<T>) -> Self {
        Self {
            collection: registry.collection().clone(),
            cursor: None,
        }
    }

    /// Waits for changes. Cancellation loses none.
    async fn changes(&mut self) -> Changes {
        let Some(cursor) = &mut self.cursor else {
            let now = self.collection.view().revision;
            // Too old already: the next call tries again.
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

/// Waits until then, or for ever.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Between 0 and 1, so that clusters are not all looked at in the same moment.
fn jitter() -> f64 {
    rand::random()
}

#[cfg(test)]
mod tests;
