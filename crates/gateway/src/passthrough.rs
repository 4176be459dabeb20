//! The unmanaged endpoint: connections that are passed through to a cluster unchanged, TLS
//! included.
//!
//! The gateway cannot read the traffic on them; the cluster itself authenticates the callers. They
//! have a limit of their own, so that unauthenticated clients cannot take the slots of users. They
//! end when the connection of their cluster is changed or removed.
//!
//! A cluster whose connection leads back to this server would cause a loop. So connections that
//! come from one of our own outgoing connections are refused.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::management::Cluster;
use api::management::cluster::ClusterConnection;
use apiserver::registry::Registry;
use apiserver::server::{Diversion, Diverted, Rewound};
use machinery::meta::ObjectKey;
use parking_lot::Mutex;
use tokio::io::copy_bidirectional_with_sizes;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use crate::endpoint::directory::{Directory, EndpointKind};
use crate::upstream::{Transport, Upstreams, prepare, without_credential_ref};

/// Size of the copy buffer of each direction, in bytes.
const BUFFER: usize = 64 * 1024;

/// Passes connections for unmanaged names through to the clusters.
pub(crate) struct Passthrough {
    directory: Arc<Directory>,
    clusters: Registry<Cluster>,
    upstreams: Arc<Upstreams>,
    passages: Arc<Passages>,
}

/// The dependencies of a [`Passthrough`].
pub(crate) struct PassthroughParts {
    pub(crate) directory: Arc<Directory>,
    pub(crate) clusters: Registry<Cluster>,
    pub(crate) upstreams: Arc<Upstreams>,
    /// Maximum number of connections to one cluster.
    pub(crate) limit: usize,
}

/// The diversion of a listener.
struct PassthroughDiversion(Arc<Passthrough>);

/// The target of passed-through connections to a cluster; `None` if the cluster does not take any.
#[derive(PartialEq)]
struct PassthroughTarget(Option<ClusterConnection>);

/// The connections that are currently passed through.
struct Passages {
    /// Maximum number of connections to one cluster.
    limit: usize,
    next: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    by_cluster: HashMap<Arc<str>, HashMap<u64, Passage>>,
    /// Local addresses of our connections to clusters.
    own: HashSet<SocketAddr>,
}

/// One connection.
struct Passage {
    target: Arc<PassthroughTarget>,
    ended: CancellationToken,
}

/// The entry of a connection in [`Passages`], which is removed on drop.
struct PassageGuard {
    passages: Arc<Passages>,
    cluster: Arc<str>,
    id: u64,
    target: Arc<PassthroughTarget>,
    ended: CancellationToken,
    own: Option<SocketAddr>,
}

impl Passthrough {
    pub(crate) fn new(parts: PassthroughParts) -> Arc<Self> {
        Arc::new(Self {
            directory: parts.directory,
            clusters: parts.clusters,
            upstreams: parts.upstreams,
            passages: Passages::new(parts.limit),
        })
    }

    /// Returns the diversion for a listener.
    pub(crate) fn diversion(self: &Arc<Self>) -> Arc<dyn Diversion> {
        Arc::new(PassthroughDiversion(Arc::clone(self)))
    }

    /// Ends the connections to these clusters whose target has changed.
    pub(crate) fn refresh(&self, concerns: impl Fn(&str) -> bool) {
        let open = self.passages.open.lock();
        let concerned = open.by_cluster.iter().filter(|(id, _)| concerns(id));
        for (id, passages) in concerned {
            let target = self.target(id);
            let gone = passages
                .values()
                .filter(|passage| Some(&passage.target) != target.as_ref());
            gone.for_each(|passage| passage.ended.cancel());
        }
    }

    /// Returns the target of passed-through connections to a cluster, if the cluster exists.
    fn target(&self, id: &str) -> Option<Arc<PassthroughTarget>> {
        let key = ObjectKey::cluster(id);
        self.clusters.cache().derived(key, PassthroughTarget::of)
    }

