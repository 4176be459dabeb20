//! The way to a cluster: its settings and credential, its connections, and what goes wrong there.
//!
//! ```text
//! Upstreams::request(cluster, request)
//!     settings of the Cluster + credential of the Secret   decoded once for each version of either
//!     pool of connections                                   new with the settings or the credential
//!     dial: address policy → proxy → TLS                    pinned authorities and name
//!     head of the answer, body streaming                    or an UpstreamError that says which failed
//! ```
//!
//! For use by others in this crate and beside it: [`Upstreams::request`] takes a request whose URI is
//! a path with its query, sets `Host` and the gateway's own `Authorization`, and returns the answer
//! as soon as its head is there. What the request says otherwise, impersonation headers included,
//! goes out as it is: a probe that says nothing acts as the gateway itself. A 401 of the cluster
//! means the gateway's credential and comes back as [`UpstreamError::CredentialRefused`].
//! It goes over connections of its own, as probes and renewals do. Requests of users enter by
//! `Upstreams::enter`, which gives each user a share of the places; tunnels get connections of
//! their own.
//!
//! Users are names here, which share the places. Nothing here knows tokens. Redirects are not followed.

mod address_policy;
mod credential;
mod dial;
mod error;
mod exchange;
mod kept_body;
mod places;
mod pool;
mod severable;
mod target;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use api::management::Cluster;
use api::management::cluster::ClusterConnection;
use apiserver::registry::Registry;
use axum::body::Body;
use http::{Request, Response};
use management::cluster_secret::{ClusterSecrets, Owned, Purpose};
use rustls::RootCertStore;
use tokio::sync::Notify;

pub use self::address_policy::AddressPolicy;
pub use self::credential::{CERTIFICATE, KEY, TOKEN};
pub use self::error::{Cause, CertificateProblem, Phase, UpstreamError};
pub use crate::unread::UnreadBounds;

use self::credential::Credential;
pub(crate) use self::dial::{Transport, prepare};
use self::kept_body::Budget;
pub(crate) use self::places::Place;
use self::places::Places;
use self::pool::Pool;
pub(crate) use self::pool::PooledBody;
use self::target::Target;

/// How clusters are reached.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long it may take to have a connection.
    pub connect: Duration,
    /// How long it may take from then until the answer begins.
    pub head: Duration,
    /// Most requests under way to one cluster, watches and tunnels included. A user holds at most as
    /// many as are free.
    pub max_in_flight: usize,
    /// Which addresses are connected to.
    pub addresses: AddressPolicy,
    /// Most bytes of the body of a request that are kept until it is answered, so that it can be
    /// sent again.
    pub kept_body: usize,
    /// Most bytes of all kept bodies.
    pub kept_bodies: usize,
    /// Most bytes of answers that clients do not read.
    pub unread: UnreadBounds,
}

impl Default for Options {
    /// 5 seconds, 30 seconds, 1000 requests; 1 MiB of each body and 64 MiB of all.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            head: Duration::from_secs(30),
            max_in_flight: 1000,
            addresses: AddressPolicy::default(),
            kept_body: 1024 * 1024,
            kept_bodies: 64 * 1024 * 1024,
            unread: UnreadBounds::default(),
        }
    }
}

/// The ways to all clusters.
pub struct Upstreams {
    clusters: Registry<Cluster>,
    secrets: ClusterSecrets,
    options: Options,
    known: RwLock<HashMap<Box<str>, Known>>,
    kept_bodies: Arc<Budget>,
    doubts: Doubts,
    system_roots: OnceLock<Arc<RootCertStore>>,
}

/// Clusters that should be looked at soon, because a request found them other than their status says.
#[derive(Default)]
struct Doubts {
    clusters: Mutex<HashSet<Box<str>>>,
    arrived: Notify,
}

/// What was made of a cluster object and its Secret.
struct Known {
    versions: Versions,
    upstream: Result<Arc<Upstream>, UpstreamError>,
    places: Arc<Places>,
}

/// What it was made from.
#[derive(PartialEq, Eq)]
struct Versions {
    cluster: u64,
    /// The version of the cluster's own Secret, if it exists.
    secret: Option<u64>,
}

/// The way to one cluster.
pub(crate) struct Upstream {
    connection: ClusterConnection,
    /// `None` for servers that are shown none.
    credential: Option<Owned<Credential>>,
    target: Target,
    /// The connections for requests of users.
    pool: Arc<Pool>,
    /// Those for what the gateway asks by itself: no user keeps it from being answered.
    own_pool: Arc<Pool>,
    kept_bodies: Arc<Budget>,
    options: Options,
}

