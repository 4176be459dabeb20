//! Warnings for the client, sent as `Warning` response headers (RFC 7234 section 5.5, apiserver
//! `pkg/endpoints/filters/warning.go`).

/// Code of a miscellaneous persistent warning.
const CODE: u16 = 299;

/// Total number of runes above which every warning is cut to [`TRUNCATED_RUNES`], so that headers
/// are bounded.
const MAX_TOTAL_RUNES: usize = 4096;

/// Number of runes that a cut warning keeps.
const TRUNCATED_RUNES: usize = 256;

/// Distinct warnings of one request, in order.
#[derive(Clone, Debug, Default)]
pub struct Warnings {
    texts: Vec<String>,
    runes: usize,
    truncating: bool,
}

impl Warnings {
    /// Creates an empty set of warnings.
    #[must_use]
    pub fn new() -> Warnings {
        Warnings::default()
    }

    /// Adds a warning, unless it is empty or already known, or the limit is reached.
    ///
    /// Control characters become spaces, because a header cannot carry them.
    pub fn add(&mut self, text: impl Into<String>) {
        let full = self.truncating && self.runes >= MAX_TOTAL_RUNES;
        let text = text.into().replace(char::is_control, " ");
        if text.is_empty() || full || self.texts.contains(&text) {
            return;
        }
        self.runes += text.chars().count();
        self.texts.push(text);
        if self.truncating || self.runes > MAX_TOTAL_RUNES {
            self.truncating = true;
            self.runes = self
                .texts
                .iter()
                .map(|text| truncated(text).chars().count())
                .sum();
        }
    }

    /// Returns whether there are no warnings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Returns a value of a `Warning` header for each warning: `299 - "unknown field
    /// \"spec.foo\""`. Values are UTF-8 and not only ASCII.
    pub fn header_values(&self) -> impl Iterator<Item = String> {
        self.texts.iter().map(|text| {
            let sent = if self.truncating {
                truncated(text)
            } else {
                text
            };
            header_value(sent)
        })
    }
}

fn truncated(text: &str) -> &str {
    match text.char_indices().nth(TRUNCATED_RUNES) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

fn header_value(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{CODE} - \"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::Warnings;

    #[track_caller]
    fn check(texts: &[&str], expected: &[String]) {
        let mut warnings = Warnings::new();
        for text in texts {
            warnings.add(*text);
        }
        assert_eq!(warnings.header_values().collect::<Vec<_>>(), expected);
        assert_eq!(warnings.is_empty(), expected.is_empty());
    }

    fn sent(text: &str) -> String {
        format!("299 - \"{text}\"")
    }

    #[test]
    fn each_text_is_sent_once_in_order() {
        check(&["b", "", "a", "b"], &[sent("b"), sent("a")]);
        check(&[""], &[]);
    }

    #[test]
    fn quotes_are_escaped_and_controls_blanked() {
        check(
            &[r#"unknown field "spec.foo""#],
            &[sent(r#"unknown field \"spec.foo\""#)],
        );
        check(&[r"a\b"], &[sent(r"a\\b")]);
        check(&["a\r\nSet-Cookie: x"], &[sent("a  Set-Cookie: x")]);
        check(&["Grüße"], &[sent("Grüße")]);
    }

    #[test]
    fn up_to_4096_runes_are_sent_whole() {
        let long = "é".repeat(4095);
        check(&[&long, "x"], &[sent(&long), sent("x")]);
    }

    #[test]
    fn beyond_4096_runes_every_text_is_cut_to_256() {
        let long = "é".repeat(4096);
        check(&[&long, "x"], &[sent(&"é".repeat(256)), sent("x")]);
    }

    #[test]
    fn cut_texts_stop_at_the_limit() {
        let long: Vec<String> = (0..40).map(|n| format!("{n:0>400}")).collect();
        let texts: Vec<&str> = long.iter().map(String::as_str).collect();
        let expected: Vec<String> = long[..16].iter().map(|text| sent(&text[..256])).collect();
        check(&texts, &expected);
    }
}
