//! What the program says to people: lines on stderr. stdout is for what was asked for.

use std::fmt::Display;
use std::io::{Write, stderr};

use anyhow::Error;

/// One line, or some. Parts of it may be another's words: what a terminal would take for a command is
/// left out. A closed stderr ends nothing.
pub(crate) fn line(line: impl Display) {
    let _ = writeln!(stderr(), "{}", printable(&line.to_string()));
}

fn printable(text: &str) -> String {
    let is_shown = |it: &char| *it == '\n' || !it.is_control();
    text.chars().filter(is_shown).collect()
}

/// Why the program ends with a failure, with all causes.
pub(crate) fn error(error: &Error) {
    line(format_args!("error: {error:#}"));
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nobody_elses_words_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2J\r\u{9b}b\nc"), "a[2Jb\nc");
    }
}