    /// Passes a connection through until it is closed or its target changes.
    async fn pass(&self, mut client: Rewound, cluster: Arc<str>) {
        let Some(mut guard) = self.enter(&cluster) else {
            return;
        };
        let target = Arc::clone(&guard.target);
        let Some(connection) = &target.0 else {
            return;
        };
        let ended = guard.ended.clone();
        let passing = async {
            let mut upstream = match self.upstreams.dial(connection).await {
                Ok(upstream) => upstream,
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    return tracing::warn!(%cluster, %error, cause, "a connection cannot be passed through");
                }
            };
            guard.record_own(&upstream);
            prepare(client.stream());
            let copied = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER);
            if let Err(error) = copied.await {
                tracing::debug!(%cluster, %error, "a connection that was passed through broke");
            }
        };
        ended.run_until_cancelled(passing).await;
    }

    fn enter(&self, cluster: &Arc<str>) -> Option<PassageGuard> {
        let target = self.target(cluster)?;
        let Some(guard) = self.passages.enter(cluster, &target) else {
            tracing::warn!(%cluster, "too many connections are passed through to a cluster");
            return None;
        };
        // A change of the target in the meantime has not ended this entry.
        (self.target(cluster)? == target).then_some(guard)
    }
}

impl Diversion for PassthroughDiversion {
    fn divert(&self, server_name: &str, from: SocketAddr) -> Option<Diverted> {
        let passthrough = Arc::clone(&self.0);
        let name = passthrough.directory.find(server_name)?;
        let cluster = name
            .cluster
            .filter(|_| name.endpoint != EndpointKind::Managed)?;
        passthrough.target(&cluster)?.0.as_ref()?;
        if passthrough.passages.is_own(from) {
            tracing::warn!(%cluster, "the connection of a cluster leads back to this server");
            return Some(Box::new(|_, _| Box::pin(async {})));
        }
        tracing::info!(target: "audit", %cluster, peer = %from, "connection");
        if name.endpoint == EndpointKind::Deprecated {
            tracing::warn!(server_name, %cluster, peer = %from, "a deprecated host name was used; status.endpoints has the new one");
        }
        Some(Box::new(|client, stop| {
            Box::pin(async move {
                let passing = passthrough.pass(client, cluster);
                stop.run_until_cancelled(passing).await;
            })
        }))
    }
}

impl PassthroughTarget {
    fn of(cluster: &Cluster) -> Self {
        let connection = cluster.spec.connection.as_ref();
        let is_passed_through = cluster.edge_authentication().is_none();
        Self(
            connection
                .filter(|_| is_passed_through)
                .map(without_credential_ref),
        )
    }
}

impl Passages {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            next: AtomicU64::new(0),
            open: Mutex::default(),
        })
    }

    /// Adds a connection. Returns `None` if the cluster has too many.
    fn enter(
        self: &Arc<Self>,
        cluster: &Arc<str>,
        target: &Arc<PassthroughTarget>,
    ) -> Option<PassageGuard> {
        let mut open = self.open.lock();
        let passages = open.by_cluster.entry(Arc::clone(cluster)).or_default();
        if passages.len() >= self.limit {
            return None;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let ended = CancellationToken::new();
        let passage = Passage {
            target: Arc::clone(target),
            ended: ended.clone(),
        };
        passages.insert(id, passage);
        Some(PassageGuard {
            passages: Arc::clone(self),
            cluster: Arc::clone(cluster),
            id,
            target: Arc::clone(target),
            ended,
            own: None,
        })
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        self.open.lock().own.contains(&address)
    }
}

impl PassageGuard {
    /// Records the local address of a connection to the cluster.
    fn record_own(&mut self, upstream: &Transport) {
        if let Either::Left(stream) = upstream
            && let Ok(address) = stream.local_addr()
        {
            self.passages.open.lock().own.insert(address);
            self.own = Some(address);
        }
    }
}

impl Drop for PassageGuard {
    fn drop(&mut self) {
        let mut open = self.passages.open.lock();
        if let Some(own) = &self.own {
            open.own.remove(own);
        }
        if let Some(passages) = open.by_cluster.get_mut(&self.cluster) {
            passages.remove(&self.id);
            if passages.is_empty() {
                open.by_cluster.remove(&self.cluster);
            }
        }
    }
}
