//! Characters that a reader cannot see, or that change how a reader sees others.

/// Whether a reader may not see a character, or a terminal may obey it: controls, format characters and ends of lines.
#[must_use]
pub fn is_invisible(character: char) -> bool {
    character.is_control() || is_format(character) || is_separator(character)
}

/// Whether a character formats others: the general category Cf of Unicode 16, which has the characters that change the direction of text,
/// and the rest of the block of tags.
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

/// Whether a character ends a line without being a control character: the line and the paragraph separator.
#[must_use]
pub const fn is_separator(character: char) -> bool {
    matches!(character, '\u{2028}' | '\u{2029}')
}
