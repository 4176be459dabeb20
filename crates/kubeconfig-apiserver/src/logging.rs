//! Log lines on stderr. Stdout is reserved for the results of commands.
//!
//! Code that logs a line never fails, blocks or panics: [`queue`] stores the line until a thread of
//! its own has written it. If the log cannot be written, lines are lost, and nothing else happens.
//! Examples are a full disk, a closed pipe, and a pipe that no process reads.
//!
//! Panics are logged, too. The standard hook prints to stderr itself, which blocks if the pipe is
//! full.

mod bounded;
mod queue;

use std::io::{IsTerminal, Write, stderr};
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use apiserver::Builder;
use apiserver::metrics::Count;
use machinery::invisible::printable;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::args::{LogArgs, LogFormat};

use bounded::Bounded;
use queue::{Line, Queue};

/// Our commands report the errors of the client library themselves, so that an error is printed
/// once.
const QUIET: &str = "kube_client=off";

/// Time to wait for the last lines to be written at the end of the program.
const LAST_LINES: Duration = Duration::from_secs(5);

/// The log of the program. Dropping its last clone waits until all lines are written, for
/// [`LAST_LINES`] at most.
#[derive(Clone)]
pub(crate) struct Log(Arc<Flushing>);

struct Flushing(Arc<Queue>);

/// Starts logging. An invalid filter is reported, and `info` is used instead.
///
/// # Errors
/// Fails if the machine has no threads or file descriptors left.
pub(crate) fn start(args: &LogArgs) -> Result<Log> {
    let queue = Queue::start(report_dropped).context("logging cannot be started")?;
    let parsed = parse_filter(&args.log_level);
    let complaint = parsed.as_ref().err().cloned();
    let filter = parsed.unwrap_or_else(|_| EnvFilter::new("info"));
    let is_json = args.log_format == LogFormat::Json;
    let lines = Arc::clone(&queue);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // The subscriber would print its own errors to stderr, and panic if that fails.
        .log_internal_errors(false)
        .with_writer(move || Bounded::new(Line::of(Arc::clone(&lines)), is_json));
    match args.log_format {
        LogFormat::Text => builder.with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
    std::panic::set_hook(Box::new(log_panic));
    if let Some(complaint) = complaint {
        tracing::warn!(complaint, "--log-level is not a valid filter; using info");
    }
    Ok(Log(Arc::new(Flushing(queue))))
}

impl Log {
    /// Writes the last line of the program, with the reason for its end. A part of the reason may
    /// come from a server, an object or a file.
    pub(crate) fn fatal(&self, error: &anyhow::Error) {
        let line = format!("{}\n", last_line(error));
        let queue = &self.0.0;
        // An error is ignored, because there is no remedy for it.
        let _ = Bounded::new(queue.last_line(), false).write_all(line.as_bytes());
        queue.flush(LAST_LINES);
    }

    /// Adds the number of dropped lines to the metrics of a server.
    pub(crate) fn serve(&self, server: Builder) -> Builder {
        let queue = Arc::clone(&self.0.0);
        server.counter(Count {
            name: "log_lines_dropped",
            help: "Log lines that were dropped because stderr did not accept them",
            read: Arc::new(move || queue.dropped()),
        })
    }
}

impl Drop for Flushing {
    fn drop(&mut self) {
        self.0.flush(LAST_LINES);
    }
}

/// Parses the value of `--log-level`. A word that is not a level would be the name of a target, and
/// everything else would be off.
fn parse_filter(text: &str) -> Result<EnvFilter, String> {
    let mut words = text.split(',').map(str::trim);
    let is_plain = |word: &&str| !word.is_empty() && !word.contains(['=', '[']);
    if let Some(word) = words.find(|word| is_plain(word) && word.parse::<LevelFilter>().is_err()) {
        return Err(format!(
            "{word:?} is not a level: use off, error, warn, info, debug or trace, or TARGET=LEVEL"
        ));
    }
    EnvFilter::try_new(format!("{QUIET},{text}")).map_err(|error| error.to_string())
}

/// Logs the number of dropped lines, after lines can be written again.
fn report_dropped(lines: u64) {
    tracing::warn!(
        lines,
        "log lines were dropped: stderr was full or closed, or lines were logged faster than it accepts them"
    );
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let current = std::thread::current();
    tracing::error!(
        thread = current.name(),
        location = panic.location().map(tracing::field::display),
        panic = panic.payload_as_str().unwrap_or("of unknown type"),
        "a thread panicked"
    );
}

/// Writes the reason for the end of the program without a log.
pub(crate) fn fatal_without_log(error: &anyhow::Error) {
    // An error is ignored, because there is no remedy for it.
    let _ = writeln!(stderr(), "{}", last_line(error));
}

fn last_line(error: &anyhow::Error) -> String {
    printable(&format!("error: {error:#}"))
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_filter_has_levels() {
        for text in [
            "info",
            "DEBUG",
            "warn,audit=debug",
            "off,gateway=trace",
            "audit=off",
        ] {
            assert!(parse_filter(text).is_ok(), "{text}");
        }
        for (text, word) in [
            ("loud", "loud"),
            ("info, audit", "audit"),
            ("infos,a=b", "infos"),
        ] {
            let expected = format!(
                "{word:?} is not a level: use off, error, warn, info, debug or trace, or TARGET=LEVEL"
            );
            assert_eq!(parse_filter(text).err(), Some(expected), "{text}");
        }
        assert!(parse_filter("audit=loud").is_err());
    }

    #[test]
    fn an_error_is_one_line_whatever_a_server_answers() {
        let error = anyhow!("no\u{1b}[1A\nhere: cluster a is Ready\u{202e}").context("a");
        assert_eq!(
            last_line(&error),
            "error: a: no[1A here: cluster a is Ready"
        );
    }
}
