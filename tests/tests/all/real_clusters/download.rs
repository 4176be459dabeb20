//! The story of downloaded files: they give access to a real cluster, the administrator's file as
//! its administrator, until their records are deleted.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use e2e::http::{Request, expect};
use e2e::{Client, Kubectl, poll};
use serde_json::json;
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::fleet::{Fleet, admin_of, check, check_refused, grant};
use crate::record;

/// Time limit, far more than any step here takes.
const LIMIT: Duration = Duration::from_secs(60);

const NAMES: &[&str] = &["get", "namespaces", "--output=name"];

/// A right that only the role of an administrator grants.
const EVERYTHING: &[&str] = &["auth", "can-i", "*", "*", "--all-namespaces"];

const WHO: &[&str] = &["auth", "whoami", "-o=jsonpath={.status.userInfo.groups}"];

#[test]
fn downloaded_files_open_a_cluster_until_their_records_go() {
    let mut story = Story::begin();
    let kubeconfig = story.download("bob", "kubeconfig");
    let admin = story.download("bob", "adminkubeconfig");
    story.bob_is_bob_with(&kubeconfig);
    for context in ["a-fqdn", "by-gateway"] {
        story.bob_is_an_administrator_with(&admin, context);
    }
    story.a_cluster_that_verifies_by_itself_knows_the_administrator_too();
    story.alice_logs_in_with_hers();
    story.deleting_the_records_ends_them(&kubeconfig, &admin);
}

struct Story {
    fleet: Fleet,
    a: TestCluster,
    namespaces: String,
    folder: TempDir,
}

/// A file on the user's disk.
struct Downloaded {
    record: String,
    file: PathBuf,
}

impl Story {
    /// Starts the story. Alice may get the cluster and list namespaces in it. Bob may delete it
    /// here, and has no rights in it. The cluster sends us TokenReviews.
    #[track_caller]
    fn begin() -> Self {
        let fleet = Fleet::start();
        let mut a = TestCluster::start(&Options::default()).unwrap();
        fleet.register("a", &a, &["alice", "bob"]);
        let delete = [
            "--verb=delete",
            "--resource=clusters.management.cattle.io",
            "--resource-name=a",
        ];
        grant(&fleet.admin(), "bob", "deletes", &delete);
        fleet.offer_direct_endpoint("a", &a);
        fleet.install_webhook("a", &mut a);
        let folder = TempDir::new().unwrap();
        let admin = admin_of(&a, folder.path());
        let read = ["--verb=get,list,watch", "--resource=namespaces"];
        grant(&admin, "alice", "reads", &read);
        let namespaces = admin.output(NAMES).unwrap();
        Self {
            fleet,
            a,
            namespaces,
            folder,
        }
    }

    #[track_caller]
    fn client(&self, user: &str) -> Client {
        self.fleet.server.client(user).unwrap()
    }

    #[track_caller]
    fn download(&self, user: &str, asset: &str) -> Downloaded {
        let path = format!("/v1/spectroclusters/a/assets/{asset}");
        let answer = expect(self.client(user).get(&path).unwrap(), 200).unwrap();
        let text = answer.text();
        let mut lines = text.lines();
        let record = lines.find_map(|line| line.strip_prefix("# name: "));
        let record = record.unwrap().to_owned();
        let file = self.folder.path().join(&record);
        fs::write(&file, &text).unwrap();
        Downloaded { record, file }
    }

    fn kubectl(&self, downloaded: &Downloaded) -> Kubectl {
        self.fleet.admin().with_kubeconfig(&downloaded.file)
    }

