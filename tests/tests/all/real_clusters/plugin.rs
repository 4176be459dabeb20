//! The story of a file without tokens: kubectl, and a program written with client-go, get what opens a
//! real cluster from the plugin, by a token at our gateway and by a certificate at the cluster itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::{Authority, Validity};
use e2e::{ClientGo, Kubectl, poll};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::fleet::{Fleet, admin_of, check, grant};

/// Far beyond what anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

const NAMES: &[&str] = &["get", "namespaces", "--output=name"];

#[test]
fn a_file_without_tokens_works_while_its_record_and_its_login_do() {
    let story = Story::begin();
    story.without_a_login_kubectl_says_what_to_run();
    story.log_in();
    let v1 = story.create("v1");
    story.set_version("v1beta1");
    let v1beta1 = story.create("v1beta1");
    for file in [
        &v1,
        &v1beta1,
        &story.without_cluster_info(&v1),
        &story.without_cluster_info(&v1beta1),
    ] {
        story.check_opens(file);
    }
    story.an_expired_credential_is_exchanged_anew(&v1);
    let mut program = ClientGo::start(&story.alice, &v1, "a").unwrap();
    story.a_program_survives_the_end_of_a_token(&mut program);
    story.the_end_of_the_record_ends_it(&v1, &mut program);
    story.check_opens(&v1beta1);
    story.what_is_gone_is_pruned(&v1, &v1beta1);
}

struct Story {
    fleet: Fleet,
    /// kubectl with the plugin, and the file that the server gave alice.
    alice: Kubectl,
    _a: TestCluster,
    folder: TempDir,
}

impl Story {
    /// In `a`, alice may see namespaces and keep config maps. Whom our signer vouches for, `a` believes.
    #[track_caller]
    fn begin() -> Self {
        let fleet = Fleet::start();
        let mut a = TestCluster::start(&Options::default()).unwrap();
        fleet.register("a", &a, &["alice"]);
        let folder = TempDir::new().unwrap();
        sign_for(&fleet, &mut a, folder.path());
        let admin = admin_of(&a, folder.path());
        grant(
            &admin,
            "alice",
            "reads",
            &["--verb=get,list,watch", "--resource=namespaces"],
        );
        grant(
            &admin,
            "alice",
            "keeps",
            &["--verb=get,create,patch", "--resource=configmaps"],
        );
        let alice = fleet
            .server
            .kubectl("alice")
            .unwrap()
            .with_plugin()
            .unwrap();
        Self {
            fleet,
            alice,
            _a: a,
            folder,
        }
    }

    /// With the certificate that the server gave alice; her file says who vouches for it.
    #[track_caller]
    fn log_in(&self) {
        let file = fs::read_to_string(self.fleet.server.kubeconfig("alice")).unwrap();
        let file: Value = serde_saphyr::from_str(&file).unwrap();
        let mut login = vec!["kubeconfig".to_owned(), "login".to_owned(), self.server()];
        for part in ["client-certificate", "client-key"] {
            let data = file["users"][0]["user"][format!("{part}-data")]
                .as_str()
                .unwrap();
            let path = self.folder.path().join(part);
            fs::write(&path, STANDARD.decode(data).unwrap()).unwrap();
            login.push(format!("--{part}={}", path.display()));
        }
        let said = self.alice.run(&login).unwrap();
        assert_eq!(
            (said.code, said.stdout.as_str()),
            (0, ""),
            "{}",
            said.stderr
        );
        assert!(said.stderr.ends_with(" as alice.\n"), "{}", said.stderr);
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

    /// A new file of alice, which holds no secret.
    #[track_caller]
    fn create(&self, version: &str) -> PathBuf {
        let path = self.folder.path().join(version);
        let file = format!("--file={}", path.display());
        let create = [
            "kubeconfig",
            "create",
            "--cluster=a",
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

    /// The same file for a plugin that is told nothing by the file.
    #[track_caller]
    fn without_cluster_info(&self, file: &Path) -> PathBuf {
        let text = fs::read_to_string(file).unwrap();
        let path = file.with_extension("quiet");
        let quiet = text.replace("provideClusterInfo: true", "provideClusterInfo: false");
        assert_ne!(quiet, text);
        fs::write(&path, quiet).unwrap();
        path
    }

    fn kubectl(&self, file: &Path) -> Kubectl {
        self.alice.with_kubeconfig(file)
    }

    /// The server, the cluster through it, and the cluster itself; kubectl has something to read, or
    /// nothing.
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
        for context in ["--context=a", "--context=a-fqdn"] {
            let names = kubectl.run(&[&[context], NAMES].concat()).unwrap();
            assert!(names.stdout.starts_with("namespace/default\n"), "{names:?}");
            let input = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"kept"}}"#;
            let apply = [context, "apply", "--filename=-", "--output=name"];
            let applied = kubectl.run_with_input(&apply, input).unwrap();
            assert_eq!(applied.stdout, "configmap/kept\n", "{applied:?}");
        }
    }

    /// Nobody is asked anything: kubectl has no terminal here.
    #[track_caller]
    fn without_a_login_kubectl_says_what_to_run(&self) {
        let minted = self.fleet.mint(
            "alice",
            json!({ "clusters": ["a"], "generateToken": false }),
        );
        let answer = self
            .fleet
            .kubectl(&minted)
            .with_plugin()
            .unwrap()
            .run(NAMES)
            .unwrap();
        let url = self.fleet.server.url().unwrap();
        let expected = format!("    kubectl kubeconfig login --server={url}\n");
        assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
        assert!(answer.stderr.contains(&expected), "{}", answer.stderr);
        self.fleet.delete("alice", &minted);
    }

