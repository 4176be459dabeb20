//! The rights of the host's users in the clusters behind three replicas: groups, grants, limits, and
//! the ServiceAccounts of the host.
//!
//! Nothing binds dana, her group or the account: neither in the host nor in the cluster.

use std::time::Duration;

use e2e::http::{Client, Request};
use e2e::{Host, HostOptions, poll};
use serde_json::{Value, json};
use test_cluster::{Options, TestCluster};

use crate::real_clusters::fleet::Fleet;
use crate::record;

/// Time limit, far more than any step here takes.
const LIMIT: Duration = Duration::from_secs(60);

const DEPLOYMENTS: &str = "/k8s/clusters/a/apis/apps/v1/namespaces/default/deployments";
const SECRETS: &str = "/k8s/clusters/a/api/v1/namespaces/default/secrets";
const WHO: &str = "/k8s/clusters/a/apis/authentication.k8s.io/v1/selfsubjectreviews";
const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";

/// The name of the account `default/ci` of the host.
const CI: &str = "serviceaccount:127.0.0.1:default:ci";

#[test]
fn the_rights_of_the_hosts_users_reach_clusters_at_every_replica() {
    let options = HostOptions {
        replicas: 3,
        ..HostOptions::default()
    };
    let fleet = Fleet::around(Host::start_with(&options).unwrap());
    let _a = cluster(&fleet);
    set(&fleet, "user-provisioning", "on-login");
    set(&fleet, "kubeconfig-service-accounts", "host");
    grant(&fleet);
    of_a_group(&fleet.server);
    of_an_account(&fleet.server);
}

/// Starts and registers a cluster that is labelled as production.
fn cluster(fleet: &Fleet<Host>) -> TestCluster {
    let mut a = TestCluster::start(&Options::default()).unwrap();
    a.start_controller_manager().unwrap();
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/edit";
    let admin = a.admin().unwrap();
    poll::until("the cluster role edit has rules", LIMIT, || {
        let role = admin.get(role)?.json()?;
        Ok(role["rules"].is_array().then_some(()))
    })
    .unwrap();
    fleet.register("a", &a, &[]);
    let label = ["label", "clusters.management.cattle.io", "a", "env=prod"];
    fleet.admin().output(&label).unwrap();
    a
}

fn set(fleet: &Fleet<Host>, name: &str, value: &str) {
    let patch = json!({ "value": value }).to_string();
    let setting = format!("settings.management.cattle.io/{name}");
    let patch = ["patch", &setting, "--type=merge", "-p", &patch];
    fleet.admin().output(&patch).unwrap();
}

fn grant(fleet: &Fleet<Host>) {
    let grant = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "ClusterGrant",
        "metadata": { "name": "prod" },
        "spec": {
            "subjects": [
                { "kind": "Group", "name": "team-a" },
                { "kind": "ServiceAccount", "namespace": "default", "name": "ci" },
            ],
            "clusters": { "selector": { "matchLabels": { "env": "prod" } } },
            "groups": ["kubeconfig-apiserver:edit"],
        },
    });
    let admin = fleet.server.client("admin").unwrap();
    let made = admin.post("/apis/ext.cattle.io/v1/clustergrants", &grant);
    assert_eq!(made.unwrap().status, 201);
}

