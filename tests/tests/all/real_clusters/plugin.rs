//! The story of a file without tokens: kubectl, and a client-go program, get credentials for a real
//! cluster from the plugin, a token for our gateway and a certificate for the cluster itself, for a
//! user of a real provider.

mod documented;
mod ends;
mod logins;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::oidc_provider::CLIENT;
use e2e::{ClientGo, Kubectl, OidcProvider, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::fleet::{Fleet, admin_of, check, grant};
use super::signer;

/// Time limit, far more than any step here takes.
const LIMIT: Duration = Duration::from_secs(60);

const NAMES: &[&str] = &["get", "namespaces", "--output=name"];

/// The contexts through the server, and to the cluster itself.
const CONTEXTS: [&str; 2] = ["prod", "prod-fqdn"];

#[test]
fn a_file_without_tokens_works_while_its_record_and_its_login_do() {
    let story = Story::begin();
    story.without_a_login_kubectl_says_what_to_run();
    story.what_is_documented_works();
    story.log_in_by_certificate();
    let v1 = story.create("v1");
    story.set_version("v1beta1");
    let v1beta1 = story.create("v1beta1");
    for file in [&v1, &v1beta1] {
        story.check_opens(file);
        story.check_opens_to_a_program(file);
        story.a_file_that_leads_elsewhere_gets_nothing(file);
    }
    story.an_expired_credential_is_exchanged_anew(&v1);
    let mut program = ClientGo::start(&story.alice, &v1, "prod").unwrap();
    story.a_program_survives_the_end_of_a_token(&mut program);
    story.the_end_of_the_record_ends_it(&v1, &mut program);
    story.check_opens(&v1beta1);
    story.what_is_gone_is_pruned(&v1, &v1beta1);
    story.a_token_of_the_provider_is_a_login(&v1beta1);
    story.a_user_whose_stdin_is_taken_is_not_asked(&v1beta1);
    story.a_user_at_a_terminal_is_asked(&v1beta1);
    story.a_login_renews_itself(&v1beta1);
    story.a_code_typed_elsewhere_is_a_login(&v1beta1);
}

struct Story {
    fleet: Fleet,
    provider: OidcProvider,
    /// kubectl with the plugin, and the file that the server gave alice.
    alice: Kubectl,
    _prod: TestCluster,
    folder: TempDir,
}

impl Story {
    /// Starts the story. In `prod`, alice may list namespaces and pods and keep config maps. `prod`
    /// trusts the certificates of our signer.
    #[track_caller]
    fn begin() -> Self {
        let provider = OidcProvider::start(&["alice"]).unwrap();
        let fleet = Fleet::around(server(&provider));
        let mut prod = TestCluster::start(&Options::default()).unwrap();
        fleet.register("prod", &prod, &["alice"]);
        let folder = TempDir::new().unwrap();
        signer::sign_for(&fleet, "prod", &mut prod, folder.path(), Options::default());
        let admin = admin_of(&prod, folder.path());
        let reads = ["--verb=get,list,watch", "--resource=namespaces,pods"];
        grant(&admin, "alice", "reads", &reads);
        let keeps = ["--verb=get,create,patch", "--resource=configmaps"];
        grant(&admin, "alice", "keeps", &keeps);
        let alice = fleet.server.kubectl("alice").unwrap();
        Self {
            alice: alice.with_plugin().unwrap(),
            fleet,
            provider,
            _prod: prod,
            folder,
        }
    }

    fn server(&self) -> String {
        format!("--server={}", self.fleet.server.url().unwrap())
    }

    #[track_caller]
    fn set_version(&self, version: &str) {
        let patch = json!({ "value": version }).to_string();
        let setting = [
            "patch",
            "settings.management.cattle.io",
            "kubeconfig-exec-api-version",
        ];
        let arguments = [&setting[..], &["--type=merge", "-p", &patch]].concat();
        self.fleet.admin().output(&arguments).unwrap();
    }

    /// Creates a file for alice, which contains no secret.
    #[track_caller]
    fn create(&self, version: &str) -> PathBuf {
        let path = self.folder.path().join(version);
        let file = format!("--file={}", path.display());
        let create = [
            "kubeconfig",
            "create",
            "--cluster=prod",
            "--generate-token=false",
            &file,
        ];
        check_quiet(&self.alice, &create);
        let text = fs::read_to_string(&path).unwrap();
        let api = format!("apiVersion: client.authentication.k8s.io/{version}\n");
        assert_eq!(
            (text.matches(&api).count(), text.matches("token:").count()),
            (3, 0),
            "{text}"
        );
        path
    }

    /// Checks that the same file with another address, or without an address, gets no credential.
    #[track_caller]
    fn a_file_that_leads_elsewhere_gets_nothing(&self, file: &Path) {
        let text = fs::read_to_string(file).unwrap();
        let url = self.fleet.server.url().unwrap();
        let server = format!("{url}/k8s/clusters/prod");
        for (from, to, why) in [
            (
                "provideClusterInfo: true",
                "provideClusterInfo: false",
                "does not set provideClusterInfo: true",
            ),
            (
                server.as_str(),
                "https://127.0.0.1:1/k8s/clusters/prod",
                "it is not an address that the server publishes for this cluster",
            ),
            (
                server.as_str(),
                url.as_str(),
                "it is not an address that the server publishes for this cluster",
            ),
        ] {
            let path = file.with_extension("hostile");
            let hostile = text.replace(from, to);
            assert_ne!(hostile, text);
            fs::write(&path, hostile).unwrap();
            let arguments = [&["--context=prod"], NAMES].concat();
            let answer = self.kubectl(&path).run(&arguments).unwrap();
            assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
            assert!(answer.stderr.contains(why), "{}", answer.stderr);
        }
    }

    fn kubectl(&self, file: &Path) -> Kubectl {
        self.alice.with_kubeconfig(file)
    }

    /// Checks access to the server, to the cluster through it, and to the cluster itself, with and
    /// without standard input for kubectl.
    #[track_caller]
    fn check_opens(&self, file: &Path) {
        let kubectl = self.kubectl(file);
        let who = [
            "--context=rancher",
            "auth",
            "whoami",
            "-o=jsonpath={.status.userInfo.username}",
        ];
        check(&kubectl, &who, "alice");
        for context in CONTEXTS.map(|name| format!("--context={name}")) {
            let names = kubectl.run(&[&[context.as_str()], NAMES].concat()).unwrap();
            assert!(names.stdout.starts_with("namespace/default\n"), "{names:?}");
            let apply = [&context, "apply", "--filename=-", "--output=name"];
            let applied = kubectl.run_with_input(&apply, KEPT).unwrap();
            assert_eq!(applied.stdout, "configmap/kept\n", "{applied:?}");
        }
    }

    #[track_caller]
    fn check_opens_to_a_program(&self, file: &Path) {
        for context in CONTEXTS {
            let mut program = ClientGo::start(&self.alice, file, context).unwrap();
            assert_eq!(program.list().unwrap()["namespaces"][0], "default");
        }
    }
}

/// An object that kubectl creates.
const KEPT: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"kept"}}"#;

