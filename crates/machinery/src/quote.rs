//! Quoting as in Go, for texts that Kubernetes clients see.

/// Returns the text in double quotes, escaped as by Go's `strconv.Quote` (`%q`): printable
/// characters are kept, control and other unprintable ones become `\n`, `\x1b`, `\u200b` and the
/// like.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        push_escaped(&mut quoted, character);
    }
    quoted.push('"');
    quoted
}

/// Returns whether a character is printable according to Go's `unicode.IsPrint`: letters, marks,
/// numbers, punctuation, symbols and the ASCII space.
#[must_use]
pub fn is_print(character: char) -> bool {
    if character.is_ascii() {
        return (' '..='~').contains(&character);
    }
    // `str::escape_debug` escapes exactly the unprintable categories, and also combining marks at
    // the beginning of a text.
    let mut buffer = [0; 8];
    buffer[0] = b'.';
    let length = 1 + character.encode_utf8(&mut buffer[1..]).len();
    str::from_utf8(&buffer[..length])
        .is_ok_and(|text| text.escape_debug().nth(1) == Some(character))
}

fn push_escaped(quoted: &mut String, character: char) {
    match character {
        '"' => quoted.push_str("\\\""),
        '\\' => quoted.push_str("\\\\"),
        '\u{07}' => quoted.push_str("\\a"),
        '\u{08}' => quoted.push_str("\\b"),
        '\u{0b}' => quoted.push_str("\\v"),
        '\u{0c}' => quoted.push_str("\\f"),
        '\n' => quoted.push_str("\\n"),
        '\r' => quoted.push_str("\\r"),
        '\t' => quoted.push_str("\\t"),
        printable if is_print(printable) => quoted.push(printable),
        other => quoted.push_str(&numeric_escape(u32::from(other))),
    }
}

fn numeric_escape(code_point: u32) -> String {
    match code_point {
        0..=0x7f => format!("\\x{code_point:02x}"),
        0x80..=0xffff => format!("\\u{code_point:04x}"),
        _ => format!("\\U{code_point:08x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(quote(text), expected);
    }

    #[test]
    fn printable_text_stays() {
        check("", r#""""#);
        check("a.b-c_1 'x'", r#""a.b-c_1 'x'""#);
        check("Grüße, 世界 🙂", r#""Grüße, 世界 🙂""#);
        check("e\u{301}", "\"e\u{301}\"");
        check("\u{301}", "\"\u{301}\"");
    }

    #[test]
    fn quotes_and_controls_are_escaped() {
        check("a\"b\\c", r#""a\"b\\c""#);
        check("\u{7}\u{8}\u{c}\n\r\t\u{b}", r#""\a\b\f\n\r\t\v""#);
        check("\u{0}\u{1b}\u{7f}", r#""\x00\x1b\x7f""#);
    }

    #[test]
    fn unprintable_unicode_is_escaped() {
        check("\u{85}\u{a0}", r#""\u0085\u00a0""#);
        check("\u{200b}\u{2028}\u{feff}", r#""\u200b\u2028\ufeff""#);
        check("\u{e0001}", r#""\U000e0001""#);
    }
}
