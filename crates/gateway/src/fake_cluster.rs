//! A scriptable cluster over real TLS, and registries with a connection to it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use api::management::Cluster;
use api::management::cluster::ClusterConnection;
use apiserver::registry::Registry;
use apiserver::testing::{Fixture, NOW, TestServer};
use auth::AuthorizerUnion;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Secret;
use machinery::meta::ObjectKey;
use machinery::testing::ManualClock;
use management::cluster_secret::{Binding, ClusterSecrets, Purpose};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::upstream::{Options, Upstreams};

/// The namespace of Secrets.
pub(crate) const NAMESPACE: &str = "kubeconfig-apiserver";

/// The path of self subject access reviews.
pub(crate) const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// A cluster whose answers a test sets.
pub(crate) struct FakeCluster {
    pub(crate) address: SocketAddr,
    /// Its certificate authority, as PEM in base64.
    pub(crate) ca_data: String,
    said: Arc<Said>,
}

/// Its answers, and the requests it received.
#[derive(Default)]
struct Said {
    answers: Mutex<HashMap<String, Responder>>,
    asked: Mutex<Vec<Asked>>,
}

/// A received request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) authorization: String,
    pub(crate) body: Value,
}

type Responder = Arc<dyn Fn(&Value) -> (u16, Value) + Send + Sync>;

impl FakeCluster {
    /// Starts a healthy cluster of version v1.36.3, whose certificate is for 127.0.0.1.
    pub(crate) async fn start() -> Self {
        Self::start_as("127.0.0.1").await
    }

    /// Starts a cluster whose certificate is for this name.
    pub(crate) async fn start_as(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (tls, ca) = identity(name);
        let fake = Self {
            address: listener.local_addr().unwrap(),
            ca_data: STANDARD.encode(ca),
            said: Arc::default(),
        };
        fake.answer("/version", |_| (200, json!({ "gitVersion": "v1.36.3" })));
        fake.answer(REVIEWS, |_| (201, json!({ "status": { "allowed": true } })));
        tokio::spawn(serve(listener, tls, Arc::clone(&fake.said)));
        fake
    }

    /// Sets the answer for a path. For code 0 it never answers.
    pub(crate) fn answer(
        &self,
        path: &str,
        answer: impl Fn(&Value) -> (u16, Value) + Send + Sync + 'static,
    ) {
        let mut answers = self.said.answers.lock().unwrap();
        answers.insert(path.to_owned(), Arc::new(answer));
    }

    /// Returns the requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.said.asked.lock().unwrap().clone()
    }

    /// Returns the connection to it as the cluster of this name.
    pub(crate) fn connection(&self, cluster: &str) -> ClusterConnection {
        let credential = Purpose::Gateway.secret_name(cluster);
        serde_json::from_value(json!({
            "server": format!("https://{}", self.address),
            "caData": self.ca_data,
            "credentialSecretRef": { "namespace": NAMESPACE, "name": credential },
        }))
        .unwrap()
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, said: Arc<Said>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, said) = (tls.clone(), Arc::clone(&said));
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let service = service_fn(|request| reply(request, Arc::clone(&said)));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            let _ = connection.await;
        });
    }
}