impl Upstreams {
    /// The clusters in this registry, with credentials from that one.
    pub fn new(clusters: Registry<Cluster>, secrets: ClusterSecrets, options: Options) -> Self {
        Self {
            clusters,
            secrets,
            options,
            known: RwLock::default(),
            kept_bodies: Budget::new(options.kept_body, options.kept_bodies),
            doubts: Doubts::default(),
            system_roots: OnceLock::new(),
        }
    }

    /// Sends a request, and gives up when its answer has not begun in time. See the module.
    ///
    /// # Errors
    /// Why there is no answer, within [`Options::connect`] and [`Options::head`] together.
    pub async fn request(
        &self,
        cluster: &str,
        request: Request<Body>,
    ) -> Result<Response<Body>, UpstreamError> {
        let upstream = self.upstream(cluster)?;
        let answer = upstream.send_own(request, self.options.head).await?;
        Ok(answer.map(Body::new))
    }

    /// A stream of bytes to where a cluster is; what goes over it is others' business.
    ///
    /// # Errors
    /// Why there is none, within [`Options::connect`].
    pub(crate) async fn dial(&self, way: &ClusterConnection) -> Result<Transport, UpstreamError> {
        let target = Target::build(way, None, &|| self.system_roots())?;
        let dialled = dial::transport(&target, self.options.addresses);
        let dialled = tokio::time::timeout(self.options.connect, dialled).await;
        dialled.map_err(|_| UpstreamError::Slow(Phase::Connect))?
    }

    /// The way to a server that is no cluster and is shown no credential, with this deadline.
    ///
    /// # Errors
    /// The settings make no sense.
    pub(crate) fn to_other(
        &self,
        connection: ClusterConnection,
        deadline: Duration,
    ) -> Result<Upstream, UpstreamError> {
        let target = Target::build(&connection, None, &|| self.system_roots())?;
        Ok(Upstream {
            connection,
            credential: None,
            target,
            pool: Pool::new(self.options.addresses),
            own_pool: Pool::new(self.options.addresses),
            kept_bodies: Arc::clone(&self.kept_bodies),
            options: Options {
                connect: self.options.connect.min(deadline),
                head: deadline,
                ..self.options
            },
        })
    }

    /// How long it may take until an answer begins.
    pub(crate) fn head_deadline(&self) -> Duration {
        self.options.head
    }

    /// Which addresses are connected to.
    pub(crate) fn addresses(&self) -> AddressPolicy {
        self.options.addresses
    }

    /// Has a cluster looked at soon.
    pub(crate) fn doubt(&self, cluster: &str) {
        let is_new = self.doubts.lock().insert(cluster.into());
        if is_new {
            self.doubts.arrived.notify_one();
        }
    }

    /// Waits for clusters that should be looked at soon. Cancellation loses none.
    pub(crate) async fn doubted(&self) -> HashSet<Box<str>> {
        loop {
            let doubted = std::mem::take(&mut *self.doubts.lock());
            if !doubted.is_empty() {
                return doubted;
            }
            self.doubts.arrived.notified().await;
        }
    }

    /// The way to a cluster as the caches of its object and its Secret have it now.
    pub(crate) fn upstream(&self, cluster: &str) -> Result<Arc<Upstream>, UpstreamError> {
        self.look(cluster, |known| known.upstream.clone())?
    }

    /// The same, with a place of a user among the requests under way to it.
    pub(crate) fn enter(
        &self,
        cluster: &str,
        user: &str,
    ) -> Result<(Arc<Upstream>, Place), UpstreamError> {
        let read = |known: &Known| (known.upstream.clone(), Arc::clone(&known.places));
        let (upstream, places) = self.look(cluster, read)?;
        let place = places.take(user)?;
        Ok((upstream?, place))
    }

