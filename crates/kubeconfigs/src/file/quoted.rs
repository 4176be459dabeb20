//! Quoting of text from other sources in the file.

use std::fmt::Write;

/// Maximum length of the escaped form of one byte.
const ESCAPED: usize = r"\u0000".len();

/// Returns an upper bound for the number of bytes that [`push_quoted`] or [`push_comment`] appends.
pub(super) fn room_of(value: &str) -> usize {
    let quotes = 2;
    match value.bytes().all(is_plain) {
        true => quotes + value.len(),
        false => quotes + ESCAPED * value.len(),
    }
}

/// Appends a double-quoted scalar. JSON's escapes are also valid in YAML (YAML 1.2.2, 5.7), so
/// every parser of YAML 1.1 or 1.2 reads exactly this value.
pub(super) fn push_quoted(text: &mut String, value: &str) {
    text.push('"');
    match value.bytes().all(is_plain) {
        true => text.push_str(value),
        false => push_escaped(text, value),
    }
    text.push('"');
}

/// Returns whether a byte is the same in a quoted text.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

fn push_escaped(text: &mut String, mut rest: &str) {
    let is_escaped = |character| matches!(character, '"' | '\\') || is_special(character);
    while let Some(place) = rest.find(is_escaped) {
        let (plain, special) = rest.split_at(place);
        text.push_str(plain);
        let mut characters = special.chars();
        match characters.next() {
            Some(character @ ('"' | '\\')) => text.extend(['\\', character]),
            Some('\n') => text.push_str("\\n"),
            Some(character) => push_escape(text, character),
            None => {}
        }
        rest = characters.as_str();
    }
    text.push_str(rest);
}

/// Appends the rest of a comment and a newline. Characters that could end the line early, or that a
/// YAML parser may reject, are escaped.
pub(super) fn push_comment(text: &mut String, value: &str) {
    for character in value.chars() {
        match is_special(character) {
            true => push_escape(text, character),
            false => text.push(character),
        }
    }
    text.push('\n');
}

/// Returns whether a YAML parser may reject or skip a character, or treat it as the end of a line.
/// All of them are below U+10000.
fn is_special(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}'
        )
}

fn push_escape(text: &mut String, character: char) {
    // Writing to a string cannot fail.
    let _ = write!(text, "\\u{:04X}", u32::from(character));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_one_line_of_printable_characters() {
        let cases = [
            ("", r#""""#),
            ("downstream 1", r#""downstream 1""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\na\n\nb\n", r#""\na\n\nb\n""#),
            ("\0\u{7f}\u{85}", r#""\u0000\u007F\u0085""#),
            ("a\u{2028}\u{2029}b", r#""a\u2028\u2029b""#),
            ("\u{feff}\u{fffe}\u{ffff}", r#""\uFEFF\uFFFE\uFFFF""#),
            ("名前 🦀", r#""名前 🦀""#),
        ];
        for (value, expected) in cases {
            let mut text = String::new();
            push_quoted(&mut text, value);
            assert_eq!(text, expected, "{value:?}");
            assert!(text.len() <= room_of(value), "{value:?}");
        }
    }

    #[test]
    fn a_comment_is_one_line() {
        let mut text = "# name: ".to_owned();
        push_comment(&mut text, "a\r\nb\u{85}c\u{2028}\"d\"");
        assert_eq!(text, "# name: a\\u000D\\u000Ab\\u0085c\\u2028\"d\"\n");
    }
}
