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
//! through `Upstreams::enter`, which gives each user a share of the slots. Each tunnel has a
//! connection of its own.
//!
//! This module knows users only as names that share the slots, and knows no tokens. It does not
//! follow redirects.

mod address_policy;
mod credential;
mod dial;
mod error;
mod exchange;
mod http1_connection;
mod kept_body;
mod options;
mod outgoing;
mod pool;
mod probe_requests;
mod severable;
mod slots;
mod streams;
mod target;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use api::management::Cluster;
use api::management::cluster::ClusterConnection;
use apiserver::registry::Registry;
use axum::body::Body;
use certificates::roots;
use http::{Request, Response};
use machinery::meta::ObjectKey;
use management::cluster_secret::{ClusterSecrets, Owned, Purpose};
use parking_lot::RwLock;
use rustls::RootCertStore;
use storage::Revision;

pub use self::address_policy::AddressPolicy;
pub use self::credential::{CERTIFICATE, KEY, TOKEN};
pub use self::error::{Cause, CertificateProblem, Phase, UpstreamError};
pub use self::options::{Options, UnreadBounds};

use self::credential::Credential;
pub(crate) use self::dial::{Transport, prepare};
pub(crate) use self::exchange::Upstream;
use self::exchange::UpstreamParts;
use self::kept_body::Budget;
pub(crate) use self::pool::PooledBody;
use self::probe_requests::ProbeRequests;
pub(crate) use self::slots::Slot;
use self::slots::Slots;
use self::target::Target;

/// The connections to all clusters.
pub struct Upstreams {
    clusters: Registry<Cluster>,
    secrets: ClusterSecrets,
    options: Options,
    known: RwLock<HashMap<Box<str>, ClusterState>>,
    kept_bodies: Arc<Budget>,
    probe_requests: ProbeRequests,
    system_roots: OnceLock<Arc<RootCertStore>>,
}

/// The state that is derived from a cluster object and its Secret.
struct ClusterState {
    versions: Versions,
    upstream: Result<Arc<Upstream>, UpstreamError>,
    slots: Arc<Slots>,
}

/// The revisions that the state is derived from.
#[derive(PartialEq, Eq)]
struct Versions {
    cluster: Revision,
    /// The revision of the cluster's own Secret, if it exists.
    secret: Option<Revision>,
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
            probe_requests: ProbeRequests::default(),
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
    pub(crate) async fn dial(
        &self,
        connection: &ClusterConnection,
    ) -> Result<Transport, UpstreamError> {
        let target = Target::build(connection, None, &|| self.system_roots())?;
        let dialled = dial::transport(&target, self.options.addresses);
        let dialled = tokio::time::timeout(self.options.connect, dialled).await;
        dialled.map_err(|_| UpstreamError::Slow(Phase::Connect))?
    }

    /// Returns a connection, with this deadline, to a server that is not a cluster and gets no
    /// credential.
    ///
    /// # Errors
    /// The settings are invalid.
    pub(crate) fn without_credential(
        &self,
        connection: ClusterConnection,
        deadline: Duration,
    ) -> Result<Upstream, UpstreamError> {
        let target = Target::build(&connection, None, &|| self.system_roots())?;
        Ok(Upstream::new(UpstreamParts {
            connection,
            credential: None,
            target,
            kept_bodies: Arc::clone(&self.kept_bodies),
            options: Options {
                connect: self.options.connect.min(deadline),
                head: deadline,
                ..self.options
            },
        }))
    }

    /// Returns the time limit for an answer to begin.
    pub(crate) fn head_deadline(&self) -> Duration {
        self.options.head
    }

    /// Returns the policy for addresses.
    pub(crate) fn addresses(&self) -> AddressPolicy {
        self.options.addresses
    }

    /// Requests that a cluster is probed soon.
    pub(crate) fn request_probe(&self, cluster: &str) {
        self.probe_requests.add(cluster);
    }

    /// Waits for requests to probe clusters, and returns these clusters. Cancel safe.
    pub(crate) async fn requested_probes(&self) -> HashSet<Box<str>> {
        self.probe_requests.take().await
    }

    /// Returns the connections to a cluster, according to the cached objects.
    pub(crate) fn upstream(&self, cluster: &str) -> Result<Arc<Upstream>, UpstreamError> {
        self.with_state(cluster, |known| known.upstream.clone())?
    }