    /// Checks access through the gateway, with the rights that the cluster gives bob: none.
    #[track_caller]
    fn bob_is_bob_with(&self, file: &Downloaded) {
        let kubectl = self.kubectl(file);
        check(&kubectl, &["config", "current-context"], "a\n");
        check(&kubectl, WHO, r#"["system:authenticated"]"#);
        check_refused(
            &kubectl,
            NAMES,
            "Error from server (Forbidden): namespaces is forbidden: User \"bob\" cannot list \
             resource \"namespaces\" in API group \"\" at the cluster scope",
        );
    }

    /// Checks access to the cluster itself, which the file refers to, and the file's token at the
    /// gateway.
    #[track_caller]
    fn bob_is_an_administrator_with(&self, file: &Downloaded, context: &str) {
        self.add_gateway(file);
        let kubectl = self.kubectl(file);
        let at = |command: &[&'static str]| [&["--context", context], command].concat();
        let groups = r#"["kubeconfig-apiserver:cluster-admins","system:authenticated"]"#;
        // A cluster that has just started may not know our keys yet.
        let who = poll::until("the cluster knows the token", LIMIT, || {
            let answer = kubectl.run(&at(WHO))?;
            Ok((answer.code == 0).then_some(answer.stdout))
        })
        .unwrap();
        let mut found: Vec<String> = serde_json::from_str(&who).unwrap();
        found.sort();
        assert_eq!(json!(found).to_string(), groups, "{context}");
        check(&kubectl, &at(EVERYTHING), "yes\n");
        check(&kubectl, &at(NAMES), &self.namespaces);
    }

    /// Adds a context `by-gateway` for the same user.
    #[track_caller]
    fn add_gateway(&self, file: &Downloaded) {
        let kubectl = self.kubectl(file);
        let url = self.fleet.server.url().unwrap();
        let server = format!("--server={url}/k8s/clusters/a");
        let ca = self.fleet.server.data_dir().join("ca.crt");
        let ca = format!("--certificate-authority={}", ca.display());
        let set = ["config", "set-cluster", "by-gateway", &server, &ca];
        kubectl.output(&set).unwrap();
        let context = ["config", "set-context", "by-gateway"];
        let of = ["--cluster=by-gateway", "--user=a"];
        kubectl.output(&[&context[..], &of].concat()).unwrap();
    }

    /// The cluster uses the groups in the token.
    #[track_caller]
    fn a_cluster_that_verifies_by_itself_knows_the_administrator_too(&mut self) {
        let knowing = Options {
            authentication_config: Some(self.fleet.cluster(&["oidc", "a"])),
            ..Options::default()
        };
        self.a.restart_apiserver(&knowing).unwrap();
        let admin = self.download("bob", "adminkubeconfig");
        self.bob_is_an_administrator_with(&admin, "a-fqdn");
        self.fleet.install_webhook("a", &mut self.a);
    }

    /// If the cluster has a provider, alice gets a file without tokens, and the plugin gets tokens
    /// for her.
    #[track_caller]
    fn alice_logs_in_with_hers(&self) {
        let alice = self.client("alice");
        let path = "/v1/spectroclusters/a/assets/kubeconfig";
        assert_eq!(alice.get(path).unwrap().status, 403);
        let oidc = json!({ "issuer": "https://login.example.com", "clientID": "kubernetes" });
        let spec = json!({ "spec": { "authentication": { "oidc": oidc } } });
        self.fleet.change("a", &spec);
        let hers = self.download("alice", "kubeconfig");
        let kubectl = self.kubectl(&hers).with_plugin().unwrap();
        let server = format!("--server={}", self.fleet.server.url().unwrap());
        let [certificate, key, authority] = self.fleet.login_flags("alice", self.folder.path());
        let login = [
            "kubeconfig",
            "login",
            &server,
            &certificate,
            &key,
            &authority,
        ];
        let said = kubectl.run(&login).unwrap();
        assert_eq!(said.code, 0, "{}", said.stderr);
        check(&kubectl, NAMES, &self.namespaces);
        self.delete("alice", &hers);
        let refused = kubectl.run(NAMES).unwrap();
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    }

    #[track_caller]
    fn delete(&self, user: &str, downloaded: &Downloaded) {
        let request = Request::new("DELETE", &record::at(&downloaded.record));
        expect(self.client(user).send(&request).unwrap(), 200).unwrap();
    }

    /// Takes effect at once at our gateway; soon at the cluster, which caches the results of
    /// TokenReviews for ten seconds.
    #[track_caller]
    fn deleting_the_records_ends_them(&self, kubeconfig: &Downloaded, admin: &Downloaded) {
        self.delete("bob", kubeconfig);
        self.delete("bob", admin);
        let unauthorized = "error: You must be logged in to the server (Unauthorized)";
        check_refused(&self.kubectl(kubeconfig), NAMES, unauthorized);
        let kubectl = self.kubectl(admin);
        let by_gateway = [&["--context", "by-gateway"], NAMES].concat();
        check_refused(&kubectl, &by_gateway, unauthorized);
        poll::until("the end of the administrator's token", LIMIT, || {
            Ok((kubectl.run(NAMES)?.code != 0).then_some(()))
        })
        .unwrap();
        check_refused(&kubectl, NAMES, unauthorized);
    }
}
