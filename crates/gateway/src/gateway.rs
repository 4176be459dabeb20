//! The gateway's components, and the events that end its requests.

use std::collections::HashSet;
use std::sync::Arc;

use api::ext::{ClusterGrant, Kubeconfig, Token, UserLogin};
use api::management::{Cluster, User};
use apiserver::registry::Registry;
use apiserver::server::{Diversion, HttpService};
use machinery::time::Clock;
use management::cluster_secret::ClusterSecrets;
use tokens::logins::login_name;
use tokens::validity::Validity;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::by_name::HostNames;
use crate::caller::CallerAuthenticator;
use crate::edge::credential_owner::{LoginClients, OwnIssuers};
use crate::edge::{Edge, EdgeParts};
use crate::endpoint::Zone;
use crate::endpoint::directory::{Directory, EndpointKind};
use crate::forward::Forwarder;
use crate::passthrough::{Passthrough, PassthroughParts};
use crate::service::{GatewayService, ServiceParts};
use crate::sessions::{Bound, Sessions, follow};
use crate::unread::Unread;
use crate::upstream::{Options, Upstreams};
use crate::via::Via;

/// The dependencies of a gateway.
pub struct GatewayParts {
    /// The clusters.
    pub clusters: Registry<Cluster>,
    /// The Secrets that hold the gateway's credentials.
    pub secrets: ClusterSecrets,
    /// The users. A change may end requests in flight.
    pub users: Registry<User>,
    /// The last logins of users, which decide on the groups of tokens. A change may end requests in
    /// flight.
    pub logins: Registry<UserLogin>,
    /// The grants of clusters, which decide on the groups of tokens. A change may end requests in
    /// flight.
    pub grants: Registry<ClusterGrant>,
    /// The records of tokens. A change may end requests in flight.
    pub tokens: Registry<Token>,
    /// The records of kubeconfigs. A change may end requests in flight.
    pub kubeconfigs: Registry<Kubeconfig>,
    /// Checks whether tokens are valid.
    pub validity: Arc<Validity>,
    /// The clients whose ID tokens log in to this server. Such tokens are never sent to a cluster's
    /// webhook.
    pub logins_by: LoginClients,
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
    parts: GatewayParts,
    upstreams: Arc<Upstreams>,
    sessions: Arc<Sessions>,
    /// Authenticates callers of clusters that have a `spec.authentication`.
    edge: Arc<Edge>,
    forwarder: Arc<Forwarder>,
    /// The clusters by host name, if a zone is configured.
    directory: Option<Arc<Directory>>,
    /// The connections that are passed through to clusters unchanged, if a zone is configured.
    passthrough: Option<Arc<Passthrough>>,
}

impl Gateway {
    /// Creates a gateway. Requests end with their token only while [`Gateway::run`] runs.
    pub fn new(parts: GatewayParts) -> Arc<Self> {
        let upstreams = Arc::new(Upstreams::new(
            parts.clusters.clone(),
            parts.secrets.clone(),
            parts.options,
        ));
        let sessions = Sessions::new(Arc::clone(&parts.validity), Arc::clone(&parts.clock));
        let edge = Arc::new(Edge::new(EdgeParts {
            clusters: parts.clusters.clone(),
            upstreams: Arc::clone(&upstreams),
            clock: Arc::clone(&parts.clock),
            stop: parts.stop.clone(),
            issuers: OwnIssuers {
                minted: parts.validity.issuer().to_owned(),
                logins: Arc::clone(&parts.logins_by),
            },
        }));
        let forwarder = Forwarder {
            callers: CallerAuthenticator {
                sessions: Arc::clone(&sessions),
                edge: Arc::clone(&edge),
                upstreams: Arc::clone(&upstreams),
                stop: parts.stop.clone(),
            },
            upstreams: Arc::clone(&upstreams),
            access: Access::new(Arc::clone(&upstreams)),
            unread: Unread::new(parts.options.unread),
            via: Via::new(),
        };
        let directory = parts
            .zone
            .clone()
            .map(|zone| Arc::new(Directory::new(zone, parts.clusters.clone())));
        let passthrough = directory.as_ref().map(|directory| {
            Passthrough::new(PassthroughParts {
                directory: Arc::clone(directory),
                clusters: parts.clusters.clone(),
                upstreams: Arc::clone(&upstreams),
                limit: parts.options.max_in_flight,
            })
        });
        Arc::new(Self {
            upstreams,
            sessions,
            edge,
            forwarder: Arc::new(forwarder),
            directory,
            passthrough,
            parts,
        })
    }

    /// Returns the connections to the clusters.
    pub fn upstreams(&self) -> &Arc<Upstreams> {
        &self.upstreams
    }

    /// Answers requests for clusters and passes all others to `inner`. The cluster `local` without
    /// a connection is this server itself, so its requests also go to `inner`.
    pub fn layer(&self, inner: HttpService) -> HttpService {
        let names = self.directory.as_ref().map(|directory| HostNames {
            directory: Arc::clone(directory),
            issuer: self.parts.validity.issuer().to_owned(),
        });
        HttpService::new(GatewayService::new(ServiceParts {
            clusters: self.parts.clusters.clone(),
            names: names.map(Arc::new),
            forwarder: Arc::clone(&self.forwarder),
            inner,
        }))
    }

    /// Returns the diversion for a listener, or `None` if clusters have no host names.
    pub fn diversion(&self) -> Option<Arc<dyn Diversion>> {
        self.passthrough.as_ref().map(Passthrough::diversion)
    }

    /// Returns whether this server answers for a cluster at this unmanaged host name, and so needs
    /// a certificate for it. One wildcard certificate covers the managed names.
    pub fn serves(&self, host: &str) -> bool {
        let name = self.directory.as_ref().and_then(|it| it.find(host));
        name.is_some_and(|name| {
            let configured = name.cluster.and_then(|id| self.edge.configured(&id));
            name.endpoint != EndpointKind::Managed && configured.is_some()
        })
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
        let of_logins = sessions.follow(&self.parts.logins, |bound, names| {
            let token = bound.token();
            token.is_some_and(|token| names.contains(&*login_name(token.user())))
        });
        let of_grants = sessions.follow(&self.parts.grants, |_, _| true);
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
            tokio::join!(
                of_tokens,
                of_kubeconfigs,
                of_users,
                of_logins,
                of_grants,
                of_clusters,
                of_secrets
            );
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
        if let Some(passthrough) = &self.passthrough {
            passthrough.refresh(&concerns);
        }
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