async fn reply(
    request: Request<Incoming>,
    said: Arc<Said>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let authorization = head.headers.get("authorization");
    said.asked.lock().unwrap().push(Asked {
        line: format!("{} {}", head.method, head.uri),
        authorization: authorization
            .map_or("", |it| it.to_str().unwrap())
            .to_owned(),
        body: body.clone(),
    });
    let answer = said.answers.lock().unwrap().get(head.uri.path()).cloned();
    let (code, answer) = answer.map_or((404, Value::Null), |answer| answer(&body));
    if code == 0 {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(Body::from(answer.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    Ok(response)
}

/// Creates a certificate for a name, and the PEM of its issuing authority.
fn identity(name: &str) -> (TlsAcceptor, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

/// The gateway's own server: its clusters and Secrets, and the time.
pub(crate) struct Home {
    pub(crate) clusters: Registry<Cluster>,
    pub(crate) secrets: ClusterSecrets,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) clock: Arc<ManualClock>,
    _server: TestServer,
}

impl Home {
    /// Starts without clusters.
    pub(crate) async fn start() -> Self {
        let mut fixture = Fixture::new();
        let registries = &mut fixture.registries;
        let clusters = registries.add(
            management::cluster::description(),
            management::cluster::INDEX,
        );
        let secrets = registries.add(builtins::secret::description(), builtins::secret::INDEX);
        let secrets = ClusterSecrets::new(secrets, NAMESPACE);
        let authorizer = Arc::new(AuthorizerUnion::new(Vec::new()));
        let server = fixture.start(authorizer, |builder| builder, async {}).await;
        let upstreams = Upstreams::new(clusters.clone(), secrets.clone(), Options::default());
        Self {
            clusters,
            secrets,
            upstreams: Arc::new(upstreams),
            clock: ManualClock::at(NOW),
            _server: server,
        }
    }

    /// Creates a cluster, and binds the Secret of its credential to it.
    pub(crate) async fn add(&self, name: &str, connection: Option<ClusterConnection>) {
        let mut cluster = Cluster::default();
        cluster.metadata.name = Some(name.to_owned());
        cluster.spec.connection = connection;
        assert!(self.clusters.store().seed(cluster).await.unwrap());
        self.bind(name).await;
    }

    /// Binds the Secret of a cluster's credential, if it exists, to the cluster in its current
    /// form.
    pub(crate) async fn bind(&self, name: &str) {
        let secrets = self.secrets.registry();
        let secret = Purpose::Gateway.secret_name(name);
        let Some(stored) = secrets
            .store()
            .find(ObjectKey::namespaced(NAMESPACE, &secret))
            .await
            .unwrap()
        else {
            return;
        };
        let mut secret = secrets.decode(&stored).unwrap();
        let binding = Binding::of(&self.cluster(name), Purpose::Gateway);
        secret.metadata.annotations = Some(binding.annotations());
        assert!(
            secrets
                .store()
                .replace(secret, stored.revision())
                .await
                .is_ok()
        );
    }

    /// Changes a cluster.
    pub(crate) async fn change(&self, name: &str, change: impl FnOnce(&mut Cluster)) {
        let stored = self
            .clusters
            .store()
            .find(ObjectKey::cluster(name))
            .await
            .unwrap()
            .unwrap();
        let mut cluster = self.clusters.decode(&stored).unwrap();
        change(&mut cluster);
        let replaced = self
            .clusters
            .store()
            .replace(cluster, stored.revision())
            .await;
        assert!(replaced.is_ok());
    }

    /// Creates the Secret with the token for a cluster. It is bound when the cluster is added.
    pub(crate) async fn add_token(&self, cluster: &str, token: &str) {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": { "name": Purpose::Gateway.secret_name(cluster), "namespace": NAMESPACE },
            "data": { "token": STANDARD.encode(token) },
        }))
        .unwrap();
        assert!(self.secrets.registry().store().seed(secret).await.unwrap());
    }

    /// Returns the token in the Secret of a cluster.
    pub(crate) fn token(&self, cluster: &str) -> String {
        let name = Purpose::Gateway.secret_name(cluster);
        let secret = self
            .secrets
            .registry()
            .cache()
            .get(ObjectKey::namespaced(NAMESPACE, &name))
            .unwrap();
        let data = secret.data.unwrap();
        String::from_utf8(data["token"].0.clone()).unwrap()
    }

    /// Returns the current cluster object.
    pub(crate) fn cluster(&self, name: &str) -> Cluster {
        self.clusters.cache().get(ObjectKey::cluster(name)).unwrap()
    }
}
