//! One grant gives a team its clusters, and a role in them.
//!
//! The user dev belongs to team-a at the provider. Nothing binds dev or team-a: neither here nor in the
//! clusters, where `cluster add` has bound the groups of this server.

use e2e::{Kubectl, OidcProvider, poll};
use serde_json::{Value, json};
use test_cluster::TestCluster;

use super::fleet::{Fleet, check, check_refused, two_clusters};
use super::groups::{LIMIT, at, fleet, is_refused, is_refused_soon, login};

const GRANTS: &str = "/apis/ext.cattle.io/v1/clustergrants";
const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";
const KUBECONFIGS: &str = "/apis/ext.cattle.io/v1/kubeconfigs";

const LIST: &[&str] = &["get", "deployments", "--output=name"];

/// The two routes to the cluster: through the gateway, and directly with a webhook.
const ROUTES: [&str; 2] = ["a", "a-fqdn"];

#[test]
fn a_grant_is_all_that_a_team_needs() {
    let mut provider = OidcProvider::start(&["dev"]).unwrap();
    provider.set_group("dev", "team-a").unwrap();
    let fleet = fleet(&provider);
    let (_a, _b) = clusters(&fleet);
    let here = login(&fleet, &provider);
    let names = || -> Vec<Value> {
        let list = here.get(CLUSTERS).unwrap().json().unwrap();
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["metadata"]["name"].clone()).collect()
    };
    assert_eq!(names(), [] as [Value; 0]);

    apply(&fleet);
    assert_eq!(names(), ["a"]);
    let wide = ["get", "clustergrants", "--output=wide", "--no-headers"];
    let told = fleet.admin().output(&wide).unwrap();
    let cells: Vec<&str> = told.split_whitespace().collect();
    let expected = [
        "team-a-prod",
        "Group:team-a",
        "(env=prod)",
        "kubeconfig-apiserver:edit",
        "8h",
    ];
    assert_eq!(cells[..5], expected);
    let ask = ["kubeconfig", "access", "--cluster=a"];
    let told = fleet.admin().with_plugin().unwrap().output(&ask).unwrap();
    let expected = "\
CLUSTER   SUBJECT   NAME     GROUPS                      LIMITS        REASON
a         Group     team-a   kubeconfig-apiserver:edit   lifetime 8h   allowed by ClusterGrant \"team-a-prod\"
";
    assert_eq!(told, expected);
    let foreign = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig", "spec": { "clusters": ["b"] },
    });
    assert_eq!(here.post(KUBECONFIGS, &foreign).unwrap().status, 403);

    let file = fleet.mint_as(&here, json!({ "clusters": ["*"] }));
    let dev = fleet.kubectl(&file);
    let contexts = ["config", "get-contexts", "--output=name"];
    check(&dev, &contexts, "a\na-fqdn\nrancher\n");
    for route in ROUTES {
        dev_edits(&dev, route);
    }

    provider.set_group("dev", "").unwrap();
    login(&fleet, &provider);
    is_refused(&dev, "a");
    is_refused_soon(&dev, "a-fqdn");
    provider.set_group("dev", "team-a").unwrap();
    login(&fleet, &provider);
    check(
        &dev,
        &at("a", LIST),
        "deployment.apps/by-a\ndeployment.apps/by-a-fqdn\n",
    );

    let mut watch = dev.start(&at("a", &[LIST, &["--watch"]].concat())).unwrap();
    watch.next_line(LIMIT).unwrap();
    let delete = ["delete", "clustergrant", "team-a-prod"];
    fleet.admin().output(&delete).unwrap();
    is_refused(&dev, "a");
    watch.wait(LIMIT).unwrap();
    is_refused_soon(&dev, "a-fqdn");
}

/// Starts and registers two clusters, of which `a` is labelled as production.
fn clusters(fleet: &Fleet) -> (TestCluster, TestCluster) {
    let (mut a, b) = two_clusters();
    fleet.register("a", &a, &[]);
    fleet.register("b", &b, &[]);
    fleet.offer_direct_endpoint("a", &a);
    fleet.install_webhook("a", &mut a);
    fill_roles(&mut a);
    let label = ["label", "clusters.management.cattle.io", "a", "env=prod"];
    fleet.admin().output(&label).unwrap();
    (a, b)
}

/// The controller manager fills the cluster role `edit` with the rules of other roles.
fn fill_roles(a: &mut TestCluster) {
    a.start_controller_manager().unwrap();
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/edit";
    let admin = a.admin().unwrap();
    poll::until("the cluster role edit has rules", LIMIT, || {
        let role = admin.get(role)?.json()?;
        Ok(role["rules"].is_array().then_some(()))
    })
    .unwrap();
}

/// Creates the grant, as docs/access.md has it.
fn apply(fleet: &Fleet) {
    let grant = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "ClusterGrant",
        "metadata": { "name": "team-a-prod" },
        "spec": {
            "description": "Team A deploys to production",
            "subjects": [{ "kind": "Group", "name": "team-a" }],
            "clusters": { "selector": { "matchLabels": { "env": "prod" } } },
            "groups": ["kubeconfig-apiserver:edit"],
            "maxTTLSeconds": 28800,
        },
    });
    let admin = fleet.server.client("admin").unwrap();
    assert_eq!(admin.post(GRANTS, &grant).unwrap().status, 201);
}

/// The cluster role `edit` permits deployments, and no roles.
fn dev_edits(dev: &Kubectl, route: &str) {
    let name = format!("by-{route}");
    let create = ["create", "deployment", &name, "--image=image"];
    let created = format!("deployment.apps/{name} created\n");
    check(dev, &at(route, &create), &created);
    let role = ["create", "role", "r", "--verb=get", "--resource=pods"];
    let refused = "Error from server (Forbidden): roles.rbac.authorization.k8s.io is forbidden: User \"dev\" cannot create resource \"roles\" in API group \"rbac.authorization.k8s.io\" in the namespace \"default\"";
    check_refused(dev, &at(route, &role), refused);
}
