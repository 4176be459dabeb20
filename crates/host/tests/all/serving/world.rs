//! A host with an APIService, replicas that maintain a certificate for it, and clients that trust
//! the bundle of the host.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::Certificate;
use host::sealing::Sealing;
use host::serving::{Served, Serving, ServingOptions, ServingSeal};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Api, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use machinery::testing::ManualClock;
use machinery::time::Clock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig};
use serde_json::{Value, json};
use storage::sealed::Keyring;
use test_cluster::http::{Request, expect};
use test_cluster::{Options, TestCluster};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub(super) const NAMESPACE: &str = "ns";
pub(super) const SERVICE: &str = "server";
pub(super) const API_SERVICE: &str = "v1.test.example.com";
pub(super) const SECRET: &str = "server-serving";

/// The name of the server in the host's TLS verification.
const NAME: &str = "server.ns.svc";

/// A time limit far above what any test needs.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) struct World {
    pub(super) cluster: TestCluster,
    pub(super) clock: Arc<ManualClock>,
    pub(super) host: Client,
}

/// The time of the clients that verify the certificates of the replicas.
#[derive(Debug)]
struct VerificationTime(Arc<ManualClock>);

impl TimeProvider for VerificationTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = self.0.now().as_second().unsigned_abs();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

impl World {
    /// Starts a host with the namespace, and with an APIService that refers to the server.
    pub(super) async fn start() -> Self {
        let cluster = TestCluster::start(&Options::default()).unwrap();
        let clock = ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap());
        let host = client(&std::fs::read_to_string(cluster.admin_kubeconfig()).unwrap()).await;
        let world = Self {
            cluster,
            clock,
            host,
        };
        world.post(
            "/api/v1/namespaces",
            &json!({"metadata": {"name": NAMESPACE}}),
        );
        world.register(NAMESPACE, SERVICE);
        world
    }

    pub(super) fn post(&self, path: &str, object: &Value) {
        let admin = self.cluster.admin().unwrap();
        expect(admin.post(path, object).unwrap(), 201).unwrap();
    }

    pub(super) fn delete(&self, path: &str) {
        let admin = self.cluster.admin().unwrap();
        expect(admin.send(&Request::new("DELETE", path)).unwrap(), 200).unwrap();
    }

    /// Creates the APIService.
    pub(super) fn register(&self, namespace: &str, service: &str) {
        let object = json!({
            "metadata": {"name": API_SERVICE},
            "spec": {
                "group": "test.example.com", "version": "v1",
                "groupPriorityMinimum": 100, "versionPriority": 100,
                "service": {"namespace": namespace, "name": service},
            },
        });
        self.post("/apis/apiregistration.k8s.io/v1/apiservices", &object);
    }

    /// Creates a replica with all permissions.
    pub(super) fn replica(&self) -> Arc<Serving> {
        self.replica_as(self.host.clone())
    }

    pub(super) fn replica_as(&self, client: Client) -> Arc<Serving> {
        self.build(client, Keyring::of_key(&[7; 32]).unwrap())
    }

    /// Creates a replica with these keys.
    pub(super) fn replica_with(&self, keyring: Keyring) -> Arc<Serving> {
        self.build(self.host.clone(), keyring)
    }

    fn build(&self, client: Client, keyring: Keyring) -> Arc<Serving> {
        let options = ServingOptions {
            namespace: NAMESPACE.to_owned(),
            service: SERVICE.to_owned(),
            other_services: vec!["gateway".to_owned()],
            external_hosts: vec!["users.example.com".to_owned(), "10.1.2.3".to_owned()],
            api_service: API_SERVICE.to_owned(),
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let seal = ServingSeal {
            keyring: Arc::new(keyring),
            sealing: Sealing::new(self.host.clone(), NAMESPACE),
        };
        Arc::new(Serving::new(client, clock, &options, seal))
    }

    /// Returns a client of this user, who has only the permissions of existing roles.
    pub(super) async fn client_as(&self, user: &str) -> Client {
        let pair = self.cluster.client_certificate(user, None).unwrap();
        let file = json!({
            "clusters": [{"name": "host", "cluster": {
                "server": self.cluster.url(),
                "certificate-authority-data": STANDARD.encode(self.cluster.ca_pem()),
            }}],
            "users": [{"name": "user", "user": {
                "client-certificate-data": STANDARD.encode(pair.certificate),
                "client-key-data": STANDARD.encode(pair.key),
            }}],
            "contexts": [{"name": "host", "context": {"cluster": "host", "user": "user"}}],
            "current-context": "host",
        });
        client(&file.to_string()).await
    }

    pub(super) fn registrations(&self) -> Api<APIService> {
        Api::all(self.host.clone())
    }

    pub(super) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.host.clone(), NAMESPACE)
    }

    /// Returns the CA bundle of the host as PEM. It is empty if the host trusts no CA.
    pub(super) async fn bundle(&self) -> Vec<u8> {
        let found = self.registrations().get(API_SERVICE).await.unwrap();
        let bundle = found.spec.and_then(|spec| spec.ca_bundle);
        bundle.map(|bundle| bundle.0).unwrap_or_default()
    }

    pub(super) async fn patch_registration(&self, patch: Value) {
        let patch = Patch::Merge(patch);
        let (registrations, params) = (self.registrations(), PatchParams::default());
        let patched = registrations.patch(API_SERVICE, &params, &patch).await;
        patched.unwrap();
    }

    /// Returns the entries of the Secret that hold CAs, in the order of the bundle, and the number
    /// of CAs that the host trusts.
    pub(super) async fn phase(&self) -> (Vec<&'static str>, usize) {
        let secret = self.secrets().get(SECRET).await.unwrap();
        let data = secret.data.unwrap();
        let entries = ["ca.crt", "next-ca.crt", "previous-ca.crt"];
        let held = entries
            .into_iter()
            .filter(|entry| data.contains_key(*entry));
        let trusted = Certificate::bundle_from_pem(&self.bundle().await).unwrap();
        (held.collect(), trusted.len())
    }
}

async fn client(kubeconfig: &str) -> Client {
    let file = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

/// Returns the certificate that a replica serves.
pub(super) fn served(replica: &Serving) -> Served {
    replica.served().borrow().clone().expect("it serves")
}

/// Waits until the condition holds.
pub(super) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(LIMIT, wait).await;
    waited.unwrap_or_else(|_| panic!("{what}: not so after {LIMIT:?}"));
}

/// Serves TLS with the replica's current certificate for each handshake. Returns the port.
pub(super) async fn listen(replica: &Serving) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = replica.served();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let pair = served.borrow().clone().expect("it serves").pair;
            let chain = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(pair.key.expose().as_bytes()).unwrap();
            let provider = rustls::crypto::aws_lc_rs::default_provider().into();
            let config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![chain], key)
                .unwrap();
            // If the client aborts, it reports the error itself.
            let _ = TlsAcceptor::from(Arc::new(config)).accept(socket).await;
        }
    });
    port
}

/// Connects like the host, with this bundle.
pub(super) async fn connect(
    port: u16,
    bundle: &[u8],
    clock: &Arc<ManualClock>,
) -> std::io::Result<()> {
    let provider = rustls::crypto::aws_lc_rs::default_provider().into();
    let clock = Arc::new(VerificationTime(Arc::clone(clock)));
    let config = ClientConfig::builder_with_details(provider, clock)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(certificates::roots::from_pem(bundle).unwrap())
        .with_no_client_auth();
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from(NAME).unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, socket).await.map(drop)
}
