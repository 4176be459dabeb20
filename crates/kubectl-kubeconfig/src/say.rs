//! Messages to the user: lines on stderr. Stdout is reserved for the result of a command.
//!
//! A part of a line may come from a server or a file. [`printable`] removes the characters that a
//! terminal would interpret or display as something else, including line breaks, so that such a
//! text cannot print a line of its own. Only [`line()`] ends a line.

use std::fmt::{self, Display};
use std::io::{BufRead, BufReader, Read, Write, stderr, stdin};

use anyhow::{Context, Error, Result};

pub(crate) use machinery::invisible::printable;

/// The maximum length of an answer to a question, in bytes.
const MAX_ANSWER: u64 = 64;

/// Prints a line. Ignores errors, such as a closed stderr.
pub(crate) fn line(line: impl Display) {
    let _ = writeln!(stderr(), "{}", printable(&line.to_string()));
}

/// Prints the error with all its causes, and the command that remedies it, if there is one.
pub(crate) fn error(error: &Error) {
    line(format_args!("error: {error:#}"));
    if let Some(remedy) = error.downcast_ref::<Remedy>() {
        command(&remedy.command);
    }
}

/// Prints a command or an address for the user, on a line of its own.
pub(crate) fn command(text: &str) {
    line("");
    line(format_args!("    {text}"));
    line("");
}

/// Asks the user at the terminal. Returns true only for an explicit yes.
///
/// # Errors
/// Fails if the terminal cannot be read or written.
pub(crate) fn confirm(question: impl Display) -> Result<bool> {
    let question = printable(&question.to_string());
    write!(stderr(), "{question} [y/N] ").context("cannot ask")?;
    let answer = answer()?;
    Ok(answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
}

/// Asks the user at the terminal to select one of several choices by its number. Returns the index.
///
/// # Errors
/// Fails if the answer is not a number of a choice, or if the terminal cannot be read or written.
pub(crate) fn choose(question: &str, choices: &[impl Display]) -> Result<usize> {
    line(question);
    for (index, choice) in choices.iter().enumerate() {
        line(format_args!("  {}) {choice}", index + 1));
    }
    write!(stderr(), "Number: ").context("cannot ask")?;
    let number: usize = answer()?.parse().unwrap_or_default();
    let index = number.checked_sub(1);
    let index = index.filter(|index| *index < choices.len());
    index.with_context(|| format!("the answer must be a number from 1 to {}", choices.len()))
}

/// Reads a line from the terminal, without blanks at its ends.
fn answer() -> Result<String> {
    let mut answer = String::new();
    let read = BufReader::new(stdin().lock().take(MAX_ANSWER)).read_line(&mut answer);
    read.context("cannot read the answer")?;
    Ok(answer.trim().to_owned())
}

/// An error that a command of the user can remedy.
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
