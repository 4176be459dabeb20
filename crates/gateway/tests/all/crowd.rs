//! Users of one cluster do not delay each other.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::management::Cluster as ClusterObject;
use apiserver::server::HttpService;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use gateway::upstream::{Options, UnreadBounds};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use machinery::meta::ObjectKey;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tower::service_fn;

use crate::authority::Authority;
use crate::client::PATIENCE;
use crate::cluster::Cluster;
use crate::world::{World, serve_cluster};

const MIB: usize = 1024 * 1024;

/// A world with cluster `c-1` over HTTP/2: `/endless` never ends, `/held` neither, and begins only
/// when a permit is added to `held`. Other paths are answered at once.
struct Scene {
    world: World,
    held: Arc<Semaphore>,
    /// The endless answers in progress at the cluster.
    under_way: Arc<AtomicUsize>,
}

impl Scene {
    async fn with(options: Options) -> Self {
        let world = World::with(options).await;
        let under_way = Arc::new(AtomicUsize::new(0));
        let held = Arc::new(Semaphore::new(0));
        let address = endless(&world, &under_way, &held).await;
        let connection = world.connection(&format!("https://{address}"));
        world.add_with("c-1", connection).await;
        world.add_credential("c-1").await;
        Self {
            world,
            held,
            under_way,
        }
    }

    /// Waits until this many endless answers are in progress.
    async fn wait(&self, count: usize) {
        let wait = async {
            while self.under_way.load(Ordering::SeqCst) != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        let now = self.under_way.load(Ordering::SeqCst);
        assert!(waited.is_ok(), "{now} answers are under way");
    }

    /// Starts an endless answer to a user who does not read it.
    async fn begin(&self, reader: &mut Unreader) -> Response<Incoming> {
        let answer = self.request(reader, "/endless").await.unwrap();
        assert_eq!(answer.status(), 200);
        answer
    }

    /// Sends a request of a user who does not read the answer.
    fn request(
        &self,
        reader: &mut Unreader,
        path: &str,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        let request = Request::get(format!(
            "https://{}/k8s/clusters/c-1{path}",
            self.world.address
        ));
        let request = request
            .header("authorization", format!("Bearer {}", reader.token))
            .body(Empty::new())
            .unwrap();
        reader.sender.send_request(request)
    }

    /// Connects as a user whose client reads no byte of an answer.
    async fn unreader(&self, user: &str) -> Unreader {
        let stream = TcpStream::connect(self.world.address).await.unwrap();
        let connector = TlsConnector::from(self.world.authority.client("h2"));
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(0)
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Unreader {
            token: self.world.mint(user, &["c-1"]).await,
            sender,
        }
    }
}

struct Unreader {
    token: String,
    sender: SendRequest<Empty<Bytes>>,
}

/// Decrements the count when the cluster drops an answer.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn endless(world: &World, under_way: &Arc<AtomicUsize>, held: &Arc<Semaphore>) -> SocketAddr {
    let (under_way, held) = (Arc::clone(under_way), Arc::clone(held));
    let service = HttpService::new(service_fn(move |request: Request<Body>| {
        let (under_way, held) = (Arc::clone(&under_way), Arc::clone(&held));
        async move {
            let path = request.uri().path();
            if path != "/endless" && path != "/held" {
                return Ok(Response::new(Body::from("ok")));
            }
            under_way.fetch_add(1, Ordering::SeqCst);
            let counted = UnderWay(under_way);
            if path == "/held" {
                held.acquire().await.unwrap().forget();
            }
            let parts = stream::repeat_with(move || {
                let _counted = &counted;
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b'a'; 16 * 1024])))
            });
            Ok(Response::new(Body::new(StreamBody::new(parts))))
        }
    }));
    serve_cluster(&world.authority, service, &world.stop).await
}

fn bounded(per_user: usize, in_all: usize) -> Options {
    Options {
        unread: UnreadBounds {
            per_user,
            in_all,
            patience: Duration::ZERO,
            ..UnreadBounds::default()
        },
        ..Options::default()
    }
}