fn of_a_group(host: &Host) {
    let dana = host.stranger("dana", Some("team-a")).unwrap();
    let all = json!({ "clusters": ["*"] });
    let created = mint(&dana, &all);
    let user = ["get", "users.management.cattle.io", "dana"];
    let principals = [&user[..], &["-o=jsonpath={.principalIds}"]].concat();
    let admin = host.admin().unwrap().0;
    assert_eq!(admin.output(&principals).unwrap(), r#"["dana"]"#);
    let status = &created["status"];
    assert_eq!(status["groups"], json!(["team-a"]));
    assert_eq!(status["clusters"], json!(["a"]));

    let files = at_all(host, &created, "a");
    let limited = mint(
        &dana,
        &json!({ "clusters": ["a"], "access": { "readOnly": true } }),
    );
    let limited = at_all(host, &limited, "a");
    let here = at_all(host, &created, "rancher");
    for file in &here {
        assert_eq!(listed(file), ["a"]);
    }
    for (number, (file, limited)) in files.iter().zip(&limited).enumerate() {
        let name = format!("by-{number}");
        until(file, &Request::get(DEPLOYMENTS), 200);
        assert_eq!(deploy(file, &name), 201);
        assert_eq!(
            who(file),
            json!([
                "dana",
                [
                    "team-a",
                    "kubeconfig-apiserver:edit",
                    "system:authenticated"
                ]
            ])
        );
        assert_eq!(file.get(SECRETS).unwrap().status, 200);
        until(limited, &Request::get(DEPLOYMENTS), 200);
        assert_eq!(deploy(limited, "never"), 403);
        assert_eq!(limited.get(SECRETS).unwrap().status, 403);
    }

    // A login without the group.
    let later = host.stranger("dana", None).unwrap();
    assert_eq!(later.get(record::PATH).unwrap().status, 200);
    for file in files.iter().chain(&limited) {
        until(file, &Request::get(DEPLOYMENTS), 401);
    }
    for file in &here {
        assert_eq!(file.get(CLUSTERS).unwrap().status, 403);
    }
    assert_eq!(dana.get(record::PATH).unwrap().status, 200);
    for file in &files {
        until(file, &Request::get(DEPLOYMENTS), 200);
    }
    let disable = ["--type=merge", "-p", r#"{"enabled":false}"#];
    let user = ["patch", "users.management.cattle.io", "dana"];
    admin.output(&[&user[..], &disable].concat()).unwrap();
    for file in files.iter().chain(&limited) {
        until(file, &Request::get(DEPLOYMENTS), 401);
    }
}

fn of_an_account(host: &Host) {
    let admin = host.admin().unwrap().0;
    admin.output(&["create", "serviceaccount", "ci"]).unwrap();
    let token = admin.output(&["create", "token", "ci"]).unwrap();
    host.add_user("ci", &json!({ "token": token.trim_end() }))
        .unwrap();
    let ci = host.client("ci").unwrap();
    let created = mint(&ci, &json!({ "clusters": ["a"] }));
    assert_eq!(created["status"]["userName"], CI);
    let name = record::name(&created);
    assert_eq!(record::names(&ci), [name]);
    let files = at_all(host, &created, "a");
    for (number, file) in files.iter().enumerate() {
        until(file, &Request::get(DEPLOYMENTS), 200);
        assert_eq!(deploy(file, &format!("ci-{number}")), 201);
        assert_eq!(
            who(file),
            json!([CI, ["kubeconfig-apiserver:edit", "system:authenticated"]])
        );
    }
    // No other login is that user.
    let other = host.stranger(CI, None).unwrap();
    assert_eq!(other.get(record::PATH).unwrap().status, 401);

    admin.output(&["delete", "serviceaccount", "ci"]).unwrap();
    for file in &files {
        until(file, &Request::get(DEPLOYMENTS), 401);
    }
    admin.output(&["create", "serviceaccount", "ci"]).unwrap();
    let token = admin.output(&["create", "token", "ci"]).unwrap();
    host.add_user("ci", &json!({ "token": token.trim_end() }))
        .unwrap();
    mint(&host.client("ci").unwrap(), &json!({ "clusters": ["a"] }));
    for file in &files {
        assert_eq!(file.get(DEPLOYMENTS).unwrap().status, 401);
    }
}

/// Creates a kubeconfig as soon as all replicas know the grant and the settings.
fn mint(client: &Client, spec: &Value) -> Value {
    let wanted = record::wanted(spec.clone());
    let made = poll::until("the file is created", LIMIT, || {
        let answer = client.post(record::PATH, &wanted)?;
        let made = (answer.status == 201).then(|| answer.json()).transpose()?;
        Ok(made.filter(|made| token(made, "a").is_some()))
    });
    made.unwrap()
}

/// Returns the token of an entry of a file.
fn token(created: &Value, entry: &str) -> Option<String> {
    let mut users = record::users(created).into_iter();
    users.find(|user| user.name == entry).map(|user| user.token)
}

/// Returns clients with the token of an entry of a file, at each replica.
fn at_all(host: &Host, created: &Value, entry: &str) -> Vec<Client> {
    let token = token(created, entry).unwrap();
    let replicas = host.replicas.iter();
    let clients = replicas.map(|replica| {
        let client = host.client_at(replica.gateway_port(), "alice").unwrap();
        client.without_credential().with_token(&token)
    });
    clients.collect()
}

/// Waits for an answer with this status.
#[track_caller]
fn until(client: &Client, request: &Request, status: u16) {
    let mut last = None;
    let told = poll::until("the replica knows it", LIMIT, || {
        let answer = client.send(request)?;
        let is_it = answer.status == status;
        last = Some(answer);
        Ok(is_it.then_some(()))
    });
    assert!(told.is_ok(), "{status} is expected: {last:?}");
}

fn deploy(client: &Client, name: &str) -> u16 {
    let labels = json!({ "app": name });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "c", "image": "image" }] },
            },
        },
    });
    client.post(DEPLOYMENTS, &deployment).unwrap().status
}

/// Returns the name and the groups of a client in the cluster.
fn who(client: &Client) -> Value {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let me = client.post(WHO, &review).unwrap().json().unwrap();
    let user = &me["status"]["userInfo"];
    json!([user["username"], user["groups"]])
}

/// Returns the clusters that a file may get, as listed at the gateway's address.
fn listed(client: &Client) -> Vec<String> {
    let list = client.get(CLUSTERS).unwrap().json().unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items.map(record::name).collect()
}
