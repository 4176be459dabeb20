//! Connections to clusters: their settings and credentials, connection pools, and errors.
//!
//! ```text
//! Upstreams::request(cluster, request)
//!     settings of the Cluster + credential of the Secret   decoded once per revision of either
//!     pool of connections                                   new with the settings or credential
//!     dial: address policy → proxy → TLS                    pinned authorities and name
//!     head of the answer, body streaming                    or an UpstreamError
//! ```
//!
//! [`Upstreams::request`] is for other modules and crates. It takes a request whose URI is a path
//! with its query, sets `Host` and the gateway's own `Authorization`, and returns the answer as
//! soon as its head has arrived. The rest of the request is sent unchanged, impersonation headers
//! included. Without those, the request acts as the gateway itself. A 401 of the cluster means that
//! it rejected the gateway's credential and is returned as [`UpstreamError::CredentialRefused`].
//! These requests, such as probes and renewals, have separate connections. Requests of users enter
//! through `Upstreams::enter`, which gives each user a share of the places. Each tunnel has a
//! connection of its own.
//!
//! This module knows users only as names that share the places, and knows no tokens. It does not
//! follow redirects.

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

use machinery::meta::ObjectKey;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use storage::Revision;

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

/// The settings of connections to clusters.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Time limit for obtaining a connection.
    pub connect: Duration,
    /// Time limit from then until the answer begins.
    pub head: Duration,
    /// Maximum number of requests in flight to one cluster, including watches and tunnels. A user
    /// holds at most as many places as are free.
    pub max_in_flight: usize,
    /// The addresses that may be connected to.
    pub addresses: AddressPolicy,
    /// Maximum size of a request body that is kept until the answer, so that the request can be
    /// sent again, in bytes.
    pub kept_body: usize,
    /// Maximum size of all kept bodies, in bytes.
    pub kept_bodies: usize,
    /// Limits on answers that clients do not read.
    pub unread: UnreadBounds,
}

impl Default for Options {
    /// 5 seconds, 30 seconds, 1000 requests; 1 MiB for each body and 64 MiB for all.
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

/// The connections to all clusters.
pub struct Upstreams {
    clusters: Registry<Cluster>,
    secrets: ClusterSecrets,
    options: Options,
    known: RwLock<HashMap<Box<str>, Known>>,
    kept_bodies: Arc<Budget>,
    doubts: Doubts,
    system_roots: OnceLock<Arc<RootCertStore>>,
}

/// Clusters to probe soon, because a request contradicted their status.
#[derive(Default)]
struct Doubts {
    clusters: Mutex<HashSet<Box<str>>>,
    arrived: Notify,
}

/// The state that is derived from a cluster object and its Secret.
struct Known {
    versions: Versions,
    upstream: Result<Arc<Upstream>, UpstreamError>,
    places: Arc<Places>,
}

/// The revisions that the state is derived from.
#[derive(PartialEq, Eq)]
struct Versions {
    cluster: Revision,
    /// The revision of the cluster's own Secret, if it exists.
    secret: Option<Revision>,
}

/// The connections to one cluster.
pub(crate) struct Upstream {
    connection: ClusterConnection,
    /// `None` for servers that get no credential.
    credential: Option<Owned<Credential>>,
    target: Target,
    /// The connections for users' requests.
    pool: Arc<Pool>,
    /// The connections for the gateway's own requests, so that users cannot delay them.
    own_pool: Arc<Pool>,
    kept_bodies: Arc<Budget>,
    options: Options,
}

impl Upstreams {
    /// Creates connections to the clusters in this registry, with credentials from these Secrets.
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

    /// Sends a request. Fails if the answer has not begun in time. See the module documentation.
    ///
    /// # Errors
    /// The reason for the lack of an answer, within [`Options::connect`] plus [`Options::head`].
    pub async fn request(
        &self,
        cluster: &str,
        request: Request<Body>,
    ) -> Result<Response<Body>, UpstreamError> {
        let upstream = self.upstream(cluster)?;
        let answer = upstream.send_own(request, self.options.head).await?;
        Ok(answer.map(Body::new))
    }

    /// Opens a byte stream to a cluster, below TLS.
    ///
    /// # Errors
    /// The reason why it cannot be opened, within [`Options::connect`].
    pub(crate) async fn dial(&self, way: &ClusterConnection) -> Result<Transport, UpstreamError> {
        let target = Target::build(way, None, &|| self.system_roots())?;
        let dialled = dial::transport(&target, self.options.addresses);
        let dialled = tokio::time::timeout(self.options.connect, dialled).await;
        dialled.map_err(|_| UpstreamError::Slow(Phase::Connect))?
    }

    /// Returns a connection, with this deadline, to a server that is not a cluster and gets no
    /// credential.
    ///
    /// # Errors
    /// The settings are invalid.
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

    /// Returns the time limit for an answer to begin.
    pub(crate) fn head_deadline(&self) -> Duration {
        self.options.head
    }

    /// Returns the policy for addresses.
    pub(crate) fn addresses(&self) -> AddressPolicy {
        self.options.addresses
    }

    /// Schedules a probe of a cluster soon.
    pub(crate) fn doubt(&self, cluster: &str) {
        let is_new = self.doubts.lock().insert(cluster.into());
        if is_new {
            self.doubts.arrived.notify_one();
        }
    }

    /// Waits for clusters to be probed soon. Cancel safe.
    pub(crate) async fn doubted(&self) -> HashSet<Box<str>> {
        loop {
            let doubted = std::mem::take(&mut *self.doubts.lock());
            if !doubted.is_empty() {
                return doubted;
            }
            self.doubts.arrived.notified().await;
        }
    }

    /// Returns the connections to a cluster, according to the cached objects.
    pub(crate) fn upstream(&self, cluster: &str) -> Result<Arc<Upstream>, UpstreamError> {
        self.look(cluster, |known| known.upstream.clone())?
    }

    /// Returns the same, and takes a place for the user among the requests in flight.
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

    /// Closes connections that no longer match the objects. Returns whether the cluster still
    /// exists.
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

    /// Reads the state of a cluster, rebuilding it first if an object has changed.
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

    fn version(&self, cluster: &str) -> Option<Revision> {
        let key = self.clusters.key(ObjectKey::cluster(cluster));
        let view = self.clusters.collection().view();
        view.get(&key).map(|object| object.revision())
    }

    fn secret_version(&self, cluster: &str) -> Option<Revision> {
        let key = self.secrets.key(Purpose::Gateway, cluster);
        let view = self.secrets.registry().collection().view();
        view.get(&key).map(|object| object.revision())
    }

    /// Builds the state from the objects. Keeps open connections if nothing about them has changed,
    /// since every probe may change the object.
    fn make(&self, cluster: &str, before: Option<Known>) -> Result<Known, UpstreamError> {
        let key = self.clusters.key(ObjectKey::cluster(cluster));
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
        // The revision is read first, so a Secret that changes in the meantime is read again.
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

    /// Returns the credential of a cluster. Its Secret must be bound to this connection of the
    /// cluster.
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

    /// Returns the certificate authorities of this machine, for clusters that specify none.
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
    /// Poisoning is ignored: every update leaves the set consistent.
    fn lock(&self) -> MutexGuard<'_, HashSet<Box<str>>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the settings without the reference to the credential, which is compared separately.
pub(crate) fn way_only(connection: &ClusterConnection) -> ClusterConnection {
    ClusterConnection {
        credential_secret_ref: None,
        ..connection.clone()
    }
}
