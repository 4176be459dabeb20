//! Only requests that a cluster did not process are sent again.

use gateway::upstream::Options;

use crate::client::Answer;
use crate::cluster::Cluster;
use crate::http2_cluster::{
    ENHANCE_YOUR_CALM, Http2, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, Requests, start,
};
use crate::world::World;

const BODY: &str = "{\"kind\":\"ConfigMap\"}";

const UNKNOWN: &str = "cluster \"c-1\" is not available: the connection to it broke before it responded, so it may have processed the request";
const UNPROCESSED: &str =
    "cluster \"c-1\" is not available: it did not process the request: send the request again";

/// A world with cluster `c-1`, which runs a script for each connection.
struct Scene {
    world: World,
    token: String,
    requests: Requests,
    _cluster: Cluster,
}

impl Scene {
    async fn with<F: Future<Output = ()> + Send + 'static>(
        options: Options,
        script: impl Fn(Http2) -> F + Send + Sync + 'static,
    ) -> Self {
        let world = World::with(options).await;
        let (cluster, requests) = start(&world, script).await;
        world.add("c-1", &cluster).await;
        let token = world.mint("alice", &["c-1"]).await;
        Self {
            world,
            token,
            requests,
            _cluster: cluster,
        }
    }

    async fn start<F: Future<Output = ()> + Send + 'static>(
        script: impl Fn(Http2) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::with(Options::default(), script).await
    }

    async fn post(&self, body: &str) -> Answer {
        let authorization = format!("Authorization: Bearer {}", self.token);
        let length = format!("Content-Length: {}", body.len());
        let line = "POST /k8s/clusters/c-1/api/v1/namespaces/n/configmaps";
        let mut client = self.world.send(line, &[&authorization, &length]).await;
        client.send(body).await;
        client.answer().await
    }

    async fn get(&self, path: &str) -> Answer {
        let path = format!("/k8s/clusters/c-1{path}");
        self.world.get(&path, &self.token).await
    }

    /// Returns the requests that the cluster received, by connection.
    fn seen(&self) -> Vec<(usize, String)> {
        self.requests.lock().unwrap().clone()
    }
}

fn posted(connections: &[usize]) -> Vec<(usize, String)> {
    connections
        .iter()
        .map(|number| (*number, BODY.to_owned()))
        .collect()
}

/// Answers all requests.
async fn serve(mut http2: Http2) {
    while let Some(stream) = http2.request().await {
        http2.answer(stream, "ok").await;
    }
}

#[tokio::test]
async fn a_stream_above_the_last_of_a_goaway_is_sent_again() {
    for code in [NO_ERROR, ENHANCE_YOUR_CALM] {
        let scene = Scene::start(move |mut http2| async move {
            if http2.number == 0 {
                http2.request().await;
                http2.go_away(0, code).await;
                http2.wait_for_end().await;
            }
            serve(http2).await;
        })
        .await;
        let answer = scene.post(BODY).await;
        assert_eq!((answer.code, answer.body.as_str()), (200, "ok"), "{code}");
        assert_eq!(scene.seen(), posted(&[0, 1]), "{code}");
    }
}

#[tokio::test]
async fn a_stream_that_a_goaway_leaves_gets_its_answer_and_the_next_request_another_connection() {
    let scene = Scene::start(|mut http2| async move {
        if http2.number == 0 {
            let stream = http2.request().await.unwrap();
            http2.go_away(stream, NO_ERROR).await;
            http2.answer(stream, "late").await;
            http2.wait_for_end().await;
        }
        serve(http2).await;
    })
    .await;
    assert_eq!(scene.post(BODY).await.body, "late");
    assert_eq!(scene.post(BODY).await.body, "ok");
    assert_eq!(scene.seen(), posted(&[0, 1]));
}

#[tokio::test]
async fn a_stream_that_may_have_been_processed_is_not_sent_again() {
    let scene = Scene::start(|mut http2| async move {
        let stream = http2.request().await.unwrap();
        http2.go_away(stream, NO_ERROR).await;
    })
    .await;
    let answer = scene.post(BODY).await;
    assert_eq!(answer.summary(), (503, UNKNOWN.to_owned()));
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(scene.seen(), posted(&[0]));
}

