//! The findings of the checks, and their output.

use anyhow::{Context, Result};
use machinery::invisible::printable;
use serde::Serialize;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warning,
    Problem,
}

/// A finding.
#[derive(Debug, Serialize)]
struct Finding {
    level: Level,
    topic: &'static str,
    what: String,
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    to_do: Option<String>,
}

/// All findings, in the order in which they were added.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Adds a finding about something that is in order.
    pub(super) fn ok(&mut self, topic: &'static str, what: impl Into<String>) {
        self.add(Level::Ok, topic, what.into(), None);
    }

    /// Adds a finding about something that works, but not fully or not for long.
    pub(super) fn warning(&mut self, topic: &'static str, what: impl Into<String>, to_do: &str) {
        self.add(Level::Warning, topic, what.into(), Some(to_do));
    }

    /// Adds a finding about something that does not work.
    pub(super) fn problem(&mut self, topic: &'static str, what: impl Into<String>, to_do: &str) {
        self.add(Level::Problem, topic, what.into(), Some(to_do));
    }

    /// Adds a finding about something that could not be checked.
    pub(super) fn unseen(&mut self, topic: &'static str, what: &str, why: &anyhow::Error) {
        self.warning(
            topic,
            format!("{what} cannot be checked: {why:#}"),
            "run this command as an administrator of the host",
        );
    }

    /// Returns the number of problems.
    pub(super) fn problems(&self) -> usize {
        let problems = |finding: &&Finding| finding.level == Level::Problem;
        self.findings.iter().filter(problems).count()
    }

    /// Returns the report with one line for each finding.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let level = match finding.level {
                Level::Ok => "ok     ",
                Level::Warning => "warning",
                Level::Problem => "problem",
            };
            text.push_str(&format!("{level}  {}", finding.what));
            if let Some(to_do) = &finding.to_do {
                text.push_str(&format!("  \u{2192} {to_do}"));
            }
            text.push('\n');
        }
        text
    }

    /// Returns the report as one JSON document.
    pub(super) fn json(&self) -> Result<String> {
        let json = serde_json::to_string_pretty(self).context("the findings cannot be written")?;
        Ok(json + "\n")
    }

    fn add(&mut self, level: Level, topic: &'static str, what: String, to_do: Option<&str>) {
        // The host may put any text into its messages, so reduce it to a single line of printable
        // characters.
        let line = |text: &str| {
            let words: Vec<String> = text.split_whitespace().map(printable).collect();
            words.join(" ")
        };
        self.findings.push(Finding {
            level,
            topic,
            what: line(&what),
            to_do: to_do.map(line),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_lines_and_one_document() {
        let mut report = Report::default();
        report.ok("a", "fine");
        report.warning("b", "not so\n  fi\u{1b}n\u{202e}e", "look");
        report.problem("c", "broken", "mend it");
        assert_eq!(
            report.text(),
            "ok       fine\nwarning  not so fine  → look\nproblem  broken  → mend it\n"
        );
        assert_eq!(report.problems(), 1);
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"findings": [
                {"level": "ok", "topic": "a", "what": "fine"},
                {"level": "warning", "topic": "b", "what": "not so fine", "do": "look"},
                {"level": "problem", "topic": "c", "what": "broken", "do": "mend it"},
            ]})
        );
    }
}