/// Starts our server, which accepts ID tokens of this provider.
#[track_caller]
fn server(provider: &OidcProvider) -> Server {
    let arguments = [
        format!("--oidc-issuer-url={}", provider.issuer()),
        format!("--oidc-client-id={CLIENT}"),
        format!("--oidc-ca-file={}", provider.ca_file().display()),
        "--oidc-username-prefix=-".to_owned(),
        // For the device code, whose token this provider does not bind, and a token from another
        // program.
        format!("--oidc-unbound-client-ids={CLIENT}"),
    ];
    let options = e2e::server::Options {
        arguments: arguments.to_vec(),
        ..Default::default()
    };
    Server::start_with(options).unwrap()
}

/// Checks that a command succeeds.
#[track_caller]
fn check_quiet(kubectl: &Kubectl, arguments: &[&str]) {
    let answer = kubectl.run(arguments).unwrap();
    assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.stderr);
}

/// Returns the name of the record in the heading of a file.
#[track_caller]
fn record_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("# name: "));
    line.unwrap().to_owned()
}

/// Changes the plugin's cached files with this prefix, to simulate that time has passed: its clock
/// is that of the machine.
#[track_caller]
fn change_kept(kubectl: &Kubectl, prefix: &str, change: impl Fn(&mut Value)) {
    let folder = kubectl.home().join(".cache/kubectl-kubeconfig");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with(prefix)
        {
            let mut kept = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            change(&mut kept);
            fs::write(&path, kept.to_string()).unwrap();
        }
    }
}