#[tokio::test]
async fn what_a_user_does_not_read_keeps_no_other_user_and_no_probe_waiting() {
    let scene = Scene::with(Options::default()).await;
    let mut alice = scene.unreader("alice").await;
    let mut unread = Vec::new();
    for _ in 0..30 {
        unread.push(scene.begin(&mut alice).await);
    }
    let bob = scene.world.mint("bob", &["c-1"]).await;
    for _ in 0..3 {
        let answer = scene.world.get("/k8s/clusters/c-1/api", &bob).await;
        assert_eq!((answer.code, answer.body.as_str()), (200, "ok"));
    }
    let request = Request::get("/version").body(Body::empty()).unwrap();
    let upstreams = scene.world.gateway.upstreams();
    let probed = upstreams.request("c-1", request).await.unwrap();
    let probed = probed.into_body().collect().await.unwrap();
    assert_eq!(probed.to_bytes(), "ok");
    scene.wait(30).await;
}

#[tokio::test]
async fn the_answer_that_waited_longest_is_cut_where_a_user_does_not_read() {
    let scene = Scene::with(bounded(3 * MIB, 100 * MIB)).await;
    let mut alice = scene.unreader("alice").await;
    let mut bob = scene.unreader("bob").await;
    let of_bob = scene.begin(&mut bob).await;
    let mut unread = Vec::new();
    for _ in 0..5 {
        unread.push(scene.begin(&mut alice).await);
    }
    scene.wait(4).await;
    // The streams of the first two also end for the client, once it reads.
    drop(unread);
    scene.wait(1).await;
    drop(of_bob);
    scene.wait(0).await;
}

