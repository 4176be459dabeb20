//! The plugin merges the answers of its server, which work with a real cluster, and names with a
//! special meaning in YAML. It keeps nothing of a hostile server that kubectl would run or read,
//! and such parts of a file from elsewhere only with consent.

mod changes;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use e2e::kubectl::Answer;
use e2e::oidc_provider::CLIENT;
use e2e::{Kubectl, OidcProvider, Server, Site, poll};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use crate::evil::Evil;
use crate::oidc::start_with;
use crate::real_clusters::fleet::{Fleet, admin_of, grant};
use crate::record;

use changes::Change;

/// Time limit for changes of a host's RBAC to take effect, including our cache of its answers.
const LIMIT: Duration = Duration::from_secs(120);

const CREATE: &str = "POST /apis/ext.cattle.io/v1/kubeconfigs";

/// Names that could end a text, a line or a document, be parsed as another type, or reverse the
/// reading direction.
const NAMES: [&str; 14] = [
    "\"",
    "'",
    "a\nusers: []",
    "a: b",
    "a # b",
    "&a *a",
    "!!binary x",
    "---",
    "- a",
    "null",
    "0x1f",
    "a\u{85}b\u{2028}c",
    "a\u{202e}b",
    "{{.}} ${HOME} $(id)",
];

/// Returns a file with these names for everything, in the form in which kubectl shows it.
fn file_of_names() -> Value {
    let each =
        |make: &dyn Fn(&str) -> Value| NAMES.iter().map(|name| make(name)).collect::<Value>();
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": each(&|name| json!({ "name": name, "cluster": { "server": "https://a.b" } })),
        "contexts": each(&|name| json!({ "name": name, "context": { "cluster": name, "user": name } })),
        "current-context": NAMES[0],
        "users": each(&|name| json!({ "name": name, "user": { "token": name } })),
    })
}

#[test]
fn kubectl_reads_what_was_merged_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let (incoming, merged) = (folder.path().join("incoming"), folder.path().join("merged"));
    fs::write(&incoming, file_of_names().to_string()).unwrap();
    let kubectl = Kubectl::new(&merged, folder.path()).unwrap();
    // Some of the names are deceptive, which requires consent.
    let merge = ["kubeconfig", "merge", "--use-context", "--allow-exec"];
    let merge = [&merge[..], &[incoming.to_str().unwrap()]].concat();
    kubectl.with_plugin().unwrap().output(&merge).unwrap();
    let read = ["config", "view", "--raw", "--output=json"];
    let read: Value = serde_json::from_str(&kubectl.output(&read).unwrap()).unwrap();
    let sorted = |mut file: Value| {
        for list in ["clusters", "contexts", "users"] {
            let entries = file[list].as_array_mut().unwrap();
            entries.sort_by_key(|entry| entry["name"].as_str().unwrap().to_owned());
        }
        file
    };
    assert_eq!(sorted(read), sorted(file_of_names()));
}

#[test]
fn the_plugin_keeps_what_its_server_writes_and_nothing_else() {
    let provider = OidcProvider::start(&["alice"]).unwrap();
    let unbound = format!("--oidc-unbound-client-ids={CLIENT}");
    let fleet = Fleet::around(start_with(&provider, &[&unbound]));
    let prod = TestCluster::start(&Options::default()).unwrap();
    fleet.register("prod", &prod, &["alice"]);
    let home = TempDir::new().unwrap();
    grant(&admin_of(&prod, home.path()), "alice", "reads", &READS);
    Scene::begin(fleet, &provider).play();
}

/// The rules by which alice reads the cluster `prod`.
pub(crate) const READS: [&str; 2] = ["--verb=get,list", "--resource=namespaces"];

/// Alice, logged in with the plugin at a server with the cluster `prod` and at a hostile one. Her
/// file already has a context with that name.
pub(crate) struct Scene<S = Server> {
    fleet: Fleet<S>,
    evil: Evil,
    alice: Kubectl,
    folder: TempDir,
}

