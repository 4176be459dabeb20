//! A transcript: commands and their output, as a user sees them.
//!
//! ```text
//! # Prose is a paragraph of lines that start with "#". A line like the next one selects the user.
//! # as alice
//!
//! $ kubectl create -f - <<END
//! {apiVersion: ext.cattle.io/v1, kind: Kubeconfig}
//! END
//! kubeconfig.ext.cattle.io/kubeconfig-<1> created
//!
//! $ kubectl get kubeconfig \
//!     missing
//! Error from server (NotFound): kubeconfigs.ext.cattle.io "missing" not found
//! [exit 1]
//! ```
//!
//! A command starts with `$ ` and continues after a `\` at the end of a line and up to the end of
//! its here-documents. It is followed by its answer, both outputs in order, until the next command,
//! or an empty line and prose. Parts are separated by one empty line. Output that differs from run
//! to run is replaced by names in angle brackets, see `transcript/normalise.rs`. In a file, `[..]`
//! matches any text within a line and a line `...` matches any lines.
//!
//! A list is sorted by name, and names are random: sort it by another field if it has more than one
//! item.
//!
//! The commands below a line `# only standalone` or `# only aggregated` are run only in that mode,
//! up to the next prose; in the other mode their answers are kept as they are.

mod normalise;
mod parse;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, anyhow};
use snapbox::Data;
use snapbox::assert::Action;
use snapbox::data::DataFormat;
use snapbox::report::Palette;

use crate::Shell;
use crate::shell::{Answer, Mode, Step};

use normalise::Normaliser;

/// The commands and the prose of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Prose(String),
    Command(Command),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Command {
    text: String,
    /// The answer in the file, without trailing empty lines.
    answer: String,
    /// The mode that the command is restricted to, if any.
    only: Option<Mode>,
}

impl Transcript {
    /// Parses the text of a transcript.
    ///
    /// # Errors
    /// Fails on a line that is neither prose, command nor answer, or a here-document without an
    /// end.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(Self {
            parts: parse::parts(text)?,
        })
    }

    /// Runs the commands and returns the text of the transcript with the new answers.
    pub fn replay(&self, shell: &Shell) -> anyhow::Result<String> {
        let steps = self.parts.iter().flat_map(|part| part.steps(shell.mode));
        let steps: Vec<Step<'_>> = steps.collect();
        let mut answers = shell.run(&steps)?.into_iter();
        let mut normaliser = Normaliser::new(shell.folders())?;
        let mut paragraphs = Vec::new();
        for part in &self.parts {
            paragraphs.push(match part {
                Part::Prose(text) => text.clone(),
                Part::Command(command) if !command.runs_in(shell.mode) => command.as_read(),
                Part::Command(command) => {
                    let answer = answers.next().context("a command without an answer")?;
                    shown(&command.text, &answer, &mut normaliser)?
                }
            });
        }
        Ok(paragraphs.join("\n\n") + "\n")
    }
}

impl Part {
    fn steps(&self, mode: Mode) -> Vec<Step<'_>> {
        match self {
            Self::Command(command) if !command.runs_in(mode) => Vec::new(),
            Self::Command(command) => vec![Step::Run(&command.text)],
            Self::Prose(text) => text
                .lines()
                .filter_map(|line| line.strip_prefix("# as "))
                .map(Step::As)
                .collect(),
        }
    }
}

impl Command {
    fn runs_in(&self, mode: Mode) -> bool {
        self.only.is_none_or(|only| only == mode)
    }

    /// Returns the command and its answer as in the file.
    fn as_read(&self) -> String {
        format!("$ {}\n{}", self.text, self.answer)
            .trim_end()
            .to_owned()
    }
}

/// Replays a transcript file and compares the answers; with `TRANSCRIPTS=overwrite`, overwrites the
/// file.
///
/// # Errors
/// Fails if the answers differ: the error contains the difference.
pub fn check(file: &Path, shell: &Shell) -> anyhow::Result<()> {
    let action = Action::with_env_var("TRANSCRIPTS").unwrap_or_default();
    compare(file, shell, action).context("TRANSCRIPTS=overwrite takes the new answers over")
}

/// Returns output with the same replacements as in a transcript. Each folder is replaced by its
/// name.
///
/// # Errors
/// Fails if a pattern of the replacements is invalid.
pub fn normalise(output: &str, folders: Vec<(String, &'static str)>) -> anyhow::Result<String> {
    Ok(Normaliser::new(folders)?.apply(output))
}

/// Compares a file with the text that it should have; with `TRANSCRIPTS=overwrite`, overwrites the
/// file.
///
/// # Errors
/// Fails if the texts differ: the error contains the difference.
pub fn check_text(file: &Path, text: String) -> anyhow::Result<()> {
    let action = Action::with_env_var("TRANSCRIPTS").unwrap_or_default();
    compare_text(file, text, action).context("TRANSCRIPTS=overwrite takes the new text over")
}

/// Replays a transcript file and performs `action` if the answers differ.
///
/// # Errors
/// Fails if the answers differ and the action is to verify, or the file cannot be read or replayed.
pub fn compare(file: &Path, shell: &Shell, action: Action) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let transcript = Transcript::parse(&text).with_context(|| file.display().to_string())?;
    compare_text(file, transcript.replay(shell)?, action)
}

fn compare_text(file: &Path, text: String, action: Action) -> anyhow::Result<()> {
    let expected = Data::read_from(file, Some(DataFormat::Text));
    snapbox::Assert::new()
        .action(action)
        .normalize_paths(false)
        .palette(Palette::plain())
        .try_eq(Some(&"replayed"), Data::text(text), expected)
        .map_err(|difference| anyhow!("{difference}"))
}

/// Formats a command and its answer, without trailing line breaks.
fn shown(command: &str, answer: &Answer, normaliser: &mut Normaliser) -> anyhow::Result<String> {
    let mut text = format!("$ {command}");
    let output = normaliser.apply(&answer.output);
    let output = output.trim_end();
    if !output.is_empty() {
        write!(text, "\n{output}")?;
    }
    if answer.code != 0 {
        write!(text, "\n[exit {}]", answer.code)?;
    }
    Ok(text)
}
