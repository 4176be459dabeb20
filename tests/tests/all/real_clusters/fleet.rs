//! Our server with real clusters registered, and the actions of its users.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::kubectl::Answer;
use e2e::server::Options as ServerOptions;
use e2e::{Client, Kubectl, Server, Site, program};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use crate::record;

/// Our server, with users alice and bob.
pub(crate) struct Fleet<S = Server> {
    pub(crate) server: S,
    files: TempDir,
}

impl Fleet {
    #[track_caller]
    pub(super) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with these flags.
    #[track_caller]
    pub(super) fn start_with(arguments: &[&str]) -> Self {
        let options = ServerOptions {
            arguments: arguments.iter().map(|&flag| flag.to_owned()).collect(),
            ..ServerOptions::default()
        };
        Self::around(Server::start_with(options).unwrap())
    }
}

impl<S: Site> Fleet<S> {
    /// Returns the flags with which the plugin logs in with the client certificate of a user: the
    /// certificate, its key and the CA of the server, as files in this folder.
    #[track_caller]
    pub(super) fn login_flags(&self, user: &str, folder: &Path) -> [String; 3] {
        let file = fs::read_to_string(self.server.kubeconfig(user)).unwrap();
        let file: Value = serde_saphyr::from_str(&file).unwrap();
        let (user, cluster) = (&file["users"][0]["user"], &file["clusters"][0]["cluster"]);
        [
            ("client-certificate", &user["client-certificate-data"]),
            ("client-key", &user["client-key-data"]),
            (
                "certificate-authority",
                &cluster["certificate-authority-data"],
            ),
        ]
        .map(|(flag, data)| {
            let path = folder.join(flag);
            fs::write(&path, STANDARD.decode(data.as_str().unwrap()).unwrap()).unwrap();
            format!("--{flag}={}", path.display())
        })
    }

    /// Creates a fleet with this server.
    #[track_caller]
    pub(crate) fn around(server: S) -> Self {
        Self {
            server,
            files: TempDir::new().unwrap(),
        }
    }

    /// Runs a `cluster` command as the administrator and returns its output.
    #[track_caller]
    pub(crate) fn cluster(&self, arguments: &[&str]) -> String {
        let admin = self.server.kubeconfig("admin").display().to_string();
        let arguments = [&["cluster"], arguments, &["--kubeconfig", &admin]].concat();
        let outcome = program::run(&arguments).unwrap();
        assert_eq!(outcome.code, 0, "{arguments:?}: {}", outcome.stderr);
        outcome.stdout
    }

    /// Registers a real cluster and permits users to have files for it.
    #[track_caller]
    pub(crate) fn register(&self, name: &str, cluster: &TestCluster, users: &[&str]) {
        let file = cluster.admin_kubeconfig().display().to_string();
        self.cluster(&["add", name, "--from", &file]);
        self.open(name, users);
    }

    /// Permits users to have files for a cluster.
    #[track_caller]
    pub(crate) fn open(&self, name: &str, users: &[&str]) {
        let admin = self.admin();
        for user in users {
            grant(
                &admin,
                user,
                &format!("reach-{name}"),
                &[
                    "--verb=get",
                    "--resource=clusters.management.cattle.io",
                    &format!("--resource-name={name}"),
                ],
            );
        }
    }

    /// Changes the record of a cluster.
    #[track_caller]
    pub(crate) fn change(&self, name: &str, change: &Value) {
        let patch = change.to_string();
        let arguments = ["patch", "clusters.management.cattle.io", name];
        let arguments = [&arguments[..], &["--type=merge", "-p", &patch]].concat();
        self.admin().output(&arguments).unwrap();
    }

    /// Configures the route to a cluster that bypasses the gateway.
    #[track_caller]
    pub(super) fn offer_direct_endpoint(&self, name: &str, cluster: &TestCluster) {
        let url = cluster.url();
        let fqdn = url.strip_prefix("https://").unwrap();
        self.change(
            name,
            &json!({"spec": {"localClusterAuthEndpoint": {
                "enabled": true, "fqdn": fqdn, "caCerts": cluster.ca_pem(),
            }}}),
        );
    }

    /// Returns kubectl for the management API as its administrator.
    #[track_caller]
    pub(crate) fn admin(&self) -> Kubectl {
        self.server.kubectl("admin").unwrap()
    }

