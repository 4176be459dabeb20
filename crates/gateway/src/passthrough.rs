//! The unmanaged endpoint: connections that are passed through to a cluster unchanged, TLS
//! included.
//!
//! The gateway cannot read the traffic on them; the cluster itself authenticates the callers. They
//! have a limit of their own, so that unauthenticated clients cannot take the places of users. They
//! end when the connection of their cluster is changed or removed.
//!
//! A cluster whose connection leads back to this server would cause a loop. So connections that
//! come from one of our own outgoing connections are refused.

use machinery::meta::ObjectKey;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::management::Cluster;
use api::management::cluster::ClusterConnection;
use apiserver::server::{Diversion, Diverted, Rewound};
use tokio::io::copy_bidirectional_with_sizes;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use crate::endpoint::directory::{Door, Place};
use crate::gateway::Gateway;
use crate::upstream::{Transport, prepare, without_credential_ref};

/// Size of the copy buffer of each direction, in bytes.
const BUFFER: usize = 64 * 1024;

/// Diverts the connections for unmanaged names from a listener.
struct Passthrough(Arc<Gateway>);

/// The target of passed-through connections to a cluster; `None` if the cluster does not take any.
#[derive(PartialEq)]
pub(crate) struct Way(Option<ClusterConnection>);

/// The connections that are currently passed through.
pub(crate) struct Passages {
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

struct Passage {
    way: Arc<Way>,
    ended: CancellationToken,
}

/// The entry of a connection, which is removed on drop.
struct Entry {
    passages: Arc<Passages>,
    cluster: Arc<str>,
    id: u64,
    ended: CancellationToken,
    own: Option<SocketAddr>,
}

impl Gateway {
    /// Returns the diversion for a listener, or `None` if clusters have no host names.
    pub fn diversion(self: &Arc<Self>) -> Option<Arc<dyn Diversion>> {
        self.directory.as_ref()?;
        Some(Arc::new(Passthrough(Arc::clone(self))))
    }

    /// Returns the target of passed-through connections to a cluster.
    pub(crate) fn way_of(&self, id: &str) -> Option<Arc<Way>> {
        self.parts.clusters.derived(ObjectKey::cluster(id), Way::of)
    }

    /// Passes a connection through until it is closed or its target changes.
    async fn pass(&self, mut client: Rewound, cluster: Arc<str>) {
        let Some((mut entry, way)) = self.enter(&cluster) else {
            return;
        };
        let Some(connection) = &way.0 else {
            return;
        };
        let ended = entry.ended.clone();
        let passing = async {
            let mut upstream = match self.upstreams.dial(connection).await {
                Ok(upstream) => upstream,
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    return tracing::warn!(%cluster, %error, cause, "a connection cannot be passed through");
                }
            };
            entry.own(&upstream);
            prepare(client.stream());
            let copied = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER);
            if let Err(error) = copied.await {
                tracing::debug!(%cluster, %error, "a connection that was passed through broke");
            }
        };
        ended.run_until_cancelled(passing).await;
    }

    fn enter(&self, cluster: &Arc<str>) -> Option<(Entry, Arc<Way>)> {
        let way = self.way_of(cluster)?;
        let Some(entry) = self.passages.enter(cluster, &way) else {
            tracing::warn!(%cluster, "too many connections are passed through to a cluster");
            return None;
        };
        // A change of the target in the meantime has not ended this entry.
        (self.way_of(cluster)? == way).then_some((entry, way))
    }
}

impl Diversion for Passthrough {
    fn divert(&self, server_name: &str, from: SocketAddr) -> Option<Diverted> {
        let gateway = Arc::clone(&self.0);
        let place = gateway.directory.as_ref()?.find(server_name)?;
        let Place { door, cluster } = place;
        let cluster = cluster.filter(|_| door != Door::Managed)?;
        gateway.way_of(&cluster)?.0.as_ref()?;
        if gateway.passages.is_own(from) {
            tracing::warn!(%cluster, "the connection of a cluster leads back to this server");
            return Some(Box::new(|_, _| Box::pin(async {})));
        }
        tracing::info!(target: "audit", %cluster, peer = %from, "connection");
        if door == Door::Older {
            tracing::warn!(server_name, %cluster, peer = %from, "a deprecated host name was used; status.endpoints has the new one");
        }
        Some(Box::new(|client, stop| {
            Box::pin(async move {
                let passing = gateway.pass(client, cluster);
                stop.run_until_cancelled(passing).await;
            })
        }))
    }
}

impl Way {
    fn of(cluster: &Cluster) -> Self {
        let spec = &cluster.spec;
        let connection = spec.connection.as_ref();
        let is_led_on = cluster.edge_authentication().is_none();
        Self(connection.filter(|_| is_led_on).map(without_credential_ref))
    }
}

impl Passages {
    /// Creates an empty list with a maximum number of connections to each cluster.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            next: AtomicU64::new(0),
            open: Mutex::default(),
        })
    }

    /// Ends the connections to these clusters whose target has changed.
    pub(crate) fn refresh(
        &self,
        concerns: impl Fn(&str) -> bool,
        way_of: impl Fn(&str) -> Option<Arc<Way>>,
    ) {
        let open = self.open();
        let concerned = open.by_cluster.iter().filter(|(id, _)| concerns(id));
        for (id, passages) in concerned {
            let way = way_of(id);
            let gone = passages.values().filter(|it| Some(&it.way) != way.as_ref());
            gone.for_each(|passage| passage.ended.cancel());
        }
    }

    fn enter(self: &Arc<Self>, cluster: &Arc<str>, way: &Arc<Way>) -> Option<Entry> {
        let mut open = self.open();
        let passages = open.by_cluster.entry(Arc::clone(cluster)).or_default();
        if passages.len() >= self.limit {
            return None;
        }
        let (id, ended) = (
            self.next.fetch_add(1, Ordering::Relaxed),
            CancellationToken::new(),
        );
        let passage = Passage {
            way: Arc::clone(way),
            ended: ended.clone(),
        };
        passages.insert(id, passage);
        Some(Entry {
            passages: Arc::clone(self),
            cluster: Arc::clone(cluster),
            id,
            ended,
            own: None,
        })
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        self.open().own.contains(&address)
    }

    /// Poisoning is ignored: every update leaves the maps consistent.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Records the local address of a connection to the cluster.
    fn own(&mut self, upstream: &Transport) {
        if let Either::Left(stream) = upstream
            && let Ok(address) = stream.local_addr()
        {
            self.passages.open().own.insert(address);
            self.own = Some(address);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.passages.open();
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
