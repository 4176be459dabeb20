//! What the program says to people: lines on stderr. stdout is for what was asked for.

use std::fmt::Display;
use std::io::{Write, stderr};

use anyhow::Error;

/// One line. A closed stderr ends nothing.
pub(crate) fn line(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}

/// Why the program ends with a failure, with all causes.
pub(crate) fn error(error: &Error) {
    line(format_args!("error: {error:#}"));
}
