//! The story of a kubeconfig, from its creation to its end.
//!
//! Two clusters, `a` and `b`. Both are reached through our gateway. For tokens that are sent to the
//! cluster directly, `a` also asks us, by a webhook, and `b` verifies them itself, by OIDC.

use std::time::Duration;

use e2e::{Kubectl, poll, program};
use serde_json::json;
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::fleet::{Fleet, Minted, admin_of, check, check_refused, grant, two_clusters};

/// Time limit, far more than any step here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Lifetime of the token whose expiry is observed: long enough for some commands on a busy machine.
const SHORT_TTL_SECS: u64 = 20;

const NAMES: &[&str] = &["get", "namespaces", "--output=name"];

#[test]
fn a_file_opens_its_clusters_until_its_record_goes() {
    let mut story = Story::begin();
    let alice = story.fleet.mint("alice", json!({"clusters": ["a", "b"]}));
    let bob = story.fleet.mint("bob", json!({"clusters": ["b"]}));
    for way in ["a", "a-fqdn"] {
        story.alice_sees_the_namespaces_of_a_and_no_more(&alice, way);
    }
    for way in ["b", "b-fqdn"] {
        story.alice_sees_the_nodes_of_b_and_no_more(&alice, way);
        story.bob_has_rights_of_his_own(&bob, way);
    }
    story.bobs_token_is_not_for_a(&bob);
    story.without_us_b_goes_on(&alice, &bob);
    story.deleting_the_record_ends_it(&alice);
    story.bob_has_rights_of_his_own(&bob, "b");
    story.by_oidc_it_ends_with_the_token();
}

/// A watch in a real cluster ends with the key that signed its token, and TokenReviews fail.
#[test]
fn replacing_the_keys_ends_every_file() {
    let fleet = Fleet::start();
    let mut a = TestCluster::start(&Options::default()).unwrap();
    fleet.register("a", &a, &["alice"]);
    fleet.offer_direct_endpoint("a", &a);
    fleet.install_webhook("a", &mut a);
    let home = TempDir::new().unwrap();
    let admin = admin_of(&a, home.path());
    let read = ["--verb=get,list,watch", "--resource=namespaces"];
    grant(&admin, "alice", "reads", &read);
    let names = admin.output(NAMES).unwrap();
    let minted = fleet.mint("alice", json!({"clusters": ["a"]}));
    let alice = fleet.kubectl(&minted);
    for way in ["a", "a-fqdn"] {
        check(&alice, &at(way, NAMES), &names);
    }
    let watch = [NAMES, &["--watch"]].concat();
    let mut watch = alice.start(&at("a", &watch)).unwrap();
    assert_eq!(watch.next_line(LIMIT).unwrap(), "namespace/default");

    let file = fleet.server.kubeconfig("admin").display().to_string();
    let revoke = ["keys", "revoke-all", "--yes", "--kubeconfig", &file];
    assert_eq!(program::run(&revoke).unwrap().code, 0);
    check_unauthorized(&alice, "a");
    watch.wait(LIMIT).unwrap();
    check_unauthorized_soon(&alice, "a-fqdn");
    let again = fleet.mint("alice", json!({"clusters": ["a"]}));
    for way in ["a", "a-fqdn"] {
        check(&fleet.kubectl(&again), &at(way, NAMES), &names);
    }
}

struct Story {
    fleet: Fleet,
    namespaces_of_a: String,
    namespaces_of_b: String,
    a: TestCluster,
    _b: TestCluster,
    _home: TempDir,
}

impl Story {
    /// Starts the story. In `a`, alice may list namespaces; in `b`, bob may, and alice may list
    /// nodes.
    #[track_caller]
    fn begin() -> Self {
        let fleet = Fleet::start();
        let (mut a, mut b) = two_clusters();
        fleet.register("a", &a, &["alice"]);
        fleet.register("b", &b, &["alice", "bob"]);
        honour_tokens(&fleet, &mut a, &mut b);

        let home = TempDir::new().unwrap();
        let (admin_a, admin_b) = (admin_of(&a, home.path()), admin_of(&b, home.path()));
        let read = "--verb=get,list,watch";
        grant(&admin_a, "alice", "reads", &[read, "--resource=namespaces"]);
        grant(&admin_b, "alice", "reads", &[read, "--resource=nodes"]);
        grant(&admin_b, "bob", "reads", &[read, "--resource=namespaces"]);
        admin_a.output(&["create", "ns", "only-in-a"]).unwrap();
        admin_b.output(&["create", "ns", "only-in-b"]).unwrap();
        Self {
            fleet,
            namespaces_of_a: admin_a.output(NAMES).unwrap(),
            namespaces_of_b: admin_b.output(NAMES).unwrap(),
            a,
            _b: b,
            _home: home,
        }
    }

