//! A command as an administrator types it, and its output.

use std::cell::RefCell;
use std::io::{BufRead, Write};
use std::path::Path;
use std::rc::Rc;

use admin::{CheckArgs, ClusterArgs, Console, KeysArgs, UserArgs, check, cluster, keys, user};
use anyhow::bail;
use clap::Parser;
use jiff::Timestamp;
use machinery::testing::ManualClock;

use crate::api_server::ApiServer;

/// The time of the machine, which is the time of the fake server.
const NOW: &str = "2026-01-02T03:04:05Z";

#[derive(Parser)]
enum Line {
    Cluster(ClusterArgs),
    Keys(KeysArgs),
    User(UserArgs),
    Check(CheckArgs),
}

/// The output of a command.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The error with its causes, as the program prints it. Empty if the command succeeds.
    pub(crate) error: String,
}

impl Output {
    /// Checks the whole output.
    #[track_caller]
    pub(crate) fn is(&self, expected: &str) {
        let error = match self.error.as_str() {
            "" => String::new(),
            error => format!("error: {error}\n"),
        };
        let text = [&self.stdout, &self.stderr, &error]
            .map(String::as_str)
            .concat();
        assert_eq!(text, expected);
    }
}

/// Runs a command with the kubeconfig file of a server.
pub(crate) async fn run(server: &ApiServer, line: &str) -> Output {
    run_with(
        &format!("{line} --kubeconfig {}", server.kubeconfig()),
        None,
    )
    .await
}

/// Runs a command. Without `answers`, there is no terminal.
pub(crate) async fn run_with(line: &str, answers: Option<&'static str>) -> Output {
    let line = Line::try_parse_from(["test"].into_iter().chain(line.split(' '))).unwrap();
    let (stdout, stderr) = (Paper::default(), Paper::default());
    let answers = answers.map(|text| Box::new(text.as_bytes()) as Box<dyn BufRead>);
    let console = Console::new(Box::new(stdout.clone()), Box::new(stderr.clone()), answers);
    let clock = ManualClock::at(NOW.parse::<Timestamp>().unwrap());
    let result = match line {
        Line::Cluster(args) => cluster::run(&args, &console, &*clock).await,
        Line::Keys(args) => keys::run(&args, &console).await,
        Line::User(args) => {
            let no_authority = |folder: &Path| bail!("{} has no CA", folder.display());
            user::run(&args, &console, &*clock, &no_authority).await
        }
        Line::Check(args) => check::run(&args, &console, &*clock).await,
    };
    Output {
        stdout: stdout.text(),
        stderr: stderr.text(),
        error: result.map_or_else(|error| format!("{error:#}"), |()| String::new()),
    }
}

/// A text that a command writes.
#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns the error for a command line that is not valid.
pub(crate) fn usage_error(line: &str) -> String {
    let line = Line::try_parse_from(["test"].into_iter().chain(line.split(' ')));
    let error = line.err().unwrap().to_string();
    let (text, _) = error.split_once("\n\nUsage").unwrap_or((&error, ""));
    text.to_owned()
}
