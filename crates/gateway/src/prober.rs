//! Looks at every cluster, at once after a change and then now and again, and writes into its status how it is.
//!
//! ```text
//! Cluster or its Secret changes ─┐
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
    /// How long a look may take.
    pub deadline: Duration,
    /// Most clusters looked at in the same moment.
    pub at_once: usize,
    /// Whether clusters without a connection are told so: not where their objects are others'.
    pub unconnected: bool,
}

impl Default for Options {
    /// Every 30 seconds, 10 seconds at most, 16 at a time; all clusters.
    fn default() -> Self {
        Self {
            period: Duration::from_secs(30),
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
        let mut bells = (
            Bell::new(&self.clusters),
            Bell::new(self.secrets.registry()),
        );
        let mut schedule = Schedule::new(self.options.period);
        let mut looks = Looks::new();
        loop {
            self.take_in(&mut schedule);
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
                rung = bells.0.rings() => if !rung { return },
                rung = bells.1.rings() => if !rung { return },
                Some(name) = looks.next(), if !looks.is_empty() => {
                    schedule.done(&name, Instant::now(), jitter());
                }
                () = at(next) => {}
            }
        }
    }

    /// Tells the schedule what clusters there are now.
    fn take_in(&self, schedule: &mut Schedule) {
        let view = self.clusters.collection().view();
        schedule.keep(|name| view.get(&self.clusters.key("", name)).is_some());
        for (_, object) in view.iter() {
            let secret = self.secret_revision(object.name());
            if schedule.knows(object.name(), object.revision(), secret) {
                continue;
            }
            match self.subject(object) {
                Some(subject) => schedule.put(subject, object.revision(), Instant::now()),
                None => schedule.put_skipped(object.name(), object.revision()),
            }
        }
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

/// Rings when a collection changes.
struct Bell {
    collection: Collection<StoredObject>,
    cursor: Option<EventCursor<StoredObject>>,
}

impl Bell {
    fn new<T: machinery::meta::Object>(registry: &Registry<T>) -> Self {
        let collection = registry.collection().clone();
        Self {
            cursor: None,
            collection,
        }
    }

    /// Waits for a change; `false` when there will be none any more. After a gap it rings too.
    async fn rings(&mut self) -> bool {
        let cursor = match &mut self.cursor {
            Some(cursor) => cursor,
            none => {
                let now = self.collection.view().revision;
                let Ok(fresh) = self.collection.watch_from(now) else {
                    return true;
                };
                none.insert(fresh)
            }
        };
        match cursor.next().await {
            Ok(_) => true,
            Err(storage::Error::Closed) => false,
            Err(_) => {
                self.cursor = None;
                true
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
