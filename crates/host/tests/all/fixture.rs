//! A host, and the components under test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use host::mirror::{Mirror, MirrorOptions};
use host::records::{DateKey, Records, RecordsOptions};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use kube::Client;
use kube::client::Body;
use machinery::time::{Clock, SystemClock};
use serde_json::{Value, json};
use storage::cache::{Cache, CacheBuilder, CacheOptions, Collection, Decode};
use storage::{Key, Revision, Store};
use test_cluster::{Options, TestCluster, http as plain};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::BoxError;

/// A cluster, its client, and a counter for unique names.
pub(crate) struct Host {
    pub(crate) cluster: TestCluster,
    pub(crate) client: Client,
    next: AtomicUsize,
}

/// A component that runs until this is dropped.
pub(crate) struct Running<T> {
    it: Arc<T>,
    stop: CancellationToken,
    _stops: DropGuard,
}

impl<T> Running<T> {
    fn new(it: T) -> Self {
        let stop = CancellationToken::new();
        Self {
            it: Arc::new(it),
            _stops: stop.clone().drop_guard(),
            stop,
        }
    }
}

impl<T> std::ops::Deref for Running<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.it
    }
}

/// The things in a store, cached as text.
pub(crate) struct Things {
    pub(crate) collection: Collection<String>,
    _stop: DropGuard,
}

/// The prefix of the keys that [`key`] creates.
pub(crate) const THINGS: &str = "/test.example/things/";

pub(crate) fn key(name: &str) -> Key {
    Key::parse(&format!("{THINGS}{name}")).expect("a well-formed key")
}

pub(crate) fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

struct AsText;

impl Decode<String> for AsText {
    fn decode(&self, _: &Key, value: &Bytes, _: Revision) -> String {
        String::from_utf8_lossy(value).into_owned()
    }
}

impl Things {
    pub(crate) async fn of(store: Arc<dyn Store>, prefix: &str) -> Self {
        let mut builder = CacheBuilder::new(store, CacheOptions::default());
        let collection = builder.collection(prefix, Arc::new(AsText));
        let cache: Cache<String> = builder.start().await.expect("the store answers");
        let stop = CancellationToken::new();
        tokio::spawn({
            let stop = stop.clone();
            async move { cache.run(stop).await }
        });
        Self {
            collection,
            _stop: stop.drop_guard(),
        }
    }

    /// Returns the newest state as `name=text`.
    pub(crate) async fn latest(&self) -> Vec<String> {
        let view = self.collection.latest().await.expect("it catches up");
        view.iter()
            .map(|(key, text)| format!("{}={text}", key.name()))
            .collect()
    }
}

