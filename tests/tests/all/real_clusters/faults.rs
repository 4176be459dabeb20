//! A failing cluster: its users get an answer that names the kind of failure, and our server is not
//! affected.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::http::Answer;
use e2e::{Client, poll, program};
use serde_json::json;
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::fleet::{Fleet, admin_of};

/// Time limit, far more than the server takes to check a cluster.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

const PATH: &str = "/k8s/clusters/c/version";

/// The symptoms of a failing cluster.
struct Fault {
    /// Code, reason and end of the message of the Status that its users get.
    code: u16,
    reason: &'static str,
    because: &'static str,
    /// Reason in the Cluster's condition.
    condition: &'static str,
}

struct Scene {
    fleet: Fleet,
    cluster: TestCluster,
    alice: Client,
    home: TempDir,
}

impl Scene {
    #[track_caller]
    fn start() -> Self {
        let fleet = Fleet::start();
        let cluster = TestCluster::start(&Options::default()).unwrap();
        fleet.register("c", &cluster, &["alice"]);
        let minted = fleet.mint("alice", json!({"clusters": ["c"]}));
        let scene = Self {
            alice: minted.client("c"),
            fleet,
            cluster,
            home: TempDir::new().unwrap(),
        };
        scene.check_well();
        scene
    }

    #[track_caller]
    fn check_well(&self) {
        let answer = self.alice.get(PATH).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.check_condition("Connected");
    }

    #[track_caller]
    fn check_fault(&self, fault: &Fault) {
        let answer = self.first_failure();
        let message = format!("cluster \"c\" is not available: {}", fault.because);
        let expected = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": fault.reason,
            "code": fault.code,
        });
        assert_eq!(answer.json().unwrap(), expected);
        assert_eq!(answer.status, fault.code);
        self.check_condition(fault.condition);
        let readyz = self.fleet.server.client("admin").unwrap().get("/readyz");
        assert_eq!(readyz.unwrap().status, 200);
    }

    /// Returns the first failure. A kube-apiserver caches the result of a TokenReview for ten
    /// seconds.
    #[track_caller]
    fn first_failure(&self) -> Answer {
        poll::until("a failure", LIMIT, || {
            let answer = self.alice.get(PATH)?;
            Ok((answer.status != 200).then_some(answer))
        })
        .unwrap()
    }

    /// Checks the condition. A change of the object makes the server check the cluster at once.
    #[track_caller]
    fn check_condition(&self, reason: &str) {
        self.fleet.change(
            "c",
            &json!({"spec": {"description": format!("expected: {reason}")}}),
        );
        let ready = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}";
        let show = ["get", "clusters.management.cattle.io", "c", "-o", ready];
        let admin = self.fleet.admin();
        poll::until(reason, LIMIT, || {
            Ok((admin.output(&show)? == reason).then_some(()))
        })
        .unwrap();
    }

    #[track_caller]
    fn trust(&self, ca_pem: &str) {
        let connection = json!({"caData": STANDARD.encode(ca_pem)});
        self.fleet
            .change("c", &json!({"spec": {"connection": connection}}));
    }

    /// Permits, as the administrator, that the credential is sent to the current address of the
    /// cluster.
    #[track_caller]
    fn confirm_connection(&self) {
        let admin = self.fleet.server.kubeconfig("admin").display().to_string();
        let arguments = ["cluster", "bind", "c", "--kubeconfig", &admin];
        let refused = program::run(&arguments).unwrap();
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        let mut words = refused.stderr.split_whitespace();
        let digest = words.rfind(|word| word.len() == 64).unwrap();
        self.fleet.cluster(&["bind", "c", "--to", digest]);
    }
}

#[test]
fn adding_a_cluster_again_repairs_its_whole_connection() {
    let scene = Scene::start();
    let connection = json!({"proxyURL": "http://127.0.0.1:9", "tlsServerName": "elsewhere"});
    scene
        .fleet
        .change("c", &json!({"spec": {"connection": connection}}));
    scene.check_condition("CredentialNotBound");
    scene.fleet.register("c", &scene.cluster, &[]);
    scene.check_well();
    // Other fields than those of the connection are kept.
    let description = "jsonpath={.spec.description}";
    let show = [
        "get",
        "clusters.management.cattle.io",
        "c",
        "-o",
        description,
    ];
    let kept = scene.fleet.admin().output(&show).unwrap();
    assert_eq!(kept, "expected: Connected");
}

#[test]
fn a_cluster_that_is_down_is_not_reached() {
    let mut scene = Scene::start();
    scene.cluster.stop_apiserver();
    scene.check_fault(&Fault {
        code: 503,
        reason: "ServiceUnavailable",
        because: "it cannot be reached",
        condition: "Unreachable",
    });
    let same = Options::default();
    scene.cluster.restart_apiserver(&same).unwrap();
    scene.check_well();
}

#[test]
fn a_cluster_of_another_ca_is_not_trusted() {
    let scene = Scene::start();
    scene.trust(&std::fs::read_to_string(scene.fleet.server.data_dir().join("ca.crt")).unwrap());
    scene.check_fault(&Fault {
        code: 503,
        reason: "ServiceUnavailable",
        because: "the gateway's credential is not bound to it and its connection",
        condition: "CredentialNotBound",
    });
    scene.confirm_connection();
    scene.check_fault(&Fault {
        code: 502,
        reason: "ServiceUnavailable",
        because: "its certificate is not signed by the certificate authority configured for it",
        condition: "WrongCertificate",
    });
    scene.trust(scene.cluster.ca_pem());
    scene.confirm_connection();
    scene.check_well();
}

#[test]
fn a_credential_that_has_ended_is_refused() {
    let scene = Scene::start();
    // The token is valid as long as its account exists.
    let account = [
        "-n",
        "kubeconfig-apiserver",
        "delete",
        "serviceaccount",
        "gateway",
    ];
    let admin = admin_of(&scene.cluster, scene.home.path());
    admin.output(&account).unwrap();
    scene.check_fault(&Fault {
        code: 502,
        reason: "ServiceUnavailable",
        because: "it rejected the gateway's credential",
        condition: "CredentialRefused",
    });
    let file = scene.cluster.admin_kubeconfig().display().to_string();
    scene.fleet.cluster(&["add", "c", "--from", &file]);
    scene.check_well();
}

#[test]
fn a_cluster_that_does_not_answer_is_not_waited_for() {
    let scene = Scene::start();
    scene.cluster.pause_apiserver().unwrap();
    scene.check_fault(&Fault {
        code: 504,
        reason: "Timeout",
        because: "it took too long to respond",
        condition: "Slow",
    });
    scene.cluster.resume_apiserver().unwrap();
    scene.check_well();
}
