//! Log lines to stderr; stdout belongs to what commands answer.

mod bounded;

use std::io::{IsTerminal, Write, stderr};

use machinery::invisible::printable;
use tracing_subscriber::EnvFilter;

use crate::args::{LogArgs, LogFormat};

use bounded::Bounded;

/// Our commands say themselves what went wrong, and once.
const QUIET: &str = "kube_client=off";

/// Starts logging. A filter that makes no sense is told, and `info` is used.
pub(crate) fn start(args: &LogArgs) {
    let parsed = EnvFilter::try_new(format!("{QUIET},{}", args.log_level));
    let complaint = parsed.as_ref().err().map(ToString::to_string);
    let filter = parsed.unwrap_or_else(|_| EnvFilter::new("info"));
    let is_json = args.log_format == LogFormat::Json;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Bounded::new(stderr(), is_json));
    match args.log_format {
        LogFormat::Text => builder.with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
    if let Some(complaint) = complaint {
        tracing::warn!(complaint, "--log-level is not a filter; logging info");
    }
}

/// The one line by which the program says why it ends. A part of it may come from a server, an object or a file.
pub(crate) fn fatal(error: &anyhow::Error) {
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
    fn an_error_is_one_line_whatever_a_server_answers() {
        let error = anyhow!("no\u{1b}[1A\nhere: cluster a is Ready\u{202e}").context("a");
        assert_eq!(
            last_line(&error),
            "error: a: no[1A here: cluster a is Ready"
        );
    }
}
