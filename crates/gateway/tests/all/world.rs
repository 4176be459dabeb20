//! A server with the gateway in front of it: real store, cache, keys and listener.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::management::cluster_secret::{Binding, ClusterSecrets, Purpose};
use ::management::settings::Settings;
use api::ext::{ClusterGrant, Kubeconfig, Token};
use api::management::{self, Setting, User};
use apiserver::registry::{Registries, Registry, revision_of};
use apiserver::server::{Diversion, HttpService, Peer, ReloadableCertificate, Server};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use auth::authorizer::{AuthorizerError, Rules};
use auth::{Attributes, Authorizer, Decision, Login, UserInfo};
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateway::endpoint::Zone;
use gateway::upstream::Options;
use gateway::{Gateway, GatewayParts, LoginClient};
use grants::{GrantAuthorizer, GrantLimits, Grants};
use http::{Request, Response};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use machinery::meta::{Object, ObjectKey};
use machinery::testing::ManualClock;
use machinery::time::Clock;
use rustls::ServerConfig;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use signing::jwt::{VerifiedCache, Verifier};
use signing::key_ring::RotationPolicy;
use signing::key_store::KeyStore;
use storage::Store;
use storage::cache::{CacheBuilder, CacheOptions};
use storage::sqlite::{Sqlite, SqliteOptions};
use tempfile::TempDir;
use tokens::cluster_groups::ClusterGroups;
use tokens::logins::Logins;
use tokens::minter::{Minter, Order};
use tokens::origin::Origin;
use tokens::user_directory::{UserDirectory, UserDirectoryParts};
use tokens::validity::{Validity, ValidityParts};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::{ServiceExt, service_fn};

use crate::authority::Authority;
use crate::client::{Answer, Client, Wire};
use crate::cluster::Cluster;

/// 2026-01-02T03:04:05Z, the start time of every test.
const NOW: Timestamp = Timestamp::constant(1_767_323_045, 0);

/// The namespace of Secrets.
pub(crate) const NAMESPACE: &str = "kubeconfig-apiserver";

/// The gateway's credential at clusters.
pub(crate) const CREDENTIAL: &str = "the-gateways-own-credential";

/// The server and its dependencies.
pub(crate) struct World {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) address: SocketAddr,
    /// Signs the server's certificate and those of clusters.
    pub(crate) authority: Authority,
    pub(crate) tokens: Registry<Token>,
    pub(crate) kubeconfigs: Registry<Kubeconfig>,
    pub(crate) users: Registry<User>,
    pub(crate) logins: Arc<Logins>,
    pub(crate) grants: Registry<ClusterGrant>,
    pub(crate) clusters: Registry<management::Cluster>,
    pub(crate) secrets: Registry<Secret>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) access: Arc<Access>,
    pub(crate) stop: CancellationToken,
    pub(crate) keys: Arc<KeyStore>,
    pub(crate) settings: Registry<Setting>,
    minter: Minter,
    _stop: DropGuard,
    _folder: TempDir,
}

/// The provider whose ID tokens log in to this server.
pub(crate) const LOGIN_ISSUER: &str = "https://login.example.com";

/// Permits every user to get every cluster, except as set by a test.
#[derive(Default)]
pub(crate) struct Access {
    /// Users who may not get any cluster.
    pub(crate) refused: Mutex<HashSet<String>>,
    /// True if the authorizer fails.
    pub(crate) fails: AtomicBool,
}