    /// Closes what no longer fits the objects, and says whether the cluster is still there.
    pub(crate) fn refresh(&self, cluster: &str) -> bool {
        let is_known = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.contains_key(cluster)
        };
        match is_known {
            true => !matches!(self.upstream(cluster), Err(UpstreamError::NoCluster)),
            false => self.version(cluster).is_some(),
        }
    }

    /// Refreshes every cluster that was used so far.
    pub(crate) fn refresh_all(&self) {
        let names: Vec<Box<str>> = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.keys().cloned().collect()
        };
        for name in names {
            self.refresh(&name);
        }
    }

    /// Reads what is known of a cluster, made anew if an object has changed.
    fn look<T>(&self, cluster: &str, read: impl Fn(&Known) -> T) -> Result<T, UpstreamError> {
        let Some(version) = self.version(cluster) else {
            self.forget(cluster);
            return Err(UpstreamError::NoCluster);
        };
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = known.get(cluster)
                && known.versions.cluster == version
                && known.versions.secret == self.secret_version(cluster)
            {
                return Ok(read(known));
            }
        }
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let known = self.make(cluster, all.remove(cluster))?;
        let found = read(&known);
        all.insert(cluster.into(), known);
        Ok(found)
    }

    fn version(&self, cluster: &str) -> Option<u64> {
        let key = self.clusters.key("", cluster);
        let view = self.clusters.collection().view();
        view.get(&key).map(|object| object.revision())
    }

    fn secret_version(&self, cluster: &str) -> Option<u64> {
        let key = self.secrets.key(Purpose::Gateway, cluster);
        let view = self.secrets.registry().collection().view();
        view.get(&key).map(|object| object.revision())
    }

    /// What the objects say now. Open connections stay where nothing about them has changed: the
    /// object changes with every look at the cluster's condition.
    fn make(&self, cluster: &str, before: Option<Known>) -> Result<Known, UpstreamError> {
        let key = self.clusters.key("", cluster);
        let object = self.clusters.collection().view().get(&key).cloned();
        let decoded = object.and_then(|object| {
            let decoded = self.clusters.decode(&object).ok()?;
            Some((object.revision(), decoded))
        });
        let Some((version, decoded)) = decoded else {
            if let Some(Ok(old)) = before.map(|before| before.upstream) {
                old.cut();
            }
            return Err(UpstreamError::NoCluster);
        };
        // The version first: a Secret that changes meanwhile is read again.
        let versions = Versions {
            cluster: version,
            secret: self.secret_version(cluster),
        };
        let credential = self.credential(&decoded);
        let connection = decoded.spec.connection;
        let (old, places) = match before {
            Some(before) => (before.upstream.ok(), before.places),
            None => (None, Places::new(self.options.max_in_flight)),
        };
        Ok(Known {
            versions,
            upstream: self.renew(connection, credential, old),
            places,
        })
    }

    /// The credential of a cluster, which its Secret must say is for this connection of it.
    fn credential(&self, cluster: &Cluster) -> Result<Owned<Credential>, UpstreamError> {
        let owned = self.secrets.cached(Purpose::Gateway, cluster);
        let owned: Owned<Credential> = owned.map_err(UpstreamError::of_secret)?;
        match owned.is_empty() {
            true => Err(UpstreamError::NoCredential),
            false => Ok(owned),
        }
    }

    fn renew(
        &self,
        connection: Option<ClusterConnection>,
        credential: Result<Owned<Credential>, UpstreamError>,
        old: Option<Arc<Upstream>>,
    ) -> Result<Arc<Upstream>, UpstreamError> {
        let same_way = old.as_ref().is_some_and(|old| {
            let way = connection.as_ref().map(way_only);
            way.as_ref() == Some(&old.connection)
        });
        if let Some(old) = &old {
            if !same_way {
                old.cut();
            } else if credential.as_ref().is_ok_and(|new| old.shows(new)) {
                return Ok(Arc::clone(old));
            } else if matches!(credential, Err(UpstreamError::CredentialNotBound(_))) {
                old.cut();
            } else {
                old.retire();
            }
        }
        let connection = way_only(&connection.ok_or(UpstreamError::NoConnection)?);
        let credential = credential?;
        let target = Target::build(&connection, Some(&credential), &|| self.system_roots())?;
        Ok(Arc::new(Upstream {
            connection,
            credential: Some(credential),
            target,
            pool: Pool::new(self.options.addresses),
            own_pool: Pool::new(self.options.addresses),
            kept_bodies: Arc::clone(&self.kept_bodies),
            options: self.options,
        }))
    }

    fn forget(&self, cluster: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(upstream)) = known.remove(cluster).map(|known| known.upstream) {
            upstream.cut();
        }
    }

    /// The authorities that this machine trusts, for clusters that name none.
    fn system_roots(&self) -> Arc<RootCertStore> {
        let roots = self.system_roots.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Arc::new(roots)
        });
        Arc::clone(roots)
    }
}

impl Doubts {
    /// A panic while it was held leaves a sound set.
    fn lock(&self) -> MutexGuard<'_, HashSet<Box<str>>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The settings without the reference to the credential, which is compared by itself.
pub(crate) fn way_only(connection: &ClusterConnection) -> ClusterConnection {
    ClusterConnection {
        credential_secret_ref: None,
        ..connection.clone()
    }
}