    #[track_caller]
    fn an_expired_credential_is_exchanged_anew(&self, file: &Path) {
        let before = self.tokens();
        self.set_kept("expires");
        self.check_opens(file);
        // One for the server and one for the cluster; a certificate leaves none.
        assert_eq!(self.tokens(), before + 2);
    }

    /// Has a time of all kept credentials be long ago: the clock of the plugin is the machine's.
    #[track_caller]
    fn set_kept(&self, time: &str) {
        let folder = self.alice.home().join(".cache/kubectl-kubeconfig");
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with("credential-") {
                let mut kept: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                kept[time] = json!("2020-01-01T00:00:00Z");
                fs::write(&path, kept.to_string()).unwrap();
            }
        }
    }

    #[track_caller]
    fn tokens(&self) -> usize {
        let names = self
            .alice
            .output(&["get", "tokens", "--output=name"])
            .unwrap();
        names.lines().count()
    }

    /// client-go asks again after a refusal; within seconds it gets a new token.
    #[track_caller]
    fn a_program_survives_the_end_of_a_token(&self, program: &mut ClientGo) {
        assert_eq!(program.list().unwrap()["namespaces"][0], "default");
        self.alice.output(&["delete", "tokens", "--all"]).unwrap();
        assert_eq!(program.list().unwrap(), json!({ "error": "Unauthorized" }));
        poll::until("another token", LIMIT, || {
            let answer = program.list()?;
            Ok((answer["namespaces"][0] == "default").then_some(()))
        })
        .unwrap();
    }

    /// At once at the gateway, for what is under way there too; then the plugin gives nothing any more.
    #[track_caller]
    fn the_end_of_the_record_ends_it(&self, file: &Path, program: &mut ClientGo) {
        let kubectl = self.kubectl(file);
        let watch = [&["--context=a"], NAMES, &["--watch"]].concat();
        let mut watch = kubectl.start(&watch).unwrap();
        assert_eq!(watch.next_line(LIMIT).unwrap(), "namespace/default");
        let record = record_of(file);
        check_quiet(&self.alice, &["kubeconfig", "delete", &record]);
        watch.wait(LIMIT).unwrap();
        assert_eq!(program.list().unwrap(), json!({ "error": "Unauthorized" }));
        self.set_kept("checked");
        for context in ["--context=a", "--context=a-fqdn"] {
            let answer = kubectl.run(&[&[context], NAMES].concat()).unwrap();
            assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
            let why = format!(
                "gives no credential to alice: kubeconfigs.ext.cattle.io \"{record}\" not found"
            );
            assert!(answer.stderr.contains(&why), "{}", answer.stderr);
        }
    }

    #[track_caller]
    fn what_is_gone_is_pruned(&self, gone: &Path, there: &Path) {
        let mine = self.folder.path().join("mine");
        let (flag, gone) = (
            format!("--kubeconfig={}", mine.display()),
            gone.display().to_string(),
        );
        let merge = [
            "kubeconfig",
            "merge",
            &flag,
            &gone,
            &there.display().to_string(),
        ];
        check_quiet(&self.alice, &merge);
        let kubectl = self.kubectl(&mine);
        let contexts = ["config", "get-contexts", "--output=name"];
        let suffix = record_of(there).replace("kubeconfig-", "");
        let kept = ["a", "a-fqdn", "rancher"].map(|name| format!("{name}-{suffix}\n"));
        let all = ["a\n", &kept[0], "a-fqdn\n", &kept[1], "rancher\n", &kept[2]];
        let sorted = |names: &[&str]| {
            let mut names = names.to_vec();
            names.sort();
            names.concat()
        };
        check(&kubectl, &contexts, &sorted(&all));
        check_quiet(&self.alice, &["kubeconfig", "prune", &flag]);
        check(
            &kubectl,
            &contexts,
            &sorted(&kept.each_ref().map(String::as_str)),
        );
        let context = format!("--context=a-{suffix}");
        check_quiet(&kubectl, &[&[context.as_str()], NAMES].concat());
    }
}

/// The command ended well.
#[track_caller]
fn check_quiet(kubectl: &Kubectl, arguments: &[&str]) {
    let answer = kubectl.run(arguments).unwrap();
    assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.stderr);
}

/// The record that the heading of a file names.
#[track_caller]
fn record_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("# name: "));
    line.unwrap().to_owned()
}

/// Sets `a` up for client certificates of an authority of its own, at the cluster itself.
#[track_caller]
fn sign_for(fleet: &Fleet, a: &mut TestCluster, folder: &Path) {
    let validity = Validity {
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2099-01-01T00:00:00Z".parse().unwrap(),
    };
    let signer = Authority::create("signer", validity).unwrap();
    let (certificate, key) = (folder.join("signer.crt"), folder.join("signer.key"));
    fs::write(&certificate, signer.certificate_pem()).unwrap();
    fs::write(&key, signer.key().expose()).unwrap();
    let files = [
        format!("--cert={}", certificate.display()),
        format!("--key={}", key.display()),
    ];
    let secret = [
        "create",
        "secret",
        "tls",
        "signer",
        "--namespace=kubeconfig-apiserver",
        &files[0],
        &files[1],
    ];
    fleet.admin().output(&secret).unwrap();
    fleet.offer_direct_endpoint("a", a);
    let reference = json!({ "namespace": "kubeconfig-apiserver", "name": "signer" });
    let change = json!({ "spec": { "clientCertificates": { "signerSecretRef": reference } } });
    fleet.change("a", &change);

    let bundle = format!("{}{}", a.ca_pem(), signer.certificate_pem());
    fs::write(a.folder().join("clients.crt"), bundle).unwrap();
    let believing = Options {
        arguments: vec!["--client-ca-file=clients.crt".to_owned()],
        ..Options::default()
    };
    a.restart_apiserver(&believing).unwrap();
}
