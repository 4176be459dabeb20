use std::time::Duration;

use api::management::cluster::{ClusterConnection, ClusterEndpoints, ClusterStatus};
use apiserver::testing::NOW;
use jiff::SignedDuration;
use machinery::time::rfc3339;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::fake_cluster::{FakeCluster, Home, REVIEWS};

use super::*;

mod writes;

/// Timeout after which a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Probes only once after each change.
const SELDOM: Options = Options {
    period: Duration::from_secs(3600),
    requested_period: Duration::ZERO,
    deadline: Duration::from_secs(10),
    at_once: 16,
    unconnected: true,
};

/// Returns the dependencies of a prober without host names.
fn parts(home: &Home, options: Options) -> ProberParts {
    ProberParts {
        upstreams: Arc::clone(&home.upstreams),
        clusters: home.clusters.clone(),
        secrets: home.secrets.clone(),
        clock: home.clock.clone(),
        options,
        zone: None,
    }
}

fn start(home: &Home, options: Options) -> AbortOnDropHandle<()> {
    start_with(parts(home, options))
}

fn start_with(parts: ProberParts) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(Prober::new(parts).run()))
}

/// Waits until the status of a cluster is as expected.
async fn until(home: &Home, name: &str, wanted: impl Fn(&ClusterStatus) -> bool) -> ClusterStatus {
    let wait = async {
        loop {
            let status = home.cluster(name).status;
            if wanted(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("{:?}", home.cluster(name).status))
}

/// Waits until the version of a cluster was requested this many times.
async fn asked(fake: &FakeCluster, times: usize) {
    let wait = async {
        while fake
            .asked()
            .iter()
            .filter(|it| it.line == "GET /version")
            .count()
            < times
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

fn ready(status: &ClusterStatus) -> Option<(&str, &str)> {
    let ready = status.ready()?;
    Some((ready.status.as_str(), ready.reason.as_str()))
}

#[tokio::test]
async fn a_cluster_that_answers_is_ready_and_its_status_says_what_was_seen() {
    let (home, fake) = (Home::start().await, FakeCluster::start().await);
    home.add_token("prod", "a-token").await;
    home.add("prod", Some(fake.connection("prod"))).await;
    let zone = Zone::new("acme", "k8s.example.com", Some(8443)).unwrap();
    let _prober = start_with(ProberParts {
        zone: Some(zone),
        ..parts(&home, SELDOM)
    });
    let status = until(&home, "prod", |status| status.ready().is_some()).await;
    assert_eq!(
        serde_json::to_value(&status).unwrap(),
        json!({
            "apiEndpoint": format!("https://{}", fake.address),
            "caCert": fake.ca_data,
            "conditions": [{
                "type": "Ready",
                "status": "True",
                "reason": "Connected",
                "message": "the cluster responds and permits the gateway to impersonate users",
                "lastTransitionTime": rfc3339(NOW),
                "lastUpdateTime": rfc3339(NOW),
            }],
            "version": { "gitVersion": "v1.36.3" },
            "endpoints": {
                "managed": "https://acme-7kfmi2ku52j5.k8s.example.com:8443",
                "unmanaged": "https://api.acme-7kfmi2ku52j5.k8s.example.com:8443",
            },
            "observedGeneration": 1,
        })
    );
    let lines: Vec<String> = fake.asked().into_iter().map(|asked| asked.line).collect();
    let review = format!("POST {REVIEWS}");
    assert_eq!(lines, ["GET /version", &review, &review, &review, &review]);
    assert!(
        fake.asked()
            .iter()
            .all(|asked| asked.authorization == "Bearer a-token")
    );
}

#[tokio::test]
async fn names_that_are_no_more_are_emptied() {
    let (home, fake) = (Home::start().await, FakeCluster::start().await);
    home.add_token("prod", "a-token").await;
    home.add("prod", Some(fake.connection("prod"))).await;
    let zone = Zone::new("acme", "k8s.example.com", None).ok();
    let named = start_with(ProberParts {
        zone,
        ..parts(&home, SELDOM)
    });
    until(&home, "prod", |status| status.endpoints.is_some()).await;
    drop(named);
    let _nameless = start(&home, SELDOM);
    let is_empty = |status: &ClusterStatus| status.endpoints == Some(ClusterEndpoints::default());
    until(&home, "prod", is_empty).await;
}

/// The expected condition `Ready`.
struct Expected<'a> {
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

/// Probes a cluster with this connection and a credential, and checks the condition.
async fn check(connection: Option<ClusterConnection>, expected: Expected<'_>) {
    let home = Home::start().await;
    home.add_token("prod", "a-token").await;
    home.add("prod", connection).await;
    let options = Options {
        deadline: Duration::from_millis(500),
        ..SELDOM
    };
    let _prober = start(&home, options);
    let status = until(&home, "prod", |status| status.ready().is_some()).await;
    assert_eq!(
        ready(&status),
        Some((expected.status, expected.reason)),
        "{status:?}"
    );
    assert_eq!(status.ready().unwrap().message, expected.message);
    assert_eq!(status.observed_generation, 1);
}

#[tokio::test]
async fn a_cluster_that_is_down_or_somebody_else_says_so() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let fake = FakeCluster::start().await;
    let connection = fake.connection("prod");
    let down = ClusterConnection {
        server: format!("https://{free}"),
        ..connection.clone()
    };
    check(
        Some(down),
        Expected {
            status: "False",
            reason: "Unreachable",
            message: "it cannot be reached: check spec.connection.server and the network in between",
        },
    )
    .await;
    let other = ClusterConnection {
        ca_data: FakeCluster::start().await.ca_data,
        ..connection
    };
    check(
        Some(other),
        Expected {
            status: "False",
            reason: "WrongCertificate",
            message: "its certificate is not signed by the certificate authority configured for it: correct spec.connection.caData, or find out which server responds there",
        },
    )
    .await;
    let elsewhere = FakeCluster::start_as("elsewhere.example.com").await;
    check(
        Some(elsewhere.connection("prod")),
        Expected {
            status: "False",
            reason: "WrongCertificate",
            message: "its certificate is not valid for its name: correct spec.connection.server or tlsServerName",
        },
    )
    .await;
    assert_eq!(elsewhere.asked(), []);
}

#[tokio::test]
async fn a_connection_that_leads_nowhere_says_what_is_missing() {
    check(
        None,
        Expected {
            status: "Unknown",
            reason: "NoConnection",
            message: "no connection is configured: the gateway does not serve the cluster until spec.connection is set",
        },
    )
    .await;
    let connection = FakeCluster::start().await.connection("prod");
    let malformed = ClusterConnection {
        ca_data: "?".to_owned(),
        ..connection.clone()
    };
    check(
        Some(malformed),
        Expected {
            status: "False",
            reason: "NoConnection",
            message: "spec.connection.caData is invalid: correct it",
        },
    )
    .await;
    let unnamed = ClusterConnection {
        credential_secret_ref: None,
        ..connection
    };
    check(
        Some(unnamed),
        Expected {
            status: "False",
            reason: "NoCredential",
            message: "spec.connection.credentialSecretRef does not refer to a credential: run `kubeconfig-apiserver cluster add prod` again",
        },
    )
    .await;
}

/// Probes a cluster that answers a path with this code and body.
async fn check_answer(path: &str, code: u16, body: Value, expected: Expected<'_>) {
    let fake = FakeCluster::start().await;
    fake.answer(path, move |_| (code, body.clone()));
    check(Some(fake.connection("prod")), expected).await;
}

#[tokio::test]
async fn a_cluster_that_answers_badly_says_how() {
    check_answer(
        "/version",
        401,
        Value::Null,
        Expected {
            status: "False",
            reason: "CredentialRefused",
            message: "it rejected the gateway's credential: run `kubeconfig-apiserver cluster add prod` again",
        },
    )
    .await;
    check_answer(
        "/version",
        503,
        Value::Null,
        Expected {
            status: "False",
            reason: "Unreachable",
            message: "the API of the cluster responds 503 Service Unavailable: check the cluster",
        },
    )
    .await;
    check_answer(
        "/version",
        200,
        json!("hello"),
        Expected {
            status: "False",
            reason: "Unreachable",
            message: "the server at spec.connection.server responds 200 OK but is not a Kubernetes API server: correct the address",
        },
    )
    .await;
    check_answer(
        "/version",
        0,
        Value::Null,
        Expected {
            status: "False",
            reason: "Slow",
            message: "the cluster takes too long to respond",
        },
    )
    .await;
    check_answer(
        REVIEWS,
        201,
        json!({ "status": { "allowed": false } }),
        Expected {
            status: "False",
            reason: "CannotImpersonate",
            message: "the gateway's credential may not impersonate users there, so requests of users are rejected: run `kubeconfig-apiserver cluster add prod` again, or apply deploy/downstream/ there",
        },
    )
    .await;
    check_answer(
        REVIEWS,
        403,
        json!({ "status": { "allowed": true } }),
        Expected {
            status: "False",
            reason: "CannotImpersonate",
            message: "the gateway's credential may not impersonate users there, so requests of users are rejected: run `kubeconfig-apiserver cluster add prod` again, or apply deploy/downstream/ there",
        },
    )
    .await;
}

#[tokio::test]
async fn each_thing_to_impersonate_is_asked_for() {
    for (missing, name) in [
        ("users", "users"),
        ("groups", "groups"),
        ("uids", "uids"),
        ("userextras", "userextras/requesttokenid"),
    ] {
        let (home, fake) = (Home::start().await, FakeCluster::start().await);
        fake.answer(REVIEWS, move |review| {
            let attributes = &review["spec"]["resourceAttributes"];
            let allowed = attributes["resource"] != missing && attributes["verb"] == "impersonate";
            (201, json!({ "status": { "allowed": allowed } }))
        });
        home.add_token("prod", "a-token").await;
        home.add("prod", Some(fake.connection("prod"))).await;
        let _prober = start(&home, SELDOM);
        let status = until(&home, "prod", |status| status.ready().is_some()).await;
        assert_eq!(
            ready(&status),
            Some(("False", "CannotImpersonate")),
            "{missing}"
        );
        let message = &status.ready().unwrap().message;
        assert!(
            message.contains(&format!("impersonate {name} there")),
            "{message}"
        );
        assert!(
            message.ends_with("or apply deploy/downstream/ there"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn changes_of_the_cluster_and_of_its_secret_are_looked_at_at_once() {
    let (home, fake) = (Home::start().await, FakeCluster::start().await);
    let _prober = start(&home, SELDOM);
    home.add("prod", Some(fake.connection("prod"))).await;
    until(&home, "prod", |status| {
        ready(status) == Some(("False", "NoCredential"))
    })
    .await;

    home.clock.advance(SignedDuration::from_secs(60));
    home.add_token("prod", "a-token").await;
    until(&home, "prod", |status| {
        ready(status) == Some(("False", "CredentialNotBound"))
    })
    .await;
    home.bind("prod").await;
    let status = until(&home, "prod", |status| {
        ready(status) == Some(("True", "Connected"))
    })
    .await;
    let since = status.ready().unwrap().last_transition_time.clone();
    assert_eq!(since.unwrap().0, home.clock.now());

    let mut cluster = home.cluster("prod");
    cluster.spec.connection = None;
    cluster.metadata.generation = Some(2);
    let revision = cluster
        .metadata
        .resource_version
        .clone()
        .unwrap()
        .parse()
        .unwrap();
    home.clusters
        .store()
        .replace(cluster, revision)
        .await
        .unwrap();
    let status = until(&home, "prod", |status| status.observed_generation == 2).await;
    assert_eq!(ready(&status), Some(("Unknown", "NoConnection")));
}

#[tokio::test]
async fn a_credential_that_is_bound_to_something_else_is_not_sent() {
    let (home, other) = (Home::start().await, FakeCluster::start().await);
    home.add_token("prod", "a-token").await;
    home.add("prod", Some(FakeCluster::start().await.connection("prod")))
        .await;
    home.change("prod", |cluster| {
        cluster.spec.connection = Some(other.connection("prod"));
    })
    .await;
    home.add("evil", Some(other.connection("prod"))).await;
    let _prober = start(&home, SELDOM);
    for (name, why) in [
        (
            "prod",
            "Secret cluster-prod-gateway is bound to a connection other than spec.connection",
        ),
        (
            "evil",
            "spec.connection.credentialSecretRef must name the cluster's own Secret kubeconfig-apiserver/cluster-evil-gateway",
        ),
    ] {
        let status = until(&home, name, |status| status.ready().is_some()).await;
        assert_eq!(ready(&status), Some(("False", "CredentialNotBound")));
        let expected = format!(
            "{why}, so the credential is not sent: run `kubeconfig-apiserver cluster add {name}` again, or `kubeconfig-apiserver cluster bind {name}`"
        );
        assert_eq!(status.ready().unwrap().message, expected);
    }
    assert_eq!(other.asked(), []);
}

#[tokio::test]
async fn the_cluster_that_the_server_lives_in_is_ready() {
    let home = Home::start().await;
    home.add(cluster::LOCAL, None).await;
    let _prober = start(&home, SELDOM);
    let status = until(&home, cluster::LOCAL, |status| status.ready().is_some()).await;
    assert_eq!(ready(&status), Some(("True", "Connected")));
}

#[tokio::test]
async fn a_cluster_that_hangs_keeps_no_other_waiting() {
    let (home, fake, slow) = (
        Home::start().await,
        FakeCluster::start().await,
        FakeCluster::start().await,
    );
    slow.answer("/version", |_| (0, Value::Null));
    for (name, cluster) in [("a-slow", &slow), ("b-fast", &fake)] {
        home.add_token(name, "a-token").await;
        home.add(name, Some(cluster.connection(name))).await;
    }
    let _prober = start(&home, SELDOM);
    until(&home, "b-fast", |status| {
        ready(status) == Some(("True", "Connected"))
    })
    .await;
    assert_eq!(home.cluster("a-slow").status, ClusterStatus::default());
}

#[tokio::test]
async fn trouble_with_the_token_stands_in_the_message() {
    let (home, fake) = (Home::start().await, FakeCluster::start().await);
    home.add_token("prod", &crate::renewal::tests::ending())
        .await;
    home.add("prod", Some(fake.connection("prod"))).await;
    let _prober = start(&home, SELDOM);
    let status = until(&home, "prod", |status| status.ready().is_some()).await;
    assert_eq!(ready(&status), Some(("True", "Connected")));
    assert_eq!(
        status.ready().unwrap().message,
        "the cluster responds and permits the gateway to impersonate users; its token expires at 2026-01-02T03:14:05Z and cannot be renewed: \
         the cluster responded 404 Not Found: apply deploy/downstream/ there"
    );
}

#[tokio::test]
async fn a_refusal_that_a_request_met_is_looked_into() {
    let (home, fake) = (Home::start().await, FakeCluster::start().await);
    home.add_token("prod", "a-token").await;
    home.add("prod", Some(fake.connection("prod"))).await;
    let _prober = start(&home, SELDOM);
    until(&home, "prod", |status| {
        ready(status) == Some(("True", "Connected"))
    })
    .await;
    fake.answer(REVIEWS, |_| {
        (201, json!({ "status": { "allowed": false } }))
    });
    home.upstreams.request_probe("prod");
    until(&home, "prod", |status| {
        ready(status) == Some(("False", "CannotImpersonate"))
    })
    .await;
}
