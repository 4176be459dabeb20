//! Runs the program with a home folder of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use test_cluster::Terminal;

use crate::fake::Fake;

/// The result of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program.
pub(crate) struct Plugin<'a> {
    pub(crate) fake: &'a Fake,
    home: tempfile::TempDir,
}

impl<'a> Plugin<'a> {
    pub(crate) fn new(fake: &'a Fake) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { fake, home }
    }

    /// Uses the home folder of another instance.
    pub(crate) fn at_home(fake: &'a Fake, home: tempfile::TempDir) -> Self {
        Self { fake, home }
    }

    /// Returns the home folder, for another instance.
    pub(crate) fn into_home(self) -> tempfile::TempDir {
        self.home
    }

    /// Logs in with a token file.
    pub(crate) fn logged_in(fake: &'a Fake) -> Self {
        let plugin = Self::new(fake);
        fake.state().logins.push("l0gin".to_owned());
        let file = fake.folder().join("token");
        fs::write(&file, "l0gin\n").unwrap();
        let output = plugin.login(&[&format!("--token-file={}", file.display())]);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (0, ""),
            "{}",
            output.stderr
        );
        plugin
    }

    /// Logs in and out again, so that the user has named the server.
    pub(crate) fn logged_out(fake: &'a Fake) -> Self {
        let plugin = Self::logged_in(fake);
        assert_eq!(plugin.run(&["logout", "--all"]).code, 0);
        fake.state().asked.clear();
        plugin
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-kubeconfig"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        finish(self.command(arguments).spawn().unwrap())
    }

    pub(crate) fn login(&self, flags: &[&str]) -> Output {
        let server = format!("--server={}", self.fake.url());
        let authority = format!(
            "--certificate-authority={}",
            self.fake.authority_file().display()
        );
        self.run(&[&["login", &server, &authority], flags].concat())
    }

    /// Returns `credential` as client-go runs it, with the extension of the file and no flags.
    pub(crate) fn credential(&self, version: &str) -> Command {
        self.credential_for(&self.exec_info(version, false))
    }

    /// Returns `credential` for this request of client-go.
    pub(crate) fn credential_for(&self, exec_info: &Value) -> Command {
        let mut command = self.command(&["credential"]);
        command.env("KUBERNETES_EXEC_INFO", exec_info.to_string());
        command
    }

    /// Returns `credential` at a terminal. The caller must keep the other side of the terminal
    /// open.
    pub(crate) fn interactive_credential(&self) -> (Command, OwnedFd) {
        at_a_terminal(self.credential_for(&self.exec_info("v1", true)))
    }

    /// Returns the request of client-go.
    pub(crate) fn exec_info(&self, version: &str, interactive: bool) -> Value {
        json!({
            "apiVersion": format!("client.authentication.k8s.io/{version}"),
            "kind": "ExecCredential",
            "spec": {
                "interactive": interactive,
                "cluster": {
                    "server": format!("{}/k8s/clusters/c-1", self.fake.url()),
                    "certificate-authority-data": self.fake.authority_data(),
                    "config": {
                        "server": self.fake.url(),
                        "certificateAuthorityData": self.fake.authority_data(),
                        "kubeconfig": "kubeconfig-abcde",
                        "cluster": "c-1",
                        "audience": "cluster:c-1",
                    },
                },
            },
        })
    }

    pub(crate) fn credential_output(&self) -> Output {
        finish(self.credential("v1").spawn().unwrap())
    }

    /// Runs `credential`, and returns the token that it prints.
    pub(crate) fn token(&self) -> String {
        let output = self.credential_output();
        assert_eq!(output.code, 0, "{}", output.stderr);
        token(&output)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.home.path().join(".cache/kubectl-kubeconfig")
    }

    /// Returns the files of the program's folder with this prefix.
    pub(crate) fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder())
            .unwrap()
            .map(|it| it.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        entries
            .filter(|path| name(path).starts_with(prefix))
            .collect()
    }

    /// Makes the ID token of the only login expire.
    pub(crate) fn expire_id_token(&self) {
        self.change("session-", |session| {
            session["means"]["expires"] = json!("2020-01-01T00:00:00Z");
        });
    }

    /// Changes the only file with this prefix, because tests cannot set the clock of the machine.
    pub(crate) fn change(&self, prefix: &str, change: impl Fn(&mut Value)) {
        let files = self.files(prefix);
        assert_eq!(files.len(), 1, "{files:?}");
        let mut value = serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap();
        change(&mut value);
        fs::write(&files[0], value.to_string()).unwrap();
    }
}

/// Runs a command at a terminal. The caller must keep the other side of the terminal open.
pub(crate) fn at_a_terminal(mut command: Command) -> (Command, OwnedFd) {
    let Terminal { here, there } = Terminal::open().unwrap();
    command.stdin(there);
    (command, here)
}

pub(crate) fn finish(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Returns the token in an answer, which must be the whole of stdout.
pub(crate) fn token(output: &Output) -> String {
    let answer: Value = serde_json::from_str(&output.stdout).unwrap();
    answer["status"]["token"].as_str().unwrap().to_owned()
}

/// Returns the first line on the stderr of a program that contains this text, if there is one.
pub(crate) fn line_with(child: &mut Child, text: &str) -> Option<String> {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().contains(text));
    // Read and discard the rest, so that the program can write more.
    std::thread::spawn(move || lines.for_each(drop));
    line.map(Result::unwrap)
}