#[async_trait]
impl Authorizer for Access {
    async fn authorize(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(AuthorizerError::Unavailable {
                authorizer: "test",
                source: "it fails".into(),
            });
        }
        assert_eq!(attributes.verb, "get");
        let reason = String::new();
        Ok(match self.refused.lock().unwrap().contains(&user.name) {
            true => Decision::NoOpinion { reason },
            false => Decision::Allow { reason },
        })
    }

    async fn rules(&self, _user: &UserInfo, _namespace: &str) -> Result<Rules, AuthorizerError> {
        Ok(Rules::default())
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// Starts with users alice and bob, and no cluster.
    pub(crate) async fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(NOW);
        let store = Sqlite::open(folder.path(), SqliteOptions::default()).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let cache = CacheBuilder::new(Arc::clone(&store), CacheOptions::default());
        let now: Arc<dyn Clock> = clock.clone();
        let mut registries = Registries::new(Arc::clone(&store), cache, Arc::clone(&now));
        let tokens = registries.add(
            tokens::token_resource::description(),
            tokens::token_resource::INDEX,
        );
        let kubeconfigs = registries.add(
            kubeconfigs::resource::description(),
            kubeconfigs::resource::INDEX,
        );
        let users = registries.add(::management::user::description(), ::management::user::INDEX);
        let clusters = registries.add(
            ::management::cluster::description(),
            ::management::cluster::INDEX,
        );
        let logins = registries.add(tokens::logins::description(), Index::NONE);
        let grants = registries.add(grants::description(), grants::INDEX);
        let settings = registries.add(::management::setting::description(), Index::NONE);
        let secrets = registries.add(builtins::secret::description(), builtins::secret::INDEX);
        let cache = registries.into_cache().start().await.unwrap();
        let stop = CancellationToken::new();
        let shutdown = stop.clone();
        tokio::spawn(async move { cache.run(shutdown).await });

        let keys = KeyStore::open(Arc::clone(&store), RotationPolicy::default(), now.now());
        let keys = keys.await.unwrap();
        let verified = VerifiedCache::new(64).unwrap();
        let issuer = "https://issuer.example".to_owned();
        let verifier = Verifier::new(issuer.clone(), keys.shared_ring(), verified);
        let reader = Settings::new(settings.clone());
        let directory = UserDirectory::new(UserDirectoryParts {
            users: users.clone(),
            known: Arc::new(|| true),
            service_accounts: None,
            settings: reader.clone(),
            clock: now.clone(),
        });
        let access = Arc::new(Access::default());
        let last_logins = Arc::new(Logins::new(logins.clone(), reader.clone()));
        let granted = Grants::new(grants.clone(), clusters.clone());
        let validity = Validity::new(ValidityParts {
            verifier: Arc::new(verifier),
            tokens: tokens.clone(),
            kubeconfigs: kubeconfigs.clone(),
            clusters: clusters.clone(),
            users: Arc::new(directory),
            logins: Arc::clone(&last_logins),
            authorizer: GrantAuthorizer::before(granted.clone(), access.clone()),
            grants: GrantLimits::new(granted.clone(), access.clone()),
            confirmed: Arc::new(|| true),
            settings: reader,
        });
        let gateway = Gateway::new(GatewayParts {
            clusters: clusters.clone(),
            secrets: ClusterSecrets::new(secrets.clone(), NAMESPACE),
            users: users.clone(),
            logins: logins.clone(),
            grants: grants.clone(),
            tokens: tokens.clone(),
            kubeconfigs: kubeconfigs.clone(),
            validity: Arc::new(validity),
            logins_by: Arc::new(|| {
                vec![LoginClient {
                    issuer: LOGIN_ISSUER.to_owned(),
                    client_id: "login".to_owned(),
                }]
            }),
            clock: now,
            zone: Some(zone()),
            options,
            stop: stop.child_token(),
        });
        tokio::spawn(Arc::clone(&gateway).run());
        let authority = Authority::new("authority");
        let service = gateway.layer(inner());
        let address = serve(&authority, service, gateway.diversion(), &stop).await;
        let world = Self {
            gateway,
            address,
            authority,
            keys: Arc::clone(&keys),
            settings,
            minter: Minter::new(
                keys,
                issuer,
                tokens.clone(),
                ClusterGroups::new(clusters.clone(), Arc::clone(&last_logins), granted),
            ),
            tokens,
            kubeconfigs,
            users,
            logins: last_logins,
            grants,
            clusters,
            secrets,
            clock,
            access,
            _stop: stop.clone().drop_guard(),
            stop,
            _folder: folder,
        };
        for name in ["alice", "bob"] {
            world.add_user(name).await;
        }
        world
    }

    pub(crate) async fn add_user(&self, name: &str) {
        let user = json!({"metadata": {"name": name, "uid": format!("uid-{name}")}});
        self.users
            .store()
            .insert(object(user), false)
            .await
            .unwrap();
    }

    /// Returns the TLS settings of a cluster in this world.
    pub(crate) fn tls(&self) -> Arc<ServerConfig> {
        self.authority.identity("127.0.0.1").server()
    }

    /// Registers a cluster with a token as the gateway's credential.
    pub(crate) async fn add(&self, name: &str, cluster: &Cluster) {
        let server = format!("https://{}", cluster.address);
        self.add_with(name, self.connection(&server)).await;
        self.add_credential(name).await;
    }

    /// Returns the settings of a connection to this server.
    pub(crate) fn connection(&self, server: &str) -> Value {
        json!({"server": server, "caData": STANDARD.encode(&self.authority.pem)})
    }

    pub(crate) async fn add_with(&self, name: &str, mut connection: Value) {
        connection["credentialSecretRef"] =
            json!({"namespace": "kubeconfig-apiserver", "name": format!("cluster-{name}-gateway")});
        let object_json = json!({
            "metadata": {"name": name, "uid": format!("uid-{name}")},
            "spec": {"connection": connection},
        });
        self.clusters
            .store()
            .insert(object(object_json), false)
            .await
            .unwrap();
    }

    /// Creates the Secret with the credential for a cluster, bound to the cluster in its current
    /// form.
    pub(crate) async fn add_credential(&self, name: &str) {
        let secret = json!({
            "metadata": {
                "namespace": NAMESPACE,
                "name": Purpose::Gateway.secret_name(name),
                "annotations": self.binding(name).annotations(),
            },
            "data": {"token": STANDARD.encode(CREDENTIAL)},
        });
        self.secrets
            .store()
            .insert(object(secret), false)
            .await
            .unwrap();
    }

    /// Binds the credential for a cluster to the cluster in its current form.
    pub(crate) async fn bind(&self, name: &str) {
        let annotations = self.binding(name).annotations();
        let secret = Purpose::Gateway.secret_name(name);
        self.change(
            &self.secrets,
            ObjectKey::namespaced(NAMESPACE, &secret),
            |secret: &mut Secret| {
                secret.metadata.annotations = Some(annotations);
            },
        )
        .await;
    }

    /// Returns the binding of the credential to the cluster in its current form.
    pub(crate) fn binding(&self, name: &str) -> Binding {
        let cluster = self.clusters.cache().get(ObjectKey::cluster(name)).unwrap();
        Binding::of(&cluster, Purpose::Gateway)
    }

    /// Issues a token of a user for these clusters that is valid for an hour.
    pub(crate) async fn mint(&self, user: &str, clusters: &[&str]) -> String {
        self.mint_in("", user, clusters).await.0
    }

    /// Records a login of a user with these groups.
    pub(crate) async fn log_in(&self, user: &str, groups: &[&str]) {
        let user = UserInfo {
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..UserInfo::named(user)
        };
        let now = self.clock.now();
        self.logins
            .record(&user, &Login::by_certificate(now), now)
            .await
            .unwrap();
    }

    /// Makes a token one of a login with these groups.
    pub(crate) async fn set_groups(&self, token: &str, groups: &[&str]) {
        let groups: Vec<_> = groups.iter().map(|&group| group.to_owned()).collect();
        let change = |token: &mut Token| {
            token.status.groups = groups;
            Login::CERTIFICATE.clone_into(&mut token.status.groups_source);
        };
        self.change(&self.tokens, ObjectKey::cluster(token), change)
            .await;
    }

    /// Issues a token of a kubeconfig. Returns the token and the name of its record.
    pub(crate) async fn mint_in(
        &self,
        kubeconfig: &str,
        user: &str,
        clusters: &[&str],
    ) -> (String, String) {
        let order = Order {
            user: user.to_owned(),
            origin: Origin {
                user_uid: format!("uid-{user}"),
                ..Origin::default()
            },
            clusters: clusters.iter().map(|name| (*name).to_owned()).collect(),
            cluster_uids: clusters
                .iter()
                .map(|name| ((*name).to_owned(), self.uid_of(name)))
                .collect(),
            kubeconfig: kubeconfig.to_owned(),
            ttl_secs: 3600,
            ..Order::default()
        };
        let minted = self.minter.mint(&order, self.clock.now()).await.unwrap();
        let name = minted.record.metadata.name.clone().unwrap();
        self.minter.store(vec![minted.record]).await.unwrap();
        if !kubeconfig.is_empty() {
            let record = json!({
                "metadata": {"name": kubeconfig},
                "status": {"userName": user, "tokens": [name]},
            });
            self.kubeconfigs
                .store()
                .insert(object(record), false)
                .await
                .unwrap();
        }
        self.tokens.store().latest().await.unwrap();
        (minted.bearers[0].expose().to_owned(), name)
    }

    /// Returns the uid of a cluster, or the one that it will have.
    fn uid_of(&self, cluster: &str) -> String {
        match self.clusters.cache().get(ObjectKey::cluster(cluster)) {
            Some(cluster) => cluster.metadata.uid.unwrap_or_default(),
            None => format!("uid-{cluster}"),
        }
    }

    /// Sets the value of a setting.
    pub(crate) async fn set(&self, name: &str, value: &str) {
        let object = json!({ "metadata": { "name": name }, "value": value });
        let object = serde_json::from_value(object).unwrap();
        self.settings.store().insert(object, false).await.unwrap();
    }

    /// Removes an object.
    pub(crate) async fn remove<T: Object>(&self, registry: &Registry<T>, name: &str) {
        let object = registry
            .store()
            .get(ObjectKey::cluster(name))
            .await
            .unwrap()
            .unwrap();
        registry.store().remove_as_read(&object).await.unwrap();
    }

    /// Changes an object.
    pub(crate) async fn change<T: Object>(
        &self,
        registry: &Registry<T>,
        key: ObjectKey<'_>,
        change: impl FnOnce(&mut T),
    ) {
        let mut object = registry.store().get(key).await.unwrap().unwrap();
        let revision = revision_of(&object).unwrap();
        change(&mut object);
        registry.store().replace(object, revision).await.unwrap();
    }

    /// Opens a connection of a client.
    pub(crate) async fn connect(&self) -> Client {
        self.connect_to("127.0.0.1").await
    }

    /// Opens a connection of a client to this name.
    pub(crate) async fn connect_to(&self, name: &str) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connector = TlsConnector::from(self.authority.client("http/1.1"));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Wire::new(connector.connect(name, stream).await.unwrap())
    }

    /// Sends a request line and headers, `Host` included, to a name.
    pub(crate) async fn send_to(&self, name: &str, line: &str, headers: &[&str]) -> Client {
        let mut client = self.connect_to(name).await;
        let headers = headers.join("\r\n");
        let text = format!("{line} HTTP/1.1\r\n{headers}\r\n\r\n");
        client.send(&text).await;
        client
    }

    /// Gets a path at a name, with this `Authorization` if any.
    pub(crate) async fn get_at(&self, name: &str, path: &str, authorization: &str) -> Answer {
        let host = format!("Host: {name}");
        let authorization = format!("Authorization: {authorization}");
        let headers = match authorization.as_str() {
            "Authorization: " => vec![host.as_str()],
            _ => vec![host.as_str(), authorization.as_str()],
        };
        let line = format!("GET {path}");
        self.send_to(name, &line, &headers).await.answer().await
    }

    /// Sends a request line and headers on a new connection.
    pub(crate) async fn send(&self, line: &str, headers: &[&str]) -> Client {
        let mut client = self.connect().await;
        let mut text = format!("{line} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for header in headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        client.send(&format!("{text}\r\n")).await;
        client
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn call(&self, line: &str, headers: &[&str]) -> Answer {
        self.send(line, headers).await.answer().await
    }

    /// Gets a path with a token.
    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        let authorization = format!("Authorization: Bearer {token}");
        self.call(&format!("GET {path}"), &[&authorization]).await
    }
}

