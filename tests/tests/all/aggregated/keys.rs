//! Two replicas, and keys that are replaced at one of them.

use std::time::{Duration, Instant};

use e2e::http::{Client, Request, expect};
use e2e::program::{self, Outcome};
use e2e::{Host, HostOptions, poll};
use serde_json::{Value, json};

use crate::record;

/// Time limit for a revocation to take effect everywhere. The aim is one second; a machine that
/// runs other tests and builds needs more.
const LIMIT: Duration = Duration::from_secs(10);

/// Time limit for everything else, far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const WATCH: &str = "/k8s/clusters/self/api/v1/namespaces";
const ADMINISTRATOR: &str = "kubeconfig-apiserver:administrator";

#[test]
fn keys_that_one_replica_replaces_end_tokens_at_all() {
    let options = HostOptions {
        replicas: 2,
        ..HostOptions::default()
    };
    let host = Host::start_with(&options).unwrap();
    host.wait_until_ready().unwrap();
    register_the_host_itself(&host);
    users_may_not_operate_on_keys(&host);
    administrators_of_the_chart_may(&host);
    tokens_end_at_all_replicas(&host);
    tokens_of_before_the_setting_end_at_all_replicas(&host);
    a_setting_that_cannot_be_read_ends_all_tokens(&host);
}

fn keys(host: &Host, user: &str, arguments: &[&str]) -> Outcome {
    let file = host.kubeconfig(user).display().to_string();
    program::run(&[&["keys"], arguments, &["--kubeconfig", &file]].concat()).unwrap()
}

/// Registers the host as a cluster, which alice may watch, and permits her to create TokenReviews.
fn register_the_host_itself(host: &Host) {
    let file = host.kubeconfig("admin").display().to_string();
    let add = [
        "cluster",
        "add",
        "self",
        "--from",
        &file,
        "--kubeconfig",
        &file,
    ];
    let added = program::run(&add).unwrap();
    assert_eq!(added.code, 0, "{}", added.stderr);
    let admin = host.admin().unwrap().0;
    let rights = [
        ("get", "clusters.management.cattle.io"),
        ("list,watch", "namespaces"),
        ("create", "tokenreviews.authentication.k8s.io"),
    ];
    for (number, (verbs, resource)) in rights.into_iter().enumerate() {
        let name = format!("keys-{number}");
        let (verbs, resource) = (format!("--verb={verbs}"), format!("--resource={resource}"));
        let role = ["create", "clusterrole", &name, &verbs, &resource];
        admin.output(&role).unwrap();
        bind(host, &name, "alice");
    }
}

fn bind(host: &Host, role: &str, user: &str) {
    let name = format!("{}-{user}", role.replace(':', "-"));
    let (role, user) = (format!("--clusterrole={role}"), format!("--user={user}"));
    let bind = ["create", "clusterrolebinding", &name, &role, &user];
    host.admin().unwrap().0.output(&bind).unwrap();
}

fn users_may_not_operate_on_keys(host: &Host) {
    for arguments in [
        &["list"][..],
        &["rotate"],
        &["revoke-all", "--yes"],
        &["reseal"],
    ] {
        let outcome = keys(host, "alice", arguments);
        let said = "error: keyoperations.ext.cattle.io is forbidden: User \"alice\" cannot create resource \"keyoperations\" in API group \"ext.cattle.io\" at the cluster scope";
        assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
        assert!(
            outcome.stderr.starts_with(said),
            "{arguments:?}: {}",
            outcome.stderr
        );
    }
}

fn administrators_of_the_chart_may(host: &Host) {
    bind(host, ADMINISTRATOR, "bob");
    poll::until("the host knows the binding", PATIENCE, || {
        Ok((keys(host, "bob", &["list"]).code == 0).then_some(()))
    })
    .unwrap();
}

/// Returns a client at the gateway port of each replica, without a credential.
fn gateways(host: &Host) -> Vec<Client> {
    let at = |port| host.client_at(port, "alice").unwrap().without_credential();
    let replicas = host.replicas.iter();
    replicas.map(|replica| at(replica.gateway_port())).collect()
}

/// A file of alice: its token for this server, that for the host, and the time of their issue.
#[derive(Clone)]
struct Minted {
    own: String,
    cluster: String,
    issued: String,
}

