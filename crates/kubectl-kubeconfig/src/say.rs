//! Messages to the user: lines on stderr. stdout is for what was asked for.
//!
//! A part of a line may come from a server or a file. [`printable`] takes out of it what a terminal
//! would obey or show as something else, line breaks included, so that such a text cannot print a line
//! of its own. Only [`line()`] ends a line.

use std::fmt::{self, Display};
use std::io::{BufRead, BufReader, Read, Write, stderr, stdin};

use anyhow::{Context, Error, Result};

pub(crate) use machinery::invisible::printable;

/// The longest answer to a question, in bytes.
const MAX_ANSWER: u64 = 64;

/// Prints one line. A closed stderr ends nothing.
pub(crate) fn line(line: impl Display) {
    let _ = writeln!(stderr(), "{}", printable(&line.to_string()));
}

/// Prints why the program fails, with all causes, and what to run.
pub(crate) fn error(error: &Error) {
    line(format_args!("error: {error:#}"));
    if let Some(remedy) = error.downcast_ref::<Remedy>() {
        command(&remedy.command);
    }
}

/// Prints a command or an address that the user is to use, on a line of its own.
pub(crate) fn command(text: &str) {
    line("");
    line(format_args!("    {text}"));
    line("");
}

/// Asks the user at the terminal; only an explicit yes is one.
///
/// # Errors
/// The terminal is gone.
pub(crate) fn confirm(question: impl Display) -> Result<bool> {
    let question = printable(&question.to_string());
    write!(stderr(), "{question} [y/N] ").context("cannot ask")?;
    let mut answer = String::new();
    let read = BufReader::new(stdin().lock().take(MAX_ANSWER)).read_line(&mut answer);
    read.context("cannot read the answer")?;
    let answer = answer.trim();
    Ok(answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
}

/// A failure that a command mends.
#[derive(Debug)]
pub(crate) struct Remedy {
    /// The problem, followed by a word such as `run`.
    pub(crate) problem: String,
    /// The command to run.
    pub(crate) command: String,
}

impl Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.problem)
    }
}

impl std::error::Error for Remedy {}