#[tokio::test]
async fn a_stream_that_the_cluster_gave_up_is_not_sent_again() {
    let scene = Scene::start(|mut http2| async move {
        while let Some(stream) = http2.request().await {
            http2.reset(stream, INTERNAL_ERROR).await;
        }
    })
    .await;
    let answer = scene.post(BODY).await;
    assert_eq!(answer.summary(), (503, UNKNOWN.to_owned()));
    assert_eq!(scene.get("/api").await.code, 503);
    assert_eq!(scene.seen().len(), 2);
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_on_another_connection() {
    let scene = Scene::start(|mut http2| async move {
        if http2.number == 0 {
            let stream = http2.request().await.unwrap();
            http2.reset(stream, REFUSED_STREAM).await;
        }
        serve(http2).await;
    })
    .await;
    assert_eq!(scene.post(BODY).await.body, "ok");
    assert_eq!(scene.seen(), posted(&[0, 1]));
}

#[tokio::test]
async fn attempts_are_bounded_and_the_client_is_told_to_try_again() {
    let scene = Scene::start(|mut http2| async move {
        while let Some(stream) = http2.request().await {
            http2.reset(stream, REFUSED_STREAM).await;
        }
    })
    .await;
    let answer = scene.post(BODY).await;
    assert_eq!(answer.summary(), (429, UNPROCESSED.to_owned()));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let status: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(status["reason"], "TooManyRequests");
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
    assert_eq!(scene.seen().len(), 6);
}

#[tokio::test]
async fn a_body_that_is_too_long_to_keep_is_sent_once() {
    let small = |kept_body, kept_bodies| Options {
        kept_body,
        kept_bodies,
        ..Options::default()
    };
    for options in [small(4, 1000), small(1000, 4)] {
        let scene = Scene::with(options, |mut http2| async move {
            while let Some(stream) = http2.request().await {
                http2.reset(stream, REFUSED_STREAM).await;
            }
        })
        .await;
        let answer = scene.post(BODY).await;
        assert_eq!(answer.summary(), (429, UNPROCESSED.to_owned()));
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(scene.seen(), posted(&[0]));
    }
}

#[tokio::test]
async fn a_watch_is_sent_again_too() {
    let scene = Scene::start(|mut http2| async move {
        let stream = http2.request().await.unwrap();
        if http2.number == 0 {
            http2.go_away(0, NO_ERROR).await;
        } else {
            http2.begin(stream).await;
            http2.data(stream, b"event").await;
        }
        http2.wait_for_end().await;
    })
    .await;
    let authorization = format!("Authorization: Bearer {}", scene.token);
    let line = "GET /k8s/clusters/c-1/api/v1/pods?watch=1";
    let mut client = scene.world.send(line, &[&authorization]).await;
    assert!(client.head().await.unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(client.chunk().await, "event");
}

#[tokio::test]
async fn a_connection_that_is_lost_costs_a_read_nothing_and_a_write_an_error() {
    let scene = Scene::start(|mut http2| async move {
        let first = http2.request().await.unwrap();
        http2.answer(first, "ok").await;
        // The connection of the second one is closed.
        http2.request().await;
    })
    .await;
    assert_eq!(scene.get("/api").await.code, 200);
    assert_eq!(scene.get("/api").await.code, 200);
    let seen = |numbers: &[usize]| -> Vec<(usize, String)> {
        numbers.iter().map(|it| (*it, String::new())).collect()
    };
    assert_eq!(scene.seen(), seen(&[0, 0, 1]));
    let answer = scene.post(BODY).await;
    assert_eq!(answer.summary(), (503, UNKNOWN.to_owned()));
    assert_eq!(scene.seen().len(), 4);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_clients_mistake_after_another_attempt_too() {
    let scene = Scene::start(|mut http2| async move {
        // The body never ends: the request is refused as soon as it has begun.
        http2.begun().await;
        if http2.number == 0 {
            http2.go_away(0, NO_ERROR).await;
        }
        http2.wait_for_end().await;
    })
    .await;
    let authorization = format!("Authorization: Bearer {}", scene.token);
    for (framing, body, rest) in [
        ("Transfer-Encoding: chunked", "2\r\nab\r\n", "nonsense\r\n"),
        ("Transfer-Encoding: chunked", "2\r\nab\r\n", "2\r\nabc\r\n"),
    ] {
        let headers = [authorization.as_str(), framing];
        let line = "POST /k8s/clusters/c-1/api/v1/namespaces/n/configmaps";
        let mut client = scene.world.send(line, &headers).await;
        client.send(body).await;
        client.send(rest).await;
        let message = "the request body is malformed or incomplete";
        assert_eq!(client.answer().await.summary(), (400, message.to_owned()));
    }
}