impl<S: Site> Scene<S> {
    /// Starts the scene. The server must have the cluster, and accept unbound tokens of the
    /// provider.
    #[track_caller]
    pub(crate) fn begin(fleet: Fleet<S>, provider: &OidcProvider) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("config");
        let alice = Kubectl::new(file, folder.path()).unwrap();
        let scene = Self {
            fleet,
            evil: Evil::start(Value::Null),
            alice: alice.with_plugin().unwrap(),
            folder,
        };
        fs::write(scene.path("token"), provider.id_token("alice").unwrap()).unwrap();
        let (url, ca) = (scene.fleet.server.url(), scene.fleet.server.ca());
        scene.log_in(&url.unwrap(), &ca.unwrap());
        scene.log_in(&scene.evil.url(), scene.evil.ca());
        scene
    }

    #[track_caller]
    pub(crate) fn play(&self) {
        let served = self.file_of_the_server();
        self.a_file_of_the_server_is_merged_beside_what_is_there(&served);
        self.what_is_created_opens_the_cluster();
        for name in NAMES.iter().filter(|name| is_visible(name)) {
            self.a_name_of_a_cluster_is_a_name_and_no_more(name);
        }
        self.an_answer_of_a_hostile_server_is_kept_as_a_server_writes_it(&served);
        let program = changes::program(&self.program(), &served.args());
        for change in changes::others(&served.args()).iter().chain([&program]) {
            self.another_answer_is_refused_and_its_record_deleted(&served, change);
            self.a_file_of_others_needs_consent(&served, change);
        }
        self.with_consent_kubectl_runs_what_the_file_says(&served, &program);
    }

    #[track_caller]
    fn a_file_of_the_server_is_merged_beside_what_is_there(&self, served: &Served) {
        self.reset();
        let incoming = self.write("incoming", &served.text);
        let said = self.run(&["merge", incoming.to_str().unwrap()]);
        let (config, name) = (self.path("config"), served.renamed());
        let told = format!(
            "Context prod was renamed to {name}: the name is already in use.\nMerged into {}: {name}.\n",
            config.display()
        );
        assert_eq!(said, answer(0, &told));
        assert_eq!(self.kept(), self.merged(served));
    }

    #[track_caller]
    fn what_is_created_opens_the_cluster(&self) {
        self.reset();
        self.create(&self.fleet.server.url().unwrap(), &["--use-context"]);
        self.check_opens(&[]);
        let own = [
            "config",
            "view",
            "--raw",
            "--output=json",
            "--minify",
            "--context=prod",
        ];
        let own = self.alice.output(&own).unwrap();
        let own: Value = serde_json::from_str(&own).unwrap();
        assert_eq!(own["users"], user_file()["users"]);
    }

    /// A user who may edit a cluster chooses its name.
    #[track_caller]
    fn a_name_of_a_cluster_is_a_name_and_no_more(&self, name: &str) {
        self.reset();
        self.fleet
            .change("prod", &json!({"spec": {"displayName": name}}));
        let alice = self.fleet.server.client("alice").unwrap();
        poll::until("the server knows the name", LIMIT, || {
            let created = record::create(&alice, spec());
            let file = Served::of(&created).file;
            Ok((file["contexts"][0]["name"] == *name).then_some(()))
        })
        .unwrap();
        self.create(&self.fleet.server.url().unwrap(), &[]);
        let kept = self.kept();
        for list in ["clusters", "contexts", "users"] {
            let entries = kept[list].as_array().unwrap().iter();
            let names: Vec<&str> = entries.map(|it| it["name"].as_str().unwrap()).collect();
            assert_eq!(names, ["prod", name], "{list}");
        }
        self.check_opens(&[&format!("--context={name}")]);
    }

    /// The hostile server sends the answer of the real one.
    #[track_caller]
    fn an_answer_of_a_hostile_server_is_kept_as_a_server_writes_it(&self, served: &Served) {
        self.reset();
        self.evil.create(served.record.clone());
        self.create(&self.evil.url(), &[]);
        assert_eq!(self.kept(), self.merged(served));
    }

    #[track_caller]
    fn another_answer_is_refused_and_its_record_deleted(&self, served: &Served, change: &Change) {
        self.reset();
        let mut record = served.record.clone();
        record["status"]["value"] = json!(served.changed(change));
        self.evil.create(record);
        self.evil.take_asked();
        let server = format!("--server={}", self.evil.url());
        let said = self.run(&[
            "create",
            &server,
            "--cluster=prod",
            "--merge",
            "--use-context",
        ]);
        let told = format!(
            "error: {} was created and deleted again, because its file could not be stored: the server sent an invalid kubeconfig: {}\n",
            served.name, change.refusal
        );
        assert_eq!(said, answer(1, &told));
        let delete = format!("DELETE {}", record::at(&served.name));
        assert_eq!(self.evil.take_asked(), [CREATE, &delete]);
        self.check_untouched();
    }

    #[track_caller]
    fn a_file_of_others_needs_consent(&self, served: &Served, change: &Change) {
        self.reset();
        let incoming = self.write("incoming", &served.changed(change));
        let said = self.run(&["merge", incoming.to_str().unwrap(), "--use-context"]);
        let shown = incoming.display();
        let told = format!(
            "With {shown}, kubectl would do the following:\n    {}\nerror: {shown} was not merged; if you trust it, add --allow-exec\n",
            change.hazard
        );
        assert_eq!(said, answer(1, &told));
        self.check_untouched();
    }

    /// The witness does not exist before, which shows that no other step has run the program.
    #[track_caller]
    fn with_consent_kubectl_runs_what_the_file_says(&self, served: &Served, program: &Change) {
        self.reset();
        let incoming = self.write("incoming", &served.changed(program));
        let incoming = incoming.to_str().unwrap();
        let merged = self.run(&["merge", incoming, "--use-context", "--allow-exec"]);
        assert_eq!(merged.code, 0, "{}", merged.stderr);
        let witness = self.path("witness");
        assert!(!witness.exists());
        let failed = self.alice.run(&["get", "namespaces"]).unwrap();
        assert_eq!(failed.code, 1);
        assert!(witness.exists(), "{}", failed.stderr);
    }

    /// Creates a program that creates the file `witness`, and returns its path.
    fn program(&self) -> String {
        let witness = self.path("witness");
        let text = format!("#!/bin/sh\n: >'{}'\n", witness.display());
        let path = self.write("program", &text);
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Returns a file without tokens, as the server writes it.
    #[track_caller]
    fn file_of_the_server(&self) -> Served {
        let alice = self.fleet.server.client("alice").unwrap();
        let created = poll::until("alice may have a file", LIMIT, || {
            let answer = alice.post(record::PATH, &record::wanted(spec()))?;
            Ok((answer.status == 201).then_some(answer))
        });
        Served::of(&created.unwrap().json().unwrap())
    }

    /// Returns the user's file with that of the server merged into it.
    fn merged(&self, served: &Served) -> Value {
        let (mut merged, name) = (user_file(), served.renamed());
        for list in ["clusters", "contexts", "users"] {
            let mut entry = served.file[list][0].clone();
            entry["name"] = json!(name);
            merged[list].as_array_mut().unwrap().push(entry);
        }
        merged["contexts"][1]["context"] = json!({
            "cluster": name, "user": name,
            "extensions": [{ "name": "kubeconfig-apiserver", "extension": {
                "server": self.fleet.server.url().unwrap(), "kubeconfig": served.name,
            }}],
        });
        merged
    }

    /// Logs in with an ID token, with this CA.
    #[track_caller]
    fn log_in(&self, url: &str, ca: &str) {
        let ca = self.write("ca.crt", ca);
        let said = self.run(&[
            "login",
            &format!("--server={url}"),
            &format!("--token-file={}", self.path("token").display()),
            &format!("--certificate-authority={}", ca.display()),
        ]);
        let told = format!(
            "Logged in at {url} as alice, trusting the CA in {}.\n",
            ca.display()
        );
        assert_eq!(said, answer(0, &told));
    }

    /// Makes a server create a file for `prod`, and merges it.
    #[track_caller]
    fn create(&self, url: &str, flags: &[&str]) {
        let create = [
            "create",
            &format!("--server={url}"),
            "--cluster=prod",
            "--no-default-entry",
            "--generate-token=false",
            "--merge",
        ];
        let said = self.run(&[&create, flags].concat());
        assert_eq!(said.code, 0, "{}", said.stderr);
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Answer {
        self.alice
            .run(&[&["kubeconfig"], arguments].concat())
            .unwrap()
    }

    /// Checks that kubectl can read the cluster, with the credential from the plugin.
    #[track_caller]
    fn check_opens(&self, flags: &[&str]) {
        let names = ["get", "namespaces", "--output=name"];
        let names = self.alice.output(&[&names, flags].concat()).unwrap();
        assert!(names.lines().any(|it| it == "namespace/default"), "{names}");
    }

    /// Restores the user's file.
    fn reset(&self) {
        self.write("config", &user_file().to_string());
    }

    #[track_caller]
    fn check_untouched(&self) {
        let text = fs::read_to_string(self.path("config")).unwrap();
        assert_eq!(text, user_file().to_string());
    }

    #[track_caller]
    fn kept(&self) -> Value {
        serde_saphyr::from_str(&fs::read_to_string(self.path("config")).unwrap()).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A record as the server created it, with its file.
struct Served {
    record: Value,
    name: String,
    text: String,
    file: Value,
}

impl Served {
    #[track_caller]
    fn of(record: &Value) -> Self {
        let text = record["status"]["value"].as_str().unwrap().to_owned();
        Self {
            record: record.clone(),
            name: record::name(record),
            file: serde_saphyr::from_str(&text).unwrap(),
            text,
        }
    }

    /// Returns the name of each of its entries if `prod` is taken.
    fn renamed(&self) -> String {
        self.name.replace("kubeconfig-", "prod-")
    }

    /// Returns the arguments of the plugin in the file.
    #[track_caller]
    fn args(&self) -> Vec<String> {
        let args = &self.file["users"][0]["user"]["exec"]["args"];
        let args = args.as_array().unwrap().iter();
        args.map(|it| it.as_str().unwrap().to_owned()).collect()
    }

    /// Returns the text of the file after a change, as JSON below the same heading.
    #[track_caller]
    fn changed(&self, change: &Change) -> String {
        let mut file = self.file.clone();
        change.make(&mut file);
        let heading = self.text.lines().take_while(|line| line.starts_with('#'));
        let heading: String = heading.map(|line| format!("{line}\n")).collect();
        format!("{heading}{file}\n")
    }
}

/// Returns the spec of a file for `prod` alone, without tokens.
fn spec() -> Value {
    json!({ "clusters": ["prod"], "includeDefaultEntry": false, "generateToken": false })
}

/// Returns the file of the user.
fn user_file() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "prod",
        "clusters": [{ "name": "prod", "cluster": { "server": "https://own.example" } }],
        "contexts": [{ "name": "prod", "context": { "cluster": "prod", "user": "prod" } }],
        "users": [{ "name": "prod", "user": { "token": "own" } }],
    })
}

/// Returns whether a server accepts the text as the name of a cluster.
fn is_visible(name: &str) -> bool {
    !name.contains(['\n', '\u{85}', '\u{2028}', '\u{202e}'])
}

fn answer(code: i32, stderr: &str) -> Answer {
    Answer {
        code,
        stdout: String::new(),
        stderr: stderr.to_owned(),
    }
}
