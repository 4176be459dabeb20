//! What a gateway consists of, and what ends its requests.

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

/// What a gateway works with.
pub struct GatewayParts {
    /// The clusters.
    pub clusters: Registry<Cluster>,
    /// Where the gateway's credentials are.
    pub secrets: ClusterSecrets,
    /// The users: a change may end requests under way.
    pub users: Registry<User>,
    /// The records of tokens: likewise.
    pub tokens: Registry<Token>,
    /// The records of kubeconfigs: likewise.
    pub kubeconfigs: Registry<Kubeconfig>,
    /// Whether tokens count.
    pub validity: Arc<Validity>,
    /// The client whose ID tokens log in to this server: no webhook of a cluster gets one.
    pub login: Option<LoginClient>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The host names of clusters, if they have any.
    pub zone: Option<Zone>,
    /// How clusters are reached.
    pub options: Options,
    /// Cancelled when the server stops: watches and tunnels end then.
    pub stop: CancellationToken,
}

/// The cluster gateway.
pub struct Gateway {
    pub(crate) parts: GatewayParts,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) access: Access,
    /// Answers that clients do not read.
    pub(crate) unread: Arc<Unread>,
    /// Who calls where clusters say how that is found out.
    pub(crate) edge: Edge,
    /// Connections that are led on to clusters as they are.
    pub(crate) passages: Arc<Passages>,
    /// The clusters by host name, where they have any.
    pub(crate) directory: Option<Arc<Directory>>,
    /// Our entry in `Via`: whoever finds it has met a request of ours again.
    pub(crate) via: HeaderValue,
    /// The part of it that tells this process from all others.
    pub(crate) name: String,
}

impl Gateway {
    /// A gateway. Requests end with their token while [`Gateway::run`] runs.
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
            upstreams,
            sessions: Sessions::new(Arc::clone(&parts.validity), Arc::clone(&parts.clock)),
            access: Access::default(),
            unread: Unread::new(parts.options.unread),
            via: HeaderValue::try_from(format!("1.1 {name}"))
                .unwrap_or(HeaderValue::from_static("1.1 kubeconfig-apiserver")),
            name,
            parts,
        })
    }

    /// The ways to the clusters, for whoever looks after them.
    pub fn upstreams(&self) -> &Arc<Upstreams> {
        &self.upstreams
    }

    /// Answers what is for a cluster, and leaves the rest to `inner`: other paths, and the cluster
    /// `local` where no connection leads to it, which is this server itself.
    pub fn layer(self: &Arc<Self>, inner: HttpService) -> HttpService {
        HttpService::new(Front {
            gateway: Arc::clone(self),
            inner: Arc::new(inner),
        })
    }

    /// Whether this server answers for a cluster at this unmanaged host name, and so must have a
    /// certificate for it. Managed ones are all in one certificate.
    pub fn serves(&self, host: &str) -> bool {
        let place = self.directory.as_ref().and_then(|it| it.find(host));
        place.is_some_and(|Place { door, cluster }| {
            let configured = cluster.and_then(|cluster| self.edge.configured(&cluster));
            door != Door::Managed && configured.is_some()
        })
    }

    /// Whether a way leads to this cluster.
    pub(crate) fn is_connected(&self, id: &str) -> bool {
        let connected = |cluster: &Cluster| cluster.spec.connection.is_some();
        let connected = self.parts.clusters.derived(("", id), connected);
        connected.is_some_and(|connected| *connected)
    }

    /// Ends requests whose token ends, by following whatever may end one, until the server stops.
    pub async fn run(self: Arc<Self>) {
        let sessions = &self.sessions;
        let depends = |bound: &Bound, names: &HashSet<&str>| {
            let token = bound.token();
            token.is_some_and(|token| token.depends_on(|name| names.contains(name)))
        };
        let of_tokens = sessions.follow(&self.parts.tokens, depends);
        let of_kubeconfigs = sessions.follow(&self.parts.kubeconfigs, depends);
        // A user may be known by other names than the object's.
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

    /// Ends what came by the names of these clusters and is not as they are now.
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
        // A cluster that was deleted and created again is another one.
        self.sessions
            .recheck(|bound| names.contains(bound.cluster()));
        self.refresh_names(|id| names.contains(id));
    }
}
