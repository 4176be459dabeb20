//! The gateway's components, and the events that end its requests.

use machinery::meta::ObjectKey;
use std::collections::HashSet;
use std::sync::Arc;

use api::ext::{Kubeconfig, Token};
use api::management::{Cluster, User};
use apiserver::registry::Registry;
use apiserver::server::HttpService;
use http::HeaderValue;
use machinery::time::Clock;
use management::cluster_secret::ClusterSecrets;
use tokens::validity::Validity;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::edge::Edge;
use crate::edge::credential_owner::LoginClient;
use crate::endpoint::Zone;
use crate::endpoint::directory::{Directory, Door, Place};
use crate::front::Front;
use crate::passthrough::Passages;
use crate::sessions::{Bound, Sessions, follow};
use crate::unread::Unread;
use crate::upstream::{Options, Upstreams};

/// The dependencies of a gateway.
pub struct GatewayParts {
    /// The clusters.
    pub clusters: Registry<Cluster>,
    /// The Secrets that hold the gateway's credentials.
    pub secrets: ClusterSecrets,
    /// The users. A change may end requests in flight.
    pub users: Registry<User>,
    /// The records of tokens. A change may end requests in flight.
    pub tokens: Registry<Token>,
    /// The records of kubeconfigs. A change may end requests in flight.
    pub kubeconfigs: Registry<Kubeconfig>,
    /// Checks whether tokens are valid.
    pub validity: Arc<Validity>,
    /// The client whose ID tokens log in to this server. Such tokens are never sent to a cluster's
    /// webhook.
    pub login: Option<LoginClient>,
    /// The source of the current time.
    pub clock: Arc<dyn Clock>,
    /// The zone of the clusters' host names, if clusters have host names.
    pub zone: Option<Zone>,
    /// The settings of connections to clusters.
    pub options: Options,
    /// Cancelled when the server stops, which ends watches and tunnels.
    pub stop: CancellationToken,
}

/// The cluster gateway.
pub struct Gateway {
    pub(crate) parts: GatewayParts,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) access: Access,
    /// Accounts for answers that clients do not read.
    pub(crate) unread: Arc<Unread>,
    /// Authenticates callers of clusters that have a `spec.authentication`.
    pub(crate) edge: Edge,
    /// The connections that are passed through to clusters unchanged.
    pub(crate) passages: Arc<Passages>,
    /// The clusters by host name, if a zone is configured.
    pub(crate) directory: Option<Arc<Directory>>,
    /// Our entry in `Via`. A request that already carries it has looped back to this process.
    pub(crate) via: HeaderValue,
    /// The part of `via` that is unique to this process.
    pub(crate) name: String,
}

impl Gateway {
    /// Creates a gateway. Requests end with their token only while [`Gateway::run`] runs.
    pub fn new(parts: GatewayParts) -> Arc<Self> {
        let (clusters, secrets) = (parts.clusters.clone(), parts.secrets.clone());
        let name = format!("kubeconfig-apiserver-{:016x}", rand::random::<u64>());
        let zone = parts.zone.clone();
        let directory = zone.map(|zone| Arc::new(Directory::new(zone, clusters.clone())));
        let upstreams = Arc::new(Upstreams::new(clusters, secrets, parts.options));
        Arc::new(Self {
            directory,
            passages: Passages::new(parts.options.max_in_flight),
            edge: Edge::new(&parts, Arc::clone(&upstreams)),
            access: Access::new(Arc::clone(&upstreams)),
            upstreams,
            sessions: Sessions::new(Arc::clone(&parts.validity), Arc::clone(&parts.clock)),
            unread: Unread::new(parts.options.unread),
            via: HeaderValue::try_from(format!("1.1 {name}"))
                .unwrap_or(HeaderValue::from_static("1.1 kubeconfig-apiserver")),
            name,
            parts,
        })
    }

    /// Returns the connections to the clusters.
    pub fn upstreams(&self) -> &Arc<Upstreams> {
        &self.upstreams
    }

    /// Answers requests for clusters and passes all others to `inner`. The cluster `local` without
    /// a connection is this server itself, so its requests also go to `inner`.
    pub fn layer(self: &Arc<Self>, inner: HttpService) -> HttpService {
        HttpService::new(Front {
            gateway: Arc::clone(self),
            inner: Arc::new(inner),
        })
    }

    /// Returns whether this server answers for a cluster at this unmanaged host name, and so needs
    /// a certificate for it. One wildcard certificate covers the managed names.
    pub fn serves(&self, host: &str) -> bool {
        let place = self.directory.as_ref().and_then(|it| it.find(host));
        place.is_some_and(|Place { door, cluster }| {
            let configured = cluster.and_then(|cluster| self.edge.configured(&cluster));
            door != Door::Managed && configured.is_some()
        })
    }

    /// Returns whether the cluster has a connection.
    pub(crate) fn is_connected(&self, id: &str) -> bool {
        let connected = |cluster: &Cluster| cluster.spec.connection.is_some();
        let connected = self
            .parts
            .clusters
            .derived(ObjectKey::cluster(id), connected);
        connected.is_some_and(|connected| *connected)
    }

    /// Ends requests whose token ends, until the server stops. Follows every kind of object that
    /// may end one.
    pub async fn run(self: Arc<Self>) {
        let sessions = &self.sessions;
        let depends = |bound: &Bound, names: &HashSet<&str>| {
            let token = bound.token();
            token.is_some_and(|token| token.depends_on(|name| names.contains(name)))
        };
        let of_tokens = sessions.follow(&self.parts.tokens, depends);
        let of_kubeconfigs = sessions.follow(&self.parts.kubeconfigs, depends);
        // Tokens may name the user other than by the name of the object.
        let of_users = sessions.follow(&self.parts.users, |_, _| true);
        let all_clusters = || {
            self.upstreams.refresh_all();
            self.refresh_names(|_| true);
        };
        let of_clusters = follow(&self.parts.clusters, all_clusters, |names| {
            self.refresh_clusters(names);
        });
        let of_secrets = follow(self.parts.secrets.registry(), all_clusters, |_| {
            all_clusters()
        });
        let of_caches = async {
            tokio::join!(of_tokens, of_kubeconfigs, of_users, of_clusters, of_secrets);
        };
        tokio::select! {
            () = self.parts.stop.cancelled() => {}
            ((), (), ()) = async {
                tokio::join!(of_caches, sessions.follow_time(), sessions.follow_access())
            } => {}
        }
        sessions.end(|bound| bound.is_long());
    }

    /// Ends connections and requests that came in by the host names of these clusters and no longer
    /// match their current configuration.
    fn refresh_names(&self, concerns: impl Fn(&str) -> bool) {
        self.passages.refresh(&concerns, |id| self.way_of(id));
        for cluster in self.edge.refresh(&concerns) {
            self.sessions
                .end(|bound| bound.cluster() == &*cluster && bound.token().is_none());
        }
    }

    fn refresh_clusters(&self, names: &HashSet<&str>) {
        for name in names {
            if !self.upstreams.refresh(name) {
                self.sessions.end(|bound| bound.cluster() == *name);
            }
        }
        // A cluster that was deleted and created again is a different cluster.
        self.sessions
            .recheck(|bound| names.contains(bound.cluster()));
        self.refresh_names(|id| names.contains(id));
    }
}
