//! Parses the text of a transcript.

use std::str::Lines;

use anyhow::{Context, bail};
use regex::Regex;

use super::{Command, Part};
use crate::shell::Mode;

/// Returns the commands and the prose of `text`, in order.
pub(super) fn parts(text: &str) -> anyhow::Result<Vec<Part>> {
    let here_document = Regex::new(r#"(?:^|[^<])<<-?\s*['"]?([A-Za-z_]\w*)"#)?;
    let mut parts = Vec::new();
    let mut lines = text.lines();
    let mut after_empty = true;
    let mut only = None;
    while let Some(line) = lines.next() {
        if let Some(first) = line.strip_prefix("$ ") {
            parts.push(Part::Command(Command {
                text: command(first, &mut lines, &here_document)?,
                answer: String::new(),
                only,
            }));
        } else if line.starts_with('#') && after_empty {
            only = mode(line);
            parts.push(Part::Prose(line.to_owned()));
        } else if line.starts_with('#')
            && let Some(Part::Prose(prose)) = parts.last_mut()
        {
            only = only.or(mode(line));
            *prose += "\n";
            *prose += line;
        } else if let Some(Part::Command(command)) = parts.last_mut() {
            command.answer += line;
            command.answer += "\n";
        } else if !line.is_empty() {
            bail!("neither a command, prose nor an answer: {line}");
        }
        after_empty = line.is_empty();
    }
    Ok(parts)
}

/// Returns the mode that a line of prose restricts the following commands to.
fn mode(line: &str) -> Option<Mode> {
    match line {
        "# only standalone" => Some(Mode::Standalone),
        "# only aggregated" => Some(Mode::Aggregated),
        _ => None,
    }
}

/// Reads the lines of a command with the given first line.
fn command(first: &str, lines: &mut Lines<'_>, here_document: &Regex) -> anyhow::Result<String> {
    let mut text = first.to_owned();
    while text.ends_with('\\') {
        let next = lines
            .next()
            .context("a command that goes on after the end")?;
        text += "\n";
        text += next;
    }
    let found = here_document.captures_iter(&text);
    let ends: Vec<String> = found.map(|found| found[1].to_owned()).collect();
    for end in ends {
        loop {
            let next = lines
                .next()
                .with_context(|| format!("a here-document without {end}"))?;
            text += "\n";
            text += next;
            if next.trim_start_matches('\t') == end {
                break;
            }
        }
    }
    Ok(text)
}