impl Host {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let cluster = TestCluster::start(&options(arguments)).expect("a cluster");
        let client = host::client::connect(Some(&cluster.admin_kubeconfig())).await;
        Self {
            cluster,
            client: client.expect("a client"),
            next: AtomicUsize::new(0),
        }
    }

    /// Returns a unique name.
    pub(crate) fn name(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns a client of a user without any permissions.
    pub(crate) async fn client_of(&self, user: &str) -> Client {
        let certificate = self.cluster.client_certificate(user, None);
        let certificate = certificate.expect("a certificate");
        let kubeconfig = json!({
            "clusters": [{"name": "c", "cluster": {
                "server": self.cluster.url(),
                "certificate-authority-data": STANDARD.encode(self.cluster.ca_pem()),
            }}],
            "users": [{"name": "u", "user": {
                "client-certificate-data": STANDARD.encode(certificate.certificate),
                "client-key-data": STANDARD.encode(certificate.key),
            }}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
        });
        let file = self.cluster.folder().join(format!("{user}.kubeconfig"));
        std::fs::write(&file, kubeconfig.to_string()).expect("it is written");
        let client = host::client::connect(Some(&file)).await;
        client.expect("a client")
    }

    pub(crate) fn namespace(&self) -> String {
        let name = self.name("store");
        self.make_namespace(&name);
        name
    }

    pub(crate) fn make_namespace(&self, name: &str) {
        let namespace = json!({"metadata": {"name": name}});
        self.post("/api/v1/namespaces", &namespace);
    }

    pub(crate) fn post(&self, path: &str, object: &Value) {
        let admin = self.cluster.admin().expect("a client");
        let answer = admin.post(path, object).expect("an answer");
        plain::expect(answer, 201).expect("it is made");
    }

    pub(crate) fn patch(&self, path: &str, patch: &Value) {
        let request = plain::Request::new("PATCH", path)
            .body("application/merge-patch+json", patch.to_string());
        self.send(&request);
    }

    pub(crate) fn delete(&self, path: &str) {
        self.send(&plain::Request::new("DELETE", path));
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.send(&plain::Request::get(path));
        serde_json::from_str(&answer).expect("JSON")
    }

    fn send(&self, request: &plain::Request) -> String {
        let admin = self.cluster.admin().expect("a client");
        let answer = admin.send(request).expect("an answer");
        let answer = plain::expect(answer, 200).expect("it is done");
        answer.text().to_string()
    }

    pub(crate) fn records(&self, namespace: &str) -> Running<Records> {
        self.records_by(self.client.clone(), namespace)
    }

    pub(crate) fn records_by(&self, client: Client, namespace: &str) -> Running<Records> {
        self.records_at(client, namespace, Arc::new(SystemClock))
    }

    /// Starts records with this clock of the local machine.
    pub(crate) fn records_at(
        &self,
        client: Client,
        namespace: &str,
        clock: Arc<dyn Clock>,
    ) -> Running<Records> {
        let options = RecordsOptions {
            namespace: namespace.to_owned(),
            instance: self.name("test"),
            dates: DateKey::new(&DATE_KEY),
            clock,
        };
        let records = Running::new(Records::new(client, options));
        let (running, stop) = (Arc::clone(&records), records.stop.clone());
        tokio::spawn(async move { running.run(stop).await });
        records
    }

    pub(crate) fn mirror(&self, options: MirrorOptions) -> Running<Mirror> {
        Self::mirror_by(self.client.clone(), options)
    }

    pub(crate) fn mirror_by(client: Client, options: MirrorOptions) -> Running<Mirror> {
        let mirror = Running::new(Mirror::new(client, options));
        let (running, stop) = (Arc::clone(&mirror), mirror.stop.clone());
        tokio::spawn(async move { running.run(stop).await });
        mirror
    }
}

/// The key of the dates in tests.
pub(crate) const DATE_KEY: [u8; 32] = [7; 32];

/// A simulated answer of the host.
pub(crate) type Faked = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// Returns a client that uses the answers of `fake`, and sends all other requests.
pub(crate) fn faulty(
    client: Client,
    fake: impl Fn(&Request<Body>) -> Option<Faked> + Clone + Send + Sync + 'static,
) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, faked) = (client.clone(), fake(&request));
        async move {
            match faked {
                Some(faked) => Ok(faked),
                None => {
                    let answer = client.send(request).await?;
                    Ok::<_, kube::Error>(answer.map(|body| body.map_err(Into::into).boxed_unsync()))
                }
            }
        }
    });
    Client::new(service, "default")
}

/// Returns an answer without a body.
pub(crate) fn answer(code: u16, retry_after: Option<&str>) -> Faked {
    let mut response = Response::builder().status(code);
    if let Some(seconds) = retry_after {
        response = response.header("Retry-After", seconds);
    }
    let body = Empty::new().map_err(|never| match never {});
    response.body(body.boxed_unsync()).expect("a response")
}

pub(crate) fn is_watch(request: &Request<Body>) -> bool {
    let query = request.uri().query();
    query.is_some_and(|query| query.contains("watch=true"))
}

pub(crate) fn options(arguments: &[&str]) -> Options {
    Options {
        arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
        ..Options::default()
    }
}

/// Waits until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{what}: not so after half a minute");
}
