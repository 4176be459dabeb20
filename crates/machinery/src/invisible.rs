//! Characters that a reader cannot see, or that change the display of others.

/// Returns a text that is safe to show on one line of a terminal: without control and format
/// characters, and with spaces in place of line breaks.
#[must_use]
pub fn printable(text: &str) -> String {
    let spaced = text.chars().map(|it| if is_break(it) { ' ' } else { it });
    spaced.filter(|it| !is_invisible(*it)).collect()
}

/// Returns whether a character may be invisible to a reader or interpreted by a terminal: control
/// characters, format characters and ends of lines.
#[must_use]
pub fn is_invisible(character: char) -> bool {
    character.is_control() || is_format(character) || is_separator(character)
}

/// Returns whether a character formats others: the general category Cf of Unicode 16, which
/// includes the characters that change the direction of text, and the rest of the Tags block.
#[must_use]
pub const fn is_format(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Returns whether a character ends a line without being a control character: the line separator
/// and the paragraph separator.
#[must_use]
pub const fn is_separator(character: char) -> bool {
    matches!(character, '\u{2028}' | '\u{2029}')
}

const fn is_break(character: char) -> bool {
    character == '\n' || is_separator(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_text_stays_on_its_line_and_is_shown_as_it_is() {
        for (text, expected) in [
            ("a\u{1b}[2J\r\u{9b}b\nc", "a[2Jb c"),
            ("error\n    run: evil", "error     run: evil"),
            ("a\u{202e}b\u{2066}c\u{200b}d\u{feff}", "abcd"),
            ("a\u{2028}b\u{2029}c\u{85}d\u{7f}", "a b cd"),
            ("tag \u{e0041}\u{e007f}", "tag "),
            ("Müller 東京 🚀", "Müller 東京 🚀"),
        ] {
            assert_eq!(printable(text), expected);
        }
    }
}
