//! Progress messages of a command: lines on stderr.
//!
//! A part of a line may come from a server, an object or a file. [`say`] removes the characters
//! that a terminal would interpret or display as something else, including line breaks, so that no
//! such text prints a line of its own.

use std::fmt::Display;
use std::io::{Write, stderr};

use machinery::invisible::printable;

/// Prints a line of progress. Ignores errors, such as a closed stderr.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(stderr(), "{}", printable(&line.to_string()));
}

/// Prints lines of progress, for texts of this program. Parts from other sources must be printable
/// already.
pub(crate) fn say_lines(text: &str) {
    text.lines().for_each(say);
}
