//! The login methods: with existing credentials, in a browser, with a device code; prompted by the
//! plugin, or by an explicit command.

use std::fs;
use std::path::Path;

use e2e::kubectl::Running;
use e2e::{ClientGo, Kubectl, Shell, poll};
use serde_json::{Value, json};
use test_cluster::Terminal;

use super::{KEPT, LIMIT, NAMES, Story, change_kept, record_of};

impl Story {
    /// The user is not prompted, because kubectl has no terminal here.
    #[track_caller]
    pub(super) fn without_a_login_kubectl_says_what_to_run(&self) {
        let spec = json!({ "clusters": ["prod"], "generateToken": false });
        let minted = self.fleet.mint("alice", spec);
        let kubectl = self.fleet.kubectl(&minted).with_plugin().unwrap();
        let answer = kubectl.run(NAMES).unwrap();
        assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
        let expected = self.what_to_run();
        assert!(answer.stderr.contains(&expected), "{}", answer.stderr);
        self.fleet.delete("alice", &minted);
    }

    fn what_to_run(&self) -> String {
        format!("    kubectl kubeconfig login {}\n", self.server())
    }

    /// Logs in with the certificate that the server gave alice, and the CA in her file.
    #[track_caller]
    pub(super) fn log_in_by_certificate(&self) {
        let [certificate, key, ca] = self.fleet.login_flags("alice", self.folder.path());
        let flags = [certificate.as_str(), &key, &ca];
        let by = ca.replace("--certificate-authority=", "the CA in ");
        self.log_in(&flags, &by);
    }

    #[track_caller]
    fn log_in(&self, flags: &[&str], by: &str) {
        let server = self.server();
        let login = [&["kubeconfig", "login", &server], flags].concat();
        let said = self.alice.run(&login).unwrap();
        let url = self.fleet.server.url().unwrap();
        let expected = format!("Logged in at {url} as alice, trusting {by}.\n");
        assert_eq!(
            (said.code, said.stdout.as_str()),
            (0, ""),
            "{}",
            said.stderr
        );
        assert_eq!(said.stderr, expected);
    }

    /// Revokes the tokens that the login was exchanged for, and the login itself if it is the
    /// provider's.
    #[track_caller]
    fn log_out(&self) {
        let said = self.alice.run(&["kubeconfig", "logout", "--all"]).unwrap();
        let url = self.fleet.server.url().unwrap();
        let expected = format!("Logged out alice from {url}.\n");
        assert_eq!((said.code, said.stdout.as_str()), (0, ""));
        assert_eq!(said.stderr, expected);
    }

    /// Logs in with an ID token from another program.
    #[track_caller]
    pub(super) fn a_token_of_the_provider_is_a_login(&self, file: &Path) {
        self.log_out();
        let token = self.folder.path().join("token");
        fs::write(&token, self.provider.id_token("alice").unwrap()).unwrap();
        let token = format!("--token-file={}", token.display());
        self.log_in(&[&token], "the CA of your last login there");
        self.check_opens(file);
    }

    /// Returns the number of tokens of the record of a file.
    #[track_caller]
    fn tokens_of(&self, file: &Path) -> usize {
        let record = record_of(file);
        let tokens =
            format!("-o=jsonpath={{.items[?(@.spec.kubeconfigName=='{record}')].metadata.name}}");
        let names = self.alice.output(&["get", "tokens", &tokens]).unwrap();
        names.split_whitespace().count()
    }

    #[track_caller]
    pub(super) fn a_code_typed_elsewhere_is_a_login(&self, file: &Path) {
        self.log_out();
        let login = ["kubeconfig", "login", &self.server(), "--device-code"];
        let mut login = self.alice.start(&login).unwrap();
        let page = line(&login, |line| line.starts_with("    "));
        assert_eq!(page.trim(), format!("{}/device", self.provider.issuer()));
        let code = line(&login, |line| line.starts_with("    "));
        self.provider.type_code(code.trim(), "alice").unwrap();
        line(&login, |line| line.contains(" as alice, trusting "));
        assert!(login.wait(LIMIT).unwrap().success());
        self.check_opens(file);
    }

    /// The ID token has expired, and the user cannot be prompted.
    #[track_caller]
    pub(super) fn a_login_renews_itself(&self, file: &Path) {
        let long_ago = || json!("2020-01-01T00:00:00Z");
        let end = |kept: &mut Value| kept["means"]["expires"] = long_ago();
        change_kept(&self.alice, "session-", end);
        self.set_kept("expires");
        self.check_opens(file);
        change_kept(&self.alice, "session-", |kept| {
            assert_ne!(kept["means"]["expires"], long_ago());
        });
    }

    #[track_caller]
    pub(super) fn a_user_at_a_terminal_is_asked(&self, file: &Path) {
        let (shell, terminal) = (desk(), Terminal::open().unwrap());
        let kubectl = at(&shell, &self.kubectl(file));
        let arguments = [&["--context=prod"], NAMES].concat();
        let kubectl = kubectl.start_at(&arguments, terminal.there).unwrap();
        let address = poll::until("the browser", LIMIT, || shell.take_opened()).unwrap();
        self.provider.browse(&address, "alice").unwrap();
        line(&kubectl, |line| line == "namespace/default");
        drop(terminal.here);
    }

    /// kubectl's standard input is in use, or a program reads its terminal itself.
    #[track_caller]
    pub(super) fn a_user_whose_stdin_is_taken_is_not_asked(&self, file: &Path) {
        assert_eq!(self.tokens_of(file), 2);
        self.log_out();
        assert_eq!(self.tokens_of(file), 0);
        let shell = desk();
        let kubectl = at(&shell, &self.kubectl(file));
        let apply = ["--context=prod", "apply", "--filename=-"];
        let answer = kubectl.run_with_input(&apply, KEPT).unwrap();
        assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
        let expected = self.what_to_run();
        assert!(answer.stderr.contains(&expected), "{}", answer.stderr);

        let terminal = Terminal::open().unwrap();
        let mut program = ClientGo::start_at(&kubectl, file, "prod", terminal).unwrap();
        let answer = program.list().unwrap()["error"].clone();
        let why = "exec: executable kubectl-kubeconfig failed with exit code 1";
        assert!(answer.as_str().unwrap().contains(why), "{answer}");
        assert_eq!(shell.take_opened().unwrap(), None);
    }
}

/// Returns a shell with a browser.
#[track_caller]
fn desk() -> Shell {
    Shell::new().unwrap().with_plugin().unwrap()
}

/// Returns the same kubectl in that shell.
#[track_caller]
fn at(shell: &Shell, kubectl: &Kubectl) -> Kubectl {
    let path = shell.search_path().unwrap();
    kubectl.with_environment("PATH", path.to_str().unwrap())
}

/// Returns the next line that satisfies the condition.
#[track_caller]
fn line(running: &Running, is_meant: impl Fn(&str) -> bool) -> String {
    running.next_line_with(LIMIT, is_meant).unwrap()
}