    /// Makes a cluster send us the tokens that it does not know, with the credential of a new
    /// webhook.
    #[track_caller]
    pub(super) fn install_webhook(&self, name: &str, cluster: &mut TestCluster) {
        let asking = Options {
            token_webhook: Some(self.cluster(&["webhook", name])),
            ..Options::default()
        };
        cluster.restart_apiserver(&asking).unwrap();
    }

    /// Creates a kubeconfig as a user and returns the file, named after its record.
    #[track_caller]
    pub(super) fn mint(&self, user: &str, spec: Value) -> Minted {
        self.mint_as(&self.server.client(user).unwrap(), spec)
    }

    /// Creates a kubeconfig as this client and returns the file, named after its record.
    #[track_caller]
    pub(super) fn mint_as(&self, client: &Client, spec: Value) -> Minted {
        let created = record::create(client, spec);
        let record = record::name(&created);
        let file = self.files.path().join(&record);
        fs::write(&file, created["status"]["value"].as_str().unwrap()).unwrap();
        Minted { record, file }
    }

    /// Returns kubectl with a minted file.
    #[track_caller]
    pub(super) fn kubectl(&self, minted: &Minted) -> Kubectl {
        self.admin().with_kubeconfig(&minted.file)
    }

    /// Deletes a record as its owner.
    #[track_caller]
    pub(super) fn delete(&self, user: &str, minted: &Minted) {
        let owner = self.server.kubectl(user).unwrap();
        let said = owner.output(&["delete", "kubeconfig", &minted.record]);
        assert_eq!(
            said.unwrap(),
            format!("kubeconfig.ext.cattle.io \"{}\" deleted\n", minted.record)
        );
    }
}

/// A minted file of a user.
pub(super) struct Minted {
    pub(super) record: String,
    file: PathBuf,
}

impl Minted {
    /// Returns a test client for one of its contexts.
    #[track_caller]
    pub(super) fn client(&self, context: &str) -> Client {
        let mut content = self.content();
        content["current-context"] = context.into();
        Client::from_kubeconfig(&content.to_string()).unwrap()
    }

    /// Returns the token of a user entry, which has the same name as its cluster entry.
    #[track_caller]
    pub(super) fn token(&self, user: &str) -> String {
        let content = self.content();
        let mut users = content["users"].as_array().unwrap().iter();
        let user = users.find(|it| it["name"] == user).unwrap();
        user["user"]["token"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(super) fn content(&self) -> Value {
        serde_saphyr::from_str(&fs::read_to_string(&self.file).unwrap()).unwrap()
    }
}

/// Starts two clusters concurrently.
#[track_caller]
pub(super) fn two_clusters() -> (TestCluster, TestCluster) {
    let start = || TestCluster::start(&Options::default());
    let (a, b) = std::thread::scope(|scope| {
        let a = scope.spawn(start);
        (start(), a.join().unwrap())
    });
    (a.unwrap(), b.unwrap())
}

/// Returns kubectl as the administrator of a real cluster.
#[track_caller]
pub(crate) fn admin_of(cluster: &TestCluster, home: &Path) -> Kubectl {
    Kubectl::new(cluster.admin_kubeconfig(), home).unwrap()
}

/// Grants a user a cluster role with these rules, under a name of its own.
#[track_caller]
pub(crate) fn grant(admin: &Kubectl, user: &str, role: &str, rules: &[&str]) {
    let name = format!("{user}-{role}");
    let create = [&["create", "clusterrole", &name], rules].concat();
    admin.output(&create).unwrap();
    let (role, user) = (format!("--clusterrole={name}"), format!("--user={user}"));
    let bind = ["create", "clusterrolebinding", &name, &role, &user];
    admin.output(&bind).unwrap();
}

/// Checks that a command succeeds with exactly this output.
#[track_caller]
pub(crate) fn check(kubectl: &Kubectl, arguments: &[&str], expected: &str) {
    let answer = kubectl.run(arguments).unwrap();
    let expected = Answer {
        code: 0,
        stdout: expected.to_owned(),
        stderr: String::new(),
    };
    assert_eq!(answer, expected, "{arguments:?}");
}

/// Checks that a command is rejected with exactly this line.
#[track_caller]
pub(crate) fn check_refused(kubectl: &Kubectl, arguments: &[&str], expected: &str) {
    let answer = kubectl.run(arguments).unwrap();
    let expected = Answer {
        code: 1,
        stdout: String::new(),
        stderr: format!("{expected}\n"),
    };
    assert_eq!(answer, expected, "{arguments:?}");
}
