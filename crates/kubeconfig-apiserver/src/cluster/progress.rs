//! What a command says of what it does: lines on stderr.

use std::fmt::Display;
use std::io::{Write, stderr};

/// One line of progress. A closed stderr ends nothing.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}
