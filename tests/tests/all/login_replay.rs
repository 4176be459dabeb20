//! A hostile server that tries to get a login for the real one: the real one accepts nothing that
//! it receives.
//!
//! Both use the same provider, where the user has a session.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use e2e::http::Client;
use e2e::kubectl::Running;
use e2e::{Kubectl, OidcProvider, Shell, Site, poll};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::Terminal;

use crate::evil::Evil;
use crate::oidc::start_with;
use crate::record;

/// Time limit, far more than any step here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Returns a file that runs only the plugin, for the hostile server.
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

/// Returns the login document of the real server.
fn document(server: &dyn Site) -> Value {
    let anonymous = server.anonymous().unwrap();
    anonymous
        .get("/.well-known/kubeconfig-login")
        .unwrap()
        .json()
        .unwrap()
}

/// A user with a terminal, a browser and a hostile file.
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

/// Returns the status of the real server for a request of this client.
fn status(client: &Client) -> u16 {
    client.get(record::PATH).unwrap().status
}

/// Servers of one provider, where the user has a session.
pub(crate) struct Servers<'a> {
    pub(crate) provider: &'a OidcProvider,
    /// A server that accepts only the tokens of programs that bind them to it.
    pub(crate) real: &'a dyn Site,
    /// A server that also accepts those of other programs.
    pub(crate) opened: &'a dyn Site,
}

#[test]
fn the_document_of_the_real_server_gives_another_server_nothing() {
    let provider = OidcProvider::start(&["alice"]).unwrap();
    a_document_gives_another_server_nothing(&start_with(&provider, &[]));
}

#[test]
fn a_login_at_another_server_opens_that_server_alone() {
    let provider = OidcProvider::start(&["alice"]).unwrap();
    let open = format!("--oidc-unbound-client-ids={}", e2e::oidc_provider::CLIENT);
    a_login_opens_one_server(&Servers {
        provider: &provider,
        real: &start_with(&provider, &[]),
        opened: &start_with(&provider, &[&open]),
    });
}

#[track_caller]
pub(crate) fn a_document_gives_another_server_nothing(real: &dyn Site) {
    let evil = Evil::start(document(real));
    let victim = Victim::with_file(&hostile_file(&evil));
    let (mut running, _terminal) = victim.run("y\n");
    assert!(!running.wait(LIMIT).unwrap().success());
    assert_eq!(evil.asked(), ["GET /.well-known/kubeconfig-login"]);
    assert_eq!(evil.received(), Vec::<[String; 2]>::new());
    assert_eq!(victim.shell.take_opened().unwrap(), None);

    // If the user does not consent, nothing is sent at all.
    let evil = Evil::start(document(real));
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

#[track_caller]
pub(crate) fn a_login_opens_one_server(servers: &Servers<'_>) {
    let (provider, real, opened) = (servers.provider, servers.real, servers.opened);
    let mut imitated = document(real);
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
    for server in [real, opened] {
        // The user's own login for a server is accepted.
        let bound = provider.bound_id_token("alice", &server.url().unwrap());
        let own = bound.unwrap().of(&server.anonymous().unwrap());
        let is_open = || Ok((status(&own) == 200).then_some(()));
        poll::until("a login opens its server", LIMIT, is_open).unwrap();
        for listener in server.listeners().unwrap() {
            for login in &received {
                check_opens_nothing(&listener, login);
            }
        }
    }

    // An administrator may permit programs that do not bind tokens.
    let unbound = provider.id_token("alice").unwrap();
    let at = |server: &dyn Site| server.anonymous().unwrap().with_token(&unbound);
    assert_eq!(status(&at(real)), 401);
    assert_eq!(status(&at(opened)), 200);
}

/// Sends a login for another server in all forms.
#[track_caller]
fn check_opens_nothing(listener: &Client, [token, binding]: &[String; 2]) {
    let bearer = listener.with_token(token);
    assert_eq!(status(&bearer), 401, "as it is");
    for (value, how) in [
        (binding.as_str(), "with its binding"),
        (&format!("{binding}.{token}"), "as the proof of itself"),
        (&"A".repeat(43), "with another random value"),
    ] {
        let client = bearer.with_header("Kubeconfig-Login-Binding", value);
        assert_eq!(status(&client), 401, "{how}");
    }
}
