//! Texts for people that are written into users' files and shown on their terminals.

use machinery::invisible::is_invisible;

/// Maximum number of characters of a display text.
pub const MAX_CHARACTERS: usize = 256;

/// Go regular expression of a display text: no control characters, no format characters, no line or
/// paragraph separators.
pub const PATTERN: &str = r"^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$";

/// Checks a display text.
///
/// # Errors
/// The text is too long, or has a character that a terminal or a reader could take for something
/// else. The error states the requirement.
pub fn check(text: &str) -> Result<(), &'static str> {
    if text.chars().nth(MAX_CHARACTERS).is_some() {
        return Err("must have at most 256 characters");
    }
    match text.contains(is_invisible) {
        true => Err("must not contain control, format or line-separating characters"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_languages_are_right() {
        for text in [
            "",
            "downstream 1",
            "Büro \"Nord\" \\ 名前 🦀 (prod)",
            "עברית العربية",
            &"名".repeat(MAX_CHARACTERS),
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn texts_that_a_terminal_or_a_reader_takes_for_others_are_refused() {
        for character in [
            '\0',
            '\t',
            '\n',
            '\r',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            let why = "must not contain control, format or line-separating characters";
            assert_eq!(check(&format!("a{character}b")), Err(why), "{character:?}");
        }
        let long = "a".repeat(MAX_CHARACTERS + 1);
        assert_eq!(check(&long), Err("must have at most 256 characters"));
    }
}