    /// Returns the same, and takes a slot for the user among the requests in flight.
    pub(crate) fn enter(
        &self,
        cluster: &str,
        user: &str,
    ) -> Result<(Arc<Upstream>, Slot), UpstreamError> {
        let read = |known: &ClusterState| (known.upstream.clone(), Arc::clone(&known.slots));
        let (upstream, slots) = self.with_state(cluster, read)?;
        let slot = slots.take(user)?;
        Ok((upstream?, slot))
    }

    /// Closes connections that no longer match the objects. Returns whether the cluster still
    /// exists.
    pub(crate) fn refresh(&self, cluster: &str) -> bool {
        let is_known = {
            let known = self.known.read();
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
            let known = self.known.read();
            known.keys().cloned().collect()
        };
        for name in names {
            self.refresh(&name);
        }
    }

    /// Reads the state of a cluster, rebuilding it first if an object has changed.
    fn with_state<T>(
        &self,
        cluster: &str,
        read: impl Fn(&ClusterState) -> T,
    ) -> Result<T, UpstreamError> {
        let Some(version) = self.version(cluster) else {
            self.forget(cluster);
            return Err(UpstreamError::NoCluster);
        };
        {
            let known = self.known.read();
            if let Some(known) = known.get(cluster)
                && known.versions.cluster == version
                && known.versions.secret == self.secret_version(cluster)
            {
                return Ok(read(known));
            }
        }
        let mut all = self.known.write();
        let known = self.build(cluster, all.remove(cluster))?;
        let found = read(&known);
        all.insert(cluster.into(), known);
        Ok(found)
    }

    fn version(&self, cluster: &str) -> Option<Revision> {
        let key = self.clusters.key(ObjectKey::cluster(cluster));
        let view = self.clusters.cache().view();
        view.get(&key).map(|object| object.revision())
    }

    fn secret_version(&self, cluster: &str) -> Option<Revision> {
        let key = self.secrets.key(Purpose::Gateway, cluster);
        let view = self.secrets.registry().cache().view();
        view.get(&key).map(|object| object.revision())
    }

    /// Builds the state from the objects. Keeps open connections if nothing about them has changed,
    /// since every probe may change the object.
    fn build(
        &self,
        cluster: &str,
        before: Option<ClusterState>,
    ) -> Result<ClusterState, UpstreamError> {
        let key = self.clusters.key(ObjectKey::cluster(cluster));
        let object = self.clusters.cache().view().get(&key).cloned();
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
        let (old, slots) = match before {
            Some(before) => (before.upstream.ok(), before.slots),
            None => (None, Slots::new(self.options.max_in_flight)),
        };
        Ok(ClusterState {
            versions,
            upstream: self.renew(connection, credential, old),
            slots,
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
        let is_same_connection = old.as_ref().is_some_and(|old| {
            let settings = connection.as_ref().map(without_credential_ref);
            settings.as_ref() == Some(old.connection_settings())
        });
        if let Some(old) = &old {
            if !is_same_connection {
                old.cut();
            } else if credential.as_ref().is_ok_and(|new| old.uses(new)) {
                return Ok(Arc::clone(old));
            } else if matches!(credential, Err(UpstreamError::CredentialNotBound(_))) {
                old.cut();
            } else {
                old.retire();
            }
        }
        let connection = without_credential_ref(&connection.ok_or(UpstreamError::NoConnection)?);
        let credential = credential?;
        let target = Target::build(&connection, Some(&credential), &|| self.system_roots())?;
        Ok(Arc::new(Upstream::new(UpstreamParts {
            connection,
            credential: Some(credential),
            target,
            kept_bodies: Arc::clone(&self.kept_bodies),
            options: self.options,
        })))
    }

    fn forget(&self, cluster: &str) {
        let mut known = self.known.write();
        if let Some(Ok(upstream)) = known.remove(cluster).map(|known| known.upstream) {
            upstream.cut();
        }
    }

    /// Returns the certificate authorities of this machine, for clusters that specify none.
    fn system_roots(&self) -> Arc<RootCertStore> {
        let roots = self.system_roots.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs().certs;
            Arc::new(roots::usable(found))
        });
        Arc::clone(roots)
    }
}

/// Returns the settings without the reference to the credential, which is compared separately.
pub(crate) fn without_credential_ref(connection: &ClusterConnection) -> ClusterConnection {
    ClusterConnection {
        credential_secret_ref: None,
        ..connection.clone()
    }
}
