//! What a command says of what it does: lines on stderr.
//!
//! A part of a line may come from a server, an object or a file. [`say`] takes out of it what a terminal would obey or show as something else,
//! line breaks included, so that no such text prints a line of its own.

use std::fmt::Display;
use std::io::{Write, stderr};

use machinery::invisible::printable;

/// One line of progress. A closed stderr ends nothing.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(stderr(), "{}", printable(&line.to_string()));
}

/// Lines of progress, for texts of this program. What others wrote must be printable in them already.
pub(crate) fn say_lines(text: &str) {
    text.lines().for_each(say);
}