#[tokio::test]
async fn a_cut_answer_ends_the_connection_of_its_http1_client() {
    let scene = Scene::with(bounded(MIB, 100 * MIB)).await;
    let token = scene.world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let line = "GET /k8s/clusters/c-1/endless";
    let mut first = scene.world.send(line, &[&authorization]).await;
    scene.wait(1).await;
    let second = scene.world.send(line, &[&authorization]).await;
    // A connection that the server has closed is reset, which the next write reports.
    let is_closed = async {
        while first.stream.write_all(b" ").await.is_ok() && first.stream.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let closed = tokio::time::timeout(PATIENCE, is_closed).await;
    assert!(closed.is_ok(), "the connection is open");
    scene.wait(1).await;
    drop(second);
    scene.wait(0).await;
}

#[tokio::test]
async fn a_user_who_has_not_read_is_refused_until_some_is_read_or_has_waited_long() {
    // Two answers reach the bound per user, or as much as is left of the total.
    for mut options in [bounded(2 * MIB, 100 * MIB), bounded(100 * MIB, 4 * MIB)] {
        options.unread.patience = Duration::from_secs(3600);
        refused_at_two(&Scene::with(options).await).await;
    }
}

async fn refused_at_two(scene: &Scene) {
    let mut alice = scene.unreader("alice").await;
    let mut unread = vec![scene.begin(&mut alice).await, scene.begin(&mut alice).await];
    let refused = scene.world.get("/k8s/clusters/c-1/api", &alice.token).await;
    let message = r#"cluster "c-1" is not available: too many bytes of responses to you are unread: read the responses, or close some of them"#;
    assert_eq!((refused.code, refused.message()), (429, message.to_owned()));
    let mut bob = scene.unreader("bob").await;
    let _of_bob = scene.begin(&mut bob).await;
    unread.pop();
    scene.wait(2).await;
    unread.push(scene.begin(&mut alice).await);
    scene.wait(3).await;
}

#[tokio::test]
async fn few_requests_of_a_user_wait_for_a_cluster_at_the_same_time() {
    let mut options = bounded(100 * MIB, 200 * MIB);
    options.unread.turns = 2;
    options.unread.max_wait = Duration::from_secs(3600);
    let scene = Scene::with(options).await;
    let mut alice = scene.unreader("alice").await;
    let requests: Vec<_> = (0..4)
        .map(|_| tokio::spawn(scene.request(&mut alice, "/held")))
        .collect();
    scene.wait(2).await;
    let mut bob = scene.unreader("bob").await;
    let _of_bob = scene.begin(&mut bob).await;
    scene.wait(3).await;
    // Each answer that begins gives its turn to another request.
    scene.held.add_permits(1);
    scene.wait(4).await;
    scene.held.add_permits(3);
    scene.wait(5).await;
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_request_without_a_turn_in_time_is_refused() {
    let mut options = bounded(100 * MIB, 200 * MIB);
    options.unread.turns = 2;
    options.unread.max_wait = Duration::from_millis(1);
    let scene = Scene::with(options).await;
    let mut alice = scene.unreader("alice").await;
    let held: Vec<_> = (0..2)
        .map(|_| tokio::spawn(scene.request(&mut alice, "/held")))
        .collect();
    scene.wait(2).await;
    let refused = scene.world.get("/k8s/clusters/c-1/api", &alice.token).await;
    let message =
        r#"cluster "c-1" is not available: too many of your requests to it are in flight"#;
    assert_eq!((refused.code, refused.message()), (429, message.to_owned()));
    scene.wait(2).await;
    drop(held);
}

#[tokio::test]
async fn another_authority_ends_answers_that_share_a_connection_and_are_not_read() {
    let scene = Scene::with(Options::default()).await;
    let mut alice = scene.unreader("alice").await;
    let _unread = [scene.begin(&mut alice).await, scene.begin(&mut alice).await];
    scene.wait(2).await;
    let other = STANDARD.encode(Authority::new("other").pem);
    let rotate = |object: &mut ClusterObject| {
        object.spec.connection.as_mut().unwrap().ca_data = other;
    };
    let world = &scene.world;
    world
        .change(&world.clusters, ObjectKey::cluster("c-1"), rotate)
        .await;
    scene.wait(0).await;
}

#[tokio::test]
async fn past_the_bound_of_all_users_the_user_with_the_most_unread_loses_answers() {
    let scene = Scene::with(bounded(3 * MIB, 4 * MIB)).await;
    let mut alice = scene.unreader("alice").await;
    let mut bob = scene.unreader("bob").await;
    let mut of_alice = Vec::new();
    for _ in 0..3 {
        of_alice.push(scene.begin(&mut alice).await);
    }
    let of_bob = [scene.begin(&mut bob).await, scene.begin(&mut bob).await];
    scene.wait(4).await;
    drop(of_alice);
    scene.wait(2).await;
    drop(of_bob);
    scene.wait(0).await;
}

#[tokio::test]
async fn a_user_holds_no_more_places_at_a_cluster_than_are_free() {
    let options = Options {
        max_in_flight: 4,
        ..Options::default()
    };
    let world = World::with(options).await;
    let cluster = Cluster::start(world.tls(), |mut peer| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
            .await;
        while peer.fill().await {}
    })
    .await;
    world.add("c-1", &cluster).await;
    let mut watches = Vec::new();
    for (user, code) in [("alice", 200), ("alice", 200), ("alice", 429), ("bob", 200)] {
        let token = world.mint(user, &["c-1"]).await;
        let authorization = format!("Authorization: Bearer {token}");
        let line = "GET /k8s/clusters/c-1/api/v1/pods?watch=1";
        let mut client = world.send(line, &[&authorization]).await;
        let head = client.head().await.unwrap().to_ascii_lowercase();
        assert!(
            head.starts_with(&format!("http/1.1 {code} ")),
            "{user} {head}"
        );
        if code == 429 {
            assert!(head.contains("retry-after: 1\r\n"), "{head}");
            let body = client.body(&head, true).await;
            assert!(
                body.contains("too many of your requests to it are in flight"),
                "{body}"
            );
        }
        watches.push(client);
    }
}
