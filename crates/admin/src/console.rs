//! The terminal of a command.
//!
//! Results go to stdout, and progress messages to stderr. A part of a message may come from a
//! server, an object or a file. [`Console::say`] removes the characters that a terminal would
//! interpret or display as something else, including line breaks, so that no such text prints a
//! line of its own.

use std::cell::RefCell;
use std::fmt::Display;
use std::io::{BufRead, Write};

use anyhow::{Context, Result};
use machinery::invisible::printable;

/// The output of a command, and the answers of its user.
pub struct Console {
    out: RefCell<Box<dyn Write>>,
    err: RefCell<Box<dyn Write>>,
    answers: Option<RefCell<Box<dyn BufRead>>>,
}

impl Console {
    /// Creates a console that prints results to `out` and messages to `err`. Without `answers`, no
    /// user can answer a question.
    #[must_use]
    pub fn new(
        out: Box<dyn Write>,
        err: Box<dyn Write>,
        answers: Option<Box<dyn BufRead>>,
    ) -> Self {
        Self {
            out: RefCell::new(out),
            err: RefCell::new(err),
            answers: answers.map(RefCell::new),
        }
    }

    /// Prints a result. Its parts from other sources must be printable already.
    pub(crate) fn print(&self, text: &str) -> Result<()> {
        let mut out = self.out.borrow_mut();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.context("stdout is closed")
    }

    /// Prints a line of progress. Ignores errors, such as a closed stderr.
    pub(crate) fn say(&self, line: impl Display) {
        let _ = writeln!(self.err.borrow_mut(), "{}", printable(&line.to_string()));
    }

    /// Prints lines of progress.
    pub(crate) fn say_all(&self, lines: impl IntoIterator<Item = impl Display>) {
        lines.into_iter().for_each(|line| self.say(line));
    }

    /// Returns whether a user can answer questions.
    pub(crate) fn has_user(&self) -> bool {
        self.answers.is_some()
    }

    /// Prints a question, and returns the answer of the user. It is empty if no user can answer.
    pub(crate) fn ask(&self, question: &str) -> Result<String> {
        let _ = write!(self.err.borrow_mut(), "{question}");
        let mut answer = String::new();
        if let Some(answers) = &self.answers {
            let read = answers.borrow_mut().read_line(&mut answer);
            read.context("no answer")?;
        }
        Ok(answer.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    /// A text that grows, up to a size.
    #[derive(Clone)]
    struct Paper {
        text: Rc<RefCell<Vec<u8>>>,
        size: usize,
    }

    impl Paper {
        fn of_size(size: usize) -> Self {
            let text = Rc::default();
            Self { text, size }
        }

        fn text(&self) -> String {
            String::from_utf8(self.text.borrow().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut text = self.text.borrow_mut();
            let fitting = bytes.len().min(self.size - text.len());
            text.extend_from_slice(&bytes[..fitting]);
            Ok(fitting)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn console(out: &Paper, err: &Paper, answers: Option<&'static str>) -> Console {
        let answers = answers.map(|text| Box::new(text.as_bytes()) as Box<dyn BufRead>);
        Console::new(Box::new(out.clone()), Box::new(err.clone()), answers)
    }

    #[test]
    fn a_text_of_another_source_prints_no_line_of_its_own() {
        let (out, err) = (Paper::of_size(0), Paper::of_size(100));
        let console = console(&out, &err, None);
        console.say("cluster a\u{1b}[2J\nerror: b\u{202e}");
        console.say_all([format_args!("{} is c", 1), format_args!("d")]);
        assert_eq!(err.text(), "cluster a[2J error: b\n1 is c\nd\n");
    }

    #[test]
    fn an_answer_is_one_line_without_spaces() {
        let (out, err) = (Paper::of_size(0), Paper::of_size(100));
        let console = console(&out, &err, Some(" yes \nno\n"));
        assert!(console.has_user());
        assert_eq!(console.ask("Sure? ").unwrap(), "yes");
        assert_eq!(console.ask("Really? ").unwrap(), "no");
        assert_eq!(console.ask("Still? ").unwrap(), "");
        assert_eq!(err.text(), "Sure? Really? Still? ");
    }

    #[test]
    fn a_closed_stdout_is_an_error_and_a_closed_stderr_is_not() {
        let (out, err) = (Paper::of_size(3), Paper::of_size(3));
        let console = console(&out, &err, None);
        console.say("four");
        console.print("abc").unwrap();
        let error = console.print("d").unwrap_err();
        assert_eq!(error.to_string(), "stdout is closed");
        assert_eq!(
            (out.text(), err.text()),
            ("abc".to_owned(), "fou".to_owned())
        );
    }
}