fn mint(host: &Host) -> Minted {
    let spec = json!({ "clusters": ["self"] });
    let created = record::create(&host.client("alice").unwrap(), spec);
    let issued = created["metadata"]["creationTimestamp"].as_str().unwrap();
    let tokens = record::tokens(&created);
    Minted {
        own: tokens[0].clone(),
        cluster: tokens.last().unwrap().clone(),
        issued: issued.to_owned(),
    }
}

/// Returns the answers of a replica for a file: the status of its API, the status of the gateway,
/// and the result of a review by `reviewer`.
fn doors(gateway: &Client, file: &Minted, reviewer: &Minted) -> (u16, u16, bool) {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": file.own},
    });
    let reviewer = gateway.with_token(&reviewer.own);
    let answer = reviewer.post(REVIEWS, &review).unwrap();
    let review: Value = expect(answer, 201).unwrap().json().unwrap();
    let status = |token: &str, path: &str| gateway.with_token(token).get(path).unwrap().status;
    (
        status(&file.own, record::PATH),
        status(&file.cluster, WATCH),
        review["status"]["authenticated"] == true,
    )
}

fn tokens_end_at_all_replicas(host: &Host) {
    let gateways = gateways(host);
    let old = mint(host);
    poll::until("the gateway reaches the host", PATIENCE, || {
        let reached = |gateway: &Client| doors(gateway, &old, &old) == (200, 200, true);
        Ok(gateways.iter().all(reached).then_some(()))
    })
    .unwrap();
    let watch = Request::get(WATCH).query("watch=true");
    let mut watches: Vec<_> = gateways
        .iter()
        .map(|gateway| gateway.with_token(&old.cluster).open(&watch).unwrap())
        .collect();
    for watch in &mut watches {
        assert_eq!(watch.status, 200);
        assert!(watch.next_line().unwrap().unwrap().contains("ADDED"));
    }
    let outcome = keys(host, "admin", &["revoke-all", "--yes"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let revoked = Instant::now();
    for gateway in &gateways {
        while gateway
            .with_token(&old.own)
            .get(record::PATH)
            .unwrap()
            .status
            != 401
        {
            assert!(revoked.elapsed() <= LIMIT, "it is valid still");
        }
    }
    let new = mint(host);
    for gateway in &gateways {
        assert_eq!(doors(gateway, &old, &new), (401, 401, false));
        assert_eq!(doors(gateway, &new, &new), (200, 200, true));
    }
    for watch in watches {
        // Returns when the stream has ended.
        watch.finish().unwrap();
    }
    let published = |gateway: &Client| gateway.get("/openid/v1/jwks").unwrap().body;
    assert_eq!(published(&gateways[0]), published(&gateways[1]));
}

fn set_not_before(host: &Host, value: &str) {
    let patch = json!({ "value": value }).to_string();
    let setting = "settings.management.cattle.io";
    let arguments = [
        "patch",
        setting,
        "auth-token-not-before",
        "--type=merge",
        "-p",
        &patch,
    ];
    host.admin().unwrap().0.output(&arguments).unwrap();
}

fn until(gateways: &[Client], token: &str, status: u16) {
    poll::until("all replicas know the setting", PATIENCE, || {
        let knows = |gateway: &Client| {
            gateway.with_token(token).get(record::PATH).unwrap().status == status
        };
        Ok(gateways.iter().all(knows).then_some(()))
    })
    .unwrap();
}

fn tokens_of_before_the_setting_end_at_all_replicas(host: &Host) {
    let gateways = gateways(host);
    let old = mint(host);
    let new = poll::until("a token of a later second", PATIENCE, || {
        let new = mint(host);
        Ok((new.issued > old.issued).then_some(new))
    })
    .unwrap();
    set_not_before(host, &new.issued);
    until(&gateways, &old.own, 401);
    for gateway in &gateways {
        assert_eq!(doors(gateway, &old, &new), (401, 401, false));
        assert_eq!(doors(gateway, &new, &new), (200, 200, true));
    }
}

/// Sets an invalid value, which the host does not validate.
fn a_setting_that_cannot_be_read_ends_all_tokens(host: &Host) {
    let gateways = gateways(host);
    let token = mint(host).own;
    until(&gateways, &token, 200);
    set_not_before(host, "yesterday");
    until(&gateways, &token, 401);
    assert!(
        host.logs()
            .contains("all tokens are rejected until this setting is empty or a valid time")
    );
    set_not_before(host, "");
    until(&gateways, &token, 200);
}