    #[track_caller]
    fn alice_sees_the_namespaces_of_a_and_no_more(&self, minted: &Minted, way: &str) {
        let alice = self.fleet.kubectl(minted);
        check(&alice, &at(way, NAMES), &self.namespaces_of_a);
        let secrets = at(way, &["get", "secrets"]);
        check_refused(
            &alice,
            &secrets,
            "Error from server (Forbidden): secrets is forbidden: User \"alice\" cannot list \
             resource \"secrets\" in API group \"\" in the namespace \"default\"",
        );
    }

    #[track_caller]
    fn alice_sees_the_nodes_of_b_and_no_more(&self, minted: &Minted, way: &str) {
        let alice = self.fleet.kubectl(minted);
        check(&alice, &at(way, &["get", "nodes", "--output=name"]), "");
        check_refused(
            &alice,
            &at(way, NAMES),
            "Error from server (Forbidden): namespaces is forbidden: User \"alice\" cannot list \
             resource \"namespaces\" in API group \"\" at the cluster scope",
        );
    }

    #[track_caller]
    fn bob_has_rights_of_his_own(&self, minted: &Minted, way: &str) {
        let bob = self.fleet.kubectl(minted);
        check(&bob, &at(way, NAMES), &self.namespaces_of_b);
    }

    /// Checks that the token is rejected at our gateway and at the cluster, which asks us.
    #[track_caller]
    fn bobs_token_is_not_for_a(&self, minted: &Minted) {
        let token = minted.token("b");
        let gateway = self.fleet.server.anonymous().unwrap().with_token(&token);
        let answer = gateway.get("/k8s/clusters/a/api/v1/namespaces").unwrap();
        assert_eq!(answer.status, 401, "{}", answer.text());
        let cluster = self.a.admin().unwrap().without_credential();
        let answer = cluster.with_token(&token).get("/api/v1/namespaces");
        assert_eq!(answer.unwrap().status, 401);
    }

    /// A cluster that asks us depends on us; one that verifies tokens itself does not.
    #[track_caller]
    fn without_us_b_goes_on(&mut self, alice: &Minted, bob: &Minted) {
        self.fleet.server.kill().unwrap();
        self.bob_has_rights_of_his_own(bob, "b-fqdn");
        check_unauthorized_soon(&self.fleet.kubectl(alice), "a-fqdn");
        self.fleet.server.restart().unwrap();
        self.alice_sees_the_namespaces_of_a_and_no_more(alice, "a-fqdn");
    }

    /// Takes effect at once at our gateway, also for open connections; soon in the cluster that
    /// asks us.
    #[track_caller]
    fn deleting_the_record_ends_it(&self, minted: &Minted) {
        let alice = self.fleet.kubectl(minted);
        let watch = [NAMES, &["--watch"]].concat();
        let mut watch = alice.start(&at("a", &watch)).unwrap();
        assert_eq!(watch.next_line(LIMIT).unwrap(), "namespace/default");
        self.fleet.delete("alice", minted);
        check_unauthorized(&alice, "a");
        check_unauthorized(&alice, "b");
        watch.wait(LIMIT).unwrap();
        check_unauthorized_soon(&alice, "a-fqdn");
    }

    /// A cluster that does not ask us cannot know that a record was deleted.
    #[track_caller]
    fn by_oidc_it_ends_with_the_token(&self) {
        let spec = json!({"clusters": ["b"], "ttl": SHORT_TTL_SECS});
        let minted = self.fleet.mint("bob", spec);
        self.bob_has_rights_of_his_own(&minted, "b");
        self.fleet.delete("bob", &minted);
        let bob = self.fleet.kubectl(&minted);
        check_unauthorized(&bob, "b");
        self.bob_has_rights_of_his_own(&minted, "b-fqdn");
        check_unauthorized_soon(&bob, "b-fqdn");
    }
}

/// Configures the clusters themselves to accept tokens: `a` asks us, `b` knows our keys.
#[track_caller]
fn honour_tokens(fleet: &Fleet, a: &mut TestCluster, b: &mut TestCluster) {
    fleet.offer_direct_endpoint("a", a);
    fleet.offer_direct_endpoint("b", b);
    fleet.install_webhook("a", a);
    let knowing = Options {
        authentication_config: Some(fleet.cluster(&["oidc", "b"])),
        ..Options::default()
    };
    b.restart_apiserver(&knowing).unwrap();
}

/// Returns a command in one context of a file.
fn at<'a>(context: &'a str, command: &[&'a str]) -> Vec<&'a str> {
    [&["--context", context], command].concat()
}

/// Checks that the token is rejected without further details.
#[track_caller]
fn check_unauthorized(kubectl: &Kubectl, context: &str) {
    let expected = "error: You must be logged in to the server (Unauthorized)";
    check_refused(kubectl, &at(context, NAMES), expected);
}

/// Checks the same within some time: independent of its flags, a kube-apiserver caches the result
/// of a TokenReview for ten seconds.
#[track_caller]
fn check_unauthorized_soon(kubectl: &Kubectl, context: &str) {
    poll::until("the end of the token", LIMIT, || {
        let answer = kubectl.run(&at(context, NAMES))?;
        Ok((answer.code != 0).then_some(()))
    })
    .unwrap();
    check_unauthorized(kubectl, context);
}
