//! The program, with a home of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use test_cluster::Terminal;

use crate::fake::Fake;

/// What one run gave.
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

    /// With a home that was another's before.
    pub(crate) fn at_home(fake: &'a Fake, home: tempfile::TempDir) -> Self {
        Self { fake, home }
    }

    /// Its home, for another.
    pub(crate) fn into_home(self) -> tempfile::TempDir {
        self.home
    }

    /// Logged in by a token file.
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

    /// Logged in once and out again, so that the server is one that the user named.
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

    /// `credential` as client-go runs it, by the extension of the file alone.
    pub(crate) fn credential(&self, version: &str) -> Command {
        self.credential_for(&self.exec_info(version, false))
    }

    /// `credential` with this question.
    pub(crate) fn credential_for(&self, exec_info: &Value) -> Command {
        let mut command = self.command(&["credential"]);
        command.env("KUBERNETES_EXEC_INFO", exec_info.to_string());
        command
    }

    /// The same on a terminal, whose other side is to be held.
    pub(crate) fn interactive_credential(&self) -> (Command, OwnedFd) {
        at_a_terminal(self.credential_for(&self.exec_info("v1", true)))
    }

    /// What client-go asks.
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

    /// The token that `credential` prints.
    pub(crate) fn token(&self) -> String {
        let output = self.credential_output();
        assert_eq!(output.code, 0, "{}", output.stderr);
        token(&output)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.home.path().join(".cache/kubectl-kubeconfig")
    }

    /// The files of its folder that begin so.
    pub(crate) fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder())
            .unwrap()
            .map(|it| it.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        entries
            .filter(|path| name(path).starts_with(prefix))
            .collect()
    }

    /// Changes the one file that begins so: the clock of the machine cannot be set.
    pub(crate) fn change(&self, prefix: &str, change: impl Fn(&mut Value)) {
        let files = self.files(prefix);
        assert_eq!(files.len(), 1, "{files:?}");
        let mut value = serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap();
        change(&mut value);
        fs::write(&files[0], value.to_string()).unwrap();
    }
}

/// The command at a terminal, whose other side is to be held.
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

/// The token in an answer, which must be all that there is on stdout.
pub(crate) fn token(output: &Output) -> String {
    let answer: Value = serde_json::from_str(&output.stdout).unwrap();
    answer["status"]["token"].as_str().unwrap().to_owned()
}

/// The first line of a program's stderr that holds this text, if there is one.
pub(crate) fn line_with(child: &mut Child, text: &str) -> Option<String> {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().contains(text));
    // The rest is read and thrown away, so that the program can go on writing.
    std::thread::spawn(move || lines.for_each(drop));
    line.map(Result::unwrap)
}
