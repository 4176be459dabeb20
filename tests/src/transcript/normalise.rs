//! Normalisation of output that differs from run to run, to names in angle brackets.
//!
//! Ages and times, uids, resource versions, continue tokens, ports, folders, bearer tokens and
//! certificates each have one name. Generated object names are numbered in the order in which they
//! first appear, `kubeconfig-<1>`, so that a transcript distinguishes them.
//!
//! Columns keep their positions: the number of spaces after a replaced text is adjusted.

use std::collections::BTreeMap;

use regex::{Captures, Regex};

/// Patterns and their replacements, applied in this order to each line.
const RULES: &[(&str, &str)] = &[
    // A JSON web token, before its parts match another pattern.
    (r"\beyJ[\w-]+\.[\w-]+\.[\w-]+", "<token>"),
    (
        r#"(?P<key>-data"?: *"?)[A-Za-z0-9+/=]{40,}"#,
        "$key<base64>",
    ),
    (
        r#"(?P<key>\b[Cc]ontinue"?[:=] *"?)[\w%=-]{8,}"#,
        "$key<continue>",
    ),
    (
        r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)",
        "<time>",
    ),
    (r"\b[0-9a-f]{64}\b", "<sha256>"),
    (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<uid>"),
    (
        r#"(?P<key>(?i:resource ?version)"?[:=] *"?)\d+"#,
        "$key<version>",
    ),
    (
        r"(?P<key>\b(?:127\.0\.0\.1|localhost)|\[::1\]):\d{2,5}\b",
        "$key:<port>",
    ),
    // The rest of a year, which ends a moment later or earlier.
    (r"\b36[45]d\b", "<year>"),
    // The beginning of a log line of kubectl itself.
    (
        r"^(?P<key>[EIW])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ (?P<file>\w+\.go):\d+\]",
        "$key<log> $file]",
    ),
];

/// The letters of a generated suffix (`k8s.io/apimachinery` `pkg/util/rand`): no vowels, no digit
/// that looks like a letter, so that few other words match.
const GENERATED: &str = r"\b(?P<base>kubeconfig|token)-(?P<suffix>[bcdfghjklmnpqrstvwxz2456789]{5}(?:[bcdfghjklmnpqrstvwxz2456789]{10})?)\b";

/// A duration in the format of a table.
const AGE: &str = r"^(?:\d+[smhdy]){1,2}\b";

/// Replaces output that differs from run to run, and remembers the numbers of names.
pub(super) struct Normaliser {
    folders: Vec<(String, &'static str)>,
    rules: Vec<(Regex, &'static str)>,
    generated: Regex,
    age: Regex,
    seen: BTreeMap<String, Vec<String>>,
}

impl Normaliser {
    pub(super) fn new(folders: Vec<(String, &'static str)>) -> anyhow::Result<Self> {
        let mut rules = Vec::new();
        for (pattern, shown) in RULES {
            rules.push((Regex::new(pattern)?, *shown));
        }
        let (generated, age) = (Regex::new(GENERATED)?, Regex::new(AGE)?);
        Ok(Self {
            folders,
            rules,
            generated,
            age,
            seen: BTreeMap::new(),
        })
    }

    /// Returns the text in the form of a transcript, without trailing spaces.
    pub(super) fn apply(&mut self, text: &str) -> String {
        let mut age_column = None;
        let mut shown = String::new();
        for line in text.lines() {
            let line = self.replace_age(line, &mut age_column);
            shown.push_str(self.replace_in(line).trim_end());
            shown.push('\n');
        }
        shown
    }

    /// Replaces the age in a row of a table. The heading determines the column, and an empty line
    /// ends the table.
    fn replace_age(&self, line: &str, column: &mut Option<usize>) -> String {
        if line.is_empty() {
            *column = None;
        } else if let Some(found) = age_column(line) {
            *column = Some(found);
        } else if let Some((before, cell)) = column.and_then(|at| line.split_at_checked(at)) {
            return before.to_owned() + &replace_aligned(cell, &self.age, |_| "<age>".to_owned());
        }
        line.to_owned()
    }

    fn replace_in(&mut self, mut line: String) -> String {
        for (folder, shown) in &self.folders {
            line = line.replace(folder, shown);
        }
        for (pattern, shown) in &self.rules {
            line = replace_aligned(&line, pattern, |found| {
                let mut text = String::new();
                found.expand(shown, &mut text);
                text
            });
        }
        let seen = &mut self.seen;
        replace_aligned(&line, &self.generated, |found| {
            numbered(seen, &found["base"], &found["suffix"])
        })
    }
}

fn numbered(seen: &mut BTreeMap<String, Vec<String>>, base: &str, suffix: &str) -> String {
    let names = seen.entry(base.to_owned()).or_default();
    let known = names.iter().position(|name| name == suffix);
    let index = known.unwrap_or_else(|| {
        names.push(suffix.to_owned());
        names.len() - 1
    });
    format!("{base}-<{}>", index + 1)
}

/// Returns the start of the column AGE or EXPIRES, if the line is a heading that has one.
fn age_column(line: &str) -> Option<usize> {
    let is_heading = line.contains("  ") && !line.chars().any(|letter| letter.is_ascii_lowercase());
    let column = |name: &str| {
        let at = line.find(name).filter(|_| is_heading)?;
        let ends = matches!(line.as_bytes().get(at + name.len()), None | Some(b' '));
        let starts = at == 0 || line.as_bytes().get(at - 1) == Some(&b' ');
        (starts && ends).then_some(at)
    };
    column("AGE").or_else(|| column("EXPIRES"))
}

/// Replaces every match. If a gap between columns follows, adjusts its width.
fn replace_aligned(
    line: &str,
    pattern: &Regex,
    mut shown: impl FnMut(&Captures<'_>) -> String,
) -> String {
    let mut result = String::new();
    let mut rest = 0;
    for found in pattern.captures_iter(line) {
        let whole = found.get_match();
        let new = shown(&found);
        result.push_str(&line[rest..whole.start()]);
        result.push_str(&new);
        rest = whole.end();
        let gap = line[rest..]
            .bytes()
            .take_while(|byte| *byte == b' ')
            .count();
        if gap >= 2 {
            let width = (whole.len() + gap).saturating_sub(new.len()).max(1);
            result.extend(std::iter::repeat_n(' ', width));
            rest += gap;
        }
    }
    result.push_str(&line[rest..]);
    result
}

#[cfg(test)]
mod tests;
