//! The groups of a login, from the provider to the clusters.
//!
//! The user dev belongs to a group at the provider. Our server and a real cluster know the group, and
//! not the user: the group may `get` the cluster here, and may edit ConfigMaps there. The file reaches
//! the cluster through the gateway, and directly: with a webhook, with a token that the cluster
//! verifies itself, and with a client certificate.

use std::fs;
use std::path::Path;
use std::time::Duration;

use e2e::oidc_provider::{CLIENT, GROUP_CLAIM};
use e2e::{Client, Kubectl, OidcProvider, poll};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::fleet::{Fleet, admin_of, check};
use super::signer;

/// Time limit, far more than any step here takes.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// The two routes to the cluster, through the gateway and directly, with the groups of dev there.
const ROUTES: [(&str, &str); 2] = [
    ("a", r#"["team-a","system:authenticated"]"#),
    ("a-fqdn", r#"["system:authenticated","team-a"]"#),
];

const GROUPS: &[&str] = &["auth", "whoami", "-o=jsonpath={.status.userInfo.groups}"];
const LIST: &[&str] = &["get", "configmaps", "--output=name"];

#[test]
fn a_file_has_the_groups_of_its_users_last_login() {
    let mut provider = OidcProvider::start(&["dev"]).unwrap();
    provider.set_group("dev", "team-a").unwrap();
    let fleet = fleet(&provider);
    let mut a = cluster(&fleet);

    let file = fleet.mint_as(&login(&fleet, &provider), json!({ "clusters": ["a"] }));
    let dev = fleet.kubectl(&file);
    for (route, groups) in ROUTES {
        check(&dev, &at(route, GROUPS), groups);
        let name = format!("made-through-{route}");
        let create = ["create", "configmap", &name];
        check(
            &dev,
            &at(route, &create),
            &format!("configmap/{name} created\n"),
        );
    }
    // The file may do here what the login may, and so may what it creates.
    let here = file.client("rancher");
    let path = "/apis/management.cattle.io/v3/clusters/a";
    assert_eq!(here.get(path).unwrap().status, 200);
    let other = fleet
        .mint_as(&here, json!({ "clusters": [] }))
        .client("rancher");
    assert_eq!(other.get(path).unwrap().status, 200);
    let mut watch = dev.start(&at("a", &[LIST, &["--watch"]].concat())).unwrap();
    watch.next_line(LIMIT).unwrap();

    provider.set_group("dev", "").unwrap();
    login(&fleet, &provider);
    is_refused(&dev, "a");
    watch.wait(LIMIT).unwrap();
    is_refused_soon(&dev, "a-fqdn");
    for client in [&here, &other] {
        assert_eq!(client.get(path).unwrap().status, 403);
    }

    provider.set_group("dev", "team-a").unwrap();
    let here = login(&fleet, &provider);
    let (route, groups) = ROUTES[0];
    check(&dev, &at(route, GROUPS), groups);

    let folder = TempDir::new().unwrap();
    let options = Options {
        authentication_config: Some(fleet.cluster(&["oidc", "a"])),
        ..Options::default()
    };
    signer::sign_for(&fleet, "a", &mut a, folder.path(), options);
    a_cluster_reads_the_groups_in_a_token(&fleet, &here);
    a_cluster_reads_the_groups_in_a_certificate(&here, &a, folder.path());
}

/// The cluster verifies tokens itself, so it does not learn that the user lost the group.
fn a_cluster_reads_the_groups_in_a_token(fleet: &Fleet, here: &Client) {
    let file = fleet.mint_as(here, json!({ "clusters": ["a"] }));
    let dev = fleet.kubectl(&file);
    let groups = r#"["team-a","system:authenticated"]"#;
    let whoami = at("a-fqdn", GROUPS);
    // A cluster that has just started may not know our keys yet.
    poll::until("the cluster knows the token", LIMIT, || {
        Ok((dev.run(&whoami)?.code == 0).then_some(()))
    })
    .unwrap();
    check(&dev, &whoami, groups);
    check(&dev, &at("a", GROUPS), groups);
}

fn a_cluster_reads_the_groups_in_a_certificate(here: &Client, a: &TestCluster, folder: &Path) {
    let post = |path: &str, kind: &str, spec: Value| {
        let object = json!({ "apiVersion": "ext.cattle.io/v1", "kind": kind, "spec": spec });
        let answer = here.post(path, &object).unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json().unwrap()
    };
    let files = "/apis/ext.cattle.io/v1/kubeconfigs";
    let file = json!({ "clusters": ["a"], "generateToken": false });
    let file = post(files, "Kubeconfig", file);

    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key);
    let certified = post(
        "/apis/ext.cattle.io/v1/tokens",
        "Token",
        json!({
            "kubeconfigName": file["metadata"]["name"], "clusterName": "a",
            "certificateSigningRequest": request.unwrap().pem().unwrap(),
        }),
    );
    let certificate = certified["status"]["certificate"].as_str().unwrap();
    let flag = |name: &str, content: &str| {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        format!("--{name}={}", path.display())
    };
    let flags = [
        format!("--server={}", a.url()),
        flag("certificate-authority", a.ca_pem()),
        flag("client-certificate", certificate),
        flag("client-key", &key.serialize_pem()),
    ];
    let flags = flags.each_ref().map(String::as_str);
    let dev = Kubectl::new("/dev/null", folder).unwrap();
    let groups = r#"["team-a","system:authenticated"]"#;
    check(&dev, &[&flags, GROUPS].concat(), groups);
}

/// Starts our server with the provider, and with a user object for dev.
pub(super) fn fleet(provider: &OidcProvider) -> Fleet {
    let fleet = Fleet::start_with(&[
        &format!("--oidc-issuer-url={}", provider.issuer()),
        &format!("--oidc-client-id={CLIENT}"),
        &format!("--oidc-ca-file={}", provider.ca_file().display()),
        "--oidc-username-prefix=-",
        &format!("--oidc-groups-claim={GROUP_CLAIM}"),
    ]);
    let users = "/apis/management.cattle.io/v3/users";
    let admin = fleet.server.client("admin").unwrap();
    let user = json!({
        "apiVersion": "management.cattle.io/v3", "kind": "User", "metadata": { "name": "dev" },
    });
    assert_eq!(admin.post(users, &user).unwrap().status, 201);
    fleet
}

/// Starts the cluster, where team-a may edit ConfigMaps, and registers it for team-a.
fn cluster(fleet: &Fleet) -> TestCluster {
    let mut a = TestCluster::start(&Options::default()).unwrap();
    fleet.register("a", &a, &[]);
    fleet.offer_direct_endpoint("a", &a);
    fleet.install_webhook("a", &mut a);
    let home = TempDir::new().unwrap();
    grant(
        &fleet.admin(),
        &[
            "--verb=get",
            "--resource=clusters.management.cattle.io",
            "--resource-name=a",
        ],
    );
    let edit = ["--verb=get,list,watch,create", "--resource=configmaps"];
    grant(&admin_of(&a, home.path()), &edit);
    a
}

/// Grants team-a a role with these rules.
fn grant(admin: &Kubectl, rules: &[&str]) {
    let create = [&["create", "clusterrole", "of-team-a"], rules].concat();
    admin.output(&create).unwrap();
    let bind = ["create", "clusterrolebinding", "of-team-a"];
    let bind = [&bind[..], &["--clusterrole=of-team-a", "--group=team-a"]].concat();
    admin.output(&bind).unwrap();
}

/// Returns a client that has logged in at the provider and at our server. After a restart of the
/// provider, our server needs a moment for its new keys.
pub(super) fn login(fleet: &Fleet, provider: &OidcProvider) -> Client {
    let url = fleet.server.url().unwrap();
    let token = provider.bound_id_token("dev", &url).unwrap();
    let client = token.of(&fleet.server.anonymous().unwrap());
    poll::until("the login is accepted", LIMIT, || {
        let answer = client.get("/apis/ext.cattle.io/v1/kubeconfigs")?;
        Ok((answer.status == 200).then_some(()))
    })
    .unwrap();
    client
}

pub(super) fn at<'a>(context: &'a str, command: &[&'a str]) -> Vec<&'a str> {
    [&["--context", context], command].concat()
}

pub(super) fn is_refused(kubectl: &Kubectl, route: &str) {
    let answer = kubectl.run(&at(route, LIST)).unwrap();
    let unauthorized = "error: You must be logged in to the server (Unauthorized)\n";
    assert_eq!((answer.code, answer.stderr.as_str()), (1, unauthorized));
}

/// Like [`is_refused`], within the time for which a kube-apiserver caches a TokenReview.
pub(super) fn is_refused_soon(kubectl: &Kubectl, route: &str) {
    poll::until("the end of the group", LIMIT, || {
        let answer = kubectl.run(&at(route, LIST))?;
        Ok((answer.code != 0).then_some(()))
    })
    .unwrap();
    is_refused(kubectl, route);
}