/// Returns the zone of the clusters' host names.
pub(crate) fn zone() -> Zone {
    Zone::new("acme", "k8s.eu.example.com", None).unwrap()
}

/// Returns the managed and the unmanaged host name of a cluster.
pub(crate) fn names(cluster: &str) -> [String; 2] {
    let endpoints = zone().endpoints(cluster);
    [endpoints.managed, endpoints.unmanaged].map(|url| url.replace("https://", ""))
}

/// Parses an object from its JSON.
pub(crate) fn object<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

/// Returns the rest of the server, which answers with the path of the request.
pub(crate) fn inner() -> HttpService {
    HttpService::new(service_fn(|request: Request<Body>| async move {
        let text = format!("inner {}", request.uri());
        Ok(Response::new(Body::from(text)))
    }))
}

/// Starts a cluster that authenticates the gateway's connections, as a real one does.
pub(crate) async fn serve_cluster(
    authority: &Authority,
    cluster: HttpService,
    stop: &CancellationToken,
) -> SocketAddr {
    let service = HttpService::new(service_fn(move |request: Request<Body>| {
        if let Some(peer) = request.extensions().get::<Peer>() {
            peer.authenticated();
        }
        cluster.clone().oneshot(request)
    }));
    serve(authority, service, None, stop).await
}

/// Serves on a free port.
pub(crate) async fn serve(
    authority: &Authority,
    service: HttpService,
    diversion: Option<Arc<dyn Diversion>>,
    stop: &CancellationToken,
) -> SocketAddr {
    let mut served = vec!["127.0.0.1".to_owned(), zone().wildcard()];
    served.extend(["c-1", "c-2"].map(|cluster| names(cluster)[1].clone()));
    served.push("api.acme-prod.k8s.eu.example.com".to_owned());
    let identity = authority.identity_of(served);
    let certificate =
        ReloadableCertificate::load(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap();
    let tls = Arc::new(certificate.server_config(Vec::new()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = Server::new(listener, tls, service);
    if let Some(diversion) = diversion {
        server = server.diverting(diversion);
    }
    tokio::spawn(server.run(stop.clone(), Duration::from_secs(1)));
    address
}
