//! A hostile server that wants a login for the real one: nothing that it receives opens that.
//!
//! Both name the same provider, where the user has a session.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use e2e::http::Client;
use e2e::kubectl::Running;
use e2e::{Kubectl, OidcProvider, Server, Shell, poll};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::Terminal;

use crate::evil::Evil;
use crate::oidc::start_with;
use crate::record;

/// Far beyond what anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A file that runs nothing but the plugin, and leads to the hostile server.
fn hostile_file(evil: &Evil) -> String {
    let (url, ca) = (evil.url(), evil.ca_data());
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "prod",
        "contexts": [{ "name": "prod", "context": { "cluster": "prod", "user": "prod" } }],
        "users": [{ "name": "prod", "user": { "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "kubectl-kubeconfig",
            "args": ["credential"], "interactiveMode": "IfAvailable", "provideClusterInfo": true,
        }}}],
        "clusters": [{ "name": "prod", "cluster": {
            "server": format!("{url}/k8s/clusters/prod"), "certificate-authority-data": ca,
            "extensions": [{ "name": "client.authentication.k8s.io/exec", "extension": {
                "server": url, "certificateAuthorityData": ca,
                "kubeconfig": "kubeconfig-abcde", "cluster": "prod", "audience": "cluster:prod",
            }}],
        }}],
    })
    .to_string()
}

/// The login document of the real server.
fn document(server: &Server) -> Value {
    let anonymous = server.anonymous().unwrap();
    anonymous
        .get("/.well-known/kubeconfig-login")
        .unwrap()
        .json()
        .unwrap()
}

/// The user, in front of a terminal and a browser, with a hostile file.
struct Victim {
    shell: Shell,
    kubectl: Kubectl,
    _folder: TempDir,
}

impl Victim {
    fn with_file(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, text).unwrap();
        let shell = Shell::new().unwrap().with_plugin().unwrap();
        let path = shell.search_path().unwrap();
        let kubectl = Kubectl::new(&file, folder.path()).unwrap();
        Self {
            kubectl: kubectl.with_environment("PATH", path.to_str().unwrap()),
            shell,
            _folder: folder,
        }
    }

    /// Runs kubectl, and answers its question.
    fn run(&self, answer: &str) -> (Running, File) {
        let terminal = Terminal::open().unwrap();
        let running = self
            .kubectl
            .start_at(&["get", "pods"], terminal.there)
            .unwrap();
        let mut here = File::from(terminal.here);
        here.write_all(answer.as_bytes()).unwrap();
        (running, here)
    }

    fn home(&self) -> &Path {
        self.kubectl.home()
    }
}

/// Whether the real server accepts something.
fn status(client: &Client) -> u16 {
    client.get(record::PATH).unwrap().status
}

#[test]
fn the_document_of_the_real_server_gives_another_server_nothing() {
    let provider = OidcProvider::start(&["alice"]).unwrap();
    let real = start_with(&provider, &[]);
    let evil = Evil::start(document(&real));
    let victim = Victim::with_file(&hostile_file(&evil));
    let (mut running, _terminal) = victim.run("y\n");
    assert!(!running.wait(LIMIT).unwrap().success());
    assert_eq!(evil.asked(), ["GET /.well-known/kubeconfig-login"]);
    assert_eq!(evil.received(), Vec::<[String; 2]>::new());
    assert_eq!(victim.shell.take_opened().unwrap(), None);

    // A user who does not agree sends nothing at all.
    let evil = Evil::start(document(&real));
    let victim = Victim::with_file(&hostile_file(&evil));
    let (mut running, _terminal) = victim.run("\n");
    assert!(!running.wait(LIMIT).unwrap().success());
    assert_eq!(evil.asked(), Vec::<String>::new());
    let kept = victim.home().join(".cache/kubectl-kubeconfig");
    let names = fs::read_dir(kept)
        .unwrap()
        .map(|it| it.unwrap().file_name());
    let logins = names.filter(|it| it.to_str().unwrap().starts_with("session-"));
    assert_eq!(logins.count(), 0);
}

#[test]
fn a_login_at_another_server_opens_that_server_alone() {
    let provider = OidcProvider::start(&["alice"]).unwrap();
    let open = format!("--oidc-unbound-client-ids={}", e2e::oidc_provider::CLIENT);
    let (real, opened) = (start_with(&provider, &[]), start_with(&provider, &[&open]));
    let mut imitated = document(&real);
    let evil = Evil::start(Value::Null);
    imitated["server"] = json!(evil.url());
    evil.serve(imitated);

    let victim = Victim::with_file(&hostile_file(&evil));
    let (mut running, _terminal) = victim.run("y\n");
    let address = poll::until("the browser", LIMIT, || victim.shell.take_opened()).unwrap();
    provider.browse(&address, "alice").unwrap();
    assert!(!running.wait(LIMIT).unwrap().success());

    let received = evil.received();
    assert!(!received.is_empty());
    for server in [&real, &opened] {
        let anonymous = server.anonymous().unwrap();
        for [token, binding] in &received {
            let bearer = anonymous.with_token(token);
            assert_eq!(status(&bearer), 401, "as it is");
            let header = |value: &str| bearer.with_header("Kubeconfig-Login-Binding", value);
            assert_eq!(status(&header(binding)), 401, "with its binding");
            let own = format!("{binding}.{token}");
            assert_eq!(status(&header(&own)), 401, "as the proof of itself");
            assert_eq!(
                status(&header(&"A".repeat(43))),
                401,
                "with another random value"
            );
        }
        // What the user gets for the real server opens it.
        let url = server.url().unwrap();
        let bound = provider.bound_id_token("alice", &url).unwrap();
        assert_eq!(status(&bound.of(&anonymous)), 200);
    }

    // Programs that bind nothing are the administrator's to allow.
    let unbound = provider.id_token("alice").unwrap();
    let at = |server: &Server| server.anonymous().unwrap().with_token(&unbound);
    assert_eq!(status(&at(&real)), 401);
    assert_eq!(status(&at(&opened)), 200);
}
