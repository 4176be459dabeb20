//! Identities that may be asserted to another server.
//!
//! A name is judged in one place and used in another: the next server reads it from a header, a claim
//! or a certificate, and a person reads it in a log or a role binding. HTTP/1.1 removes blanks at the
//! ends of a header's value (RFC 9110, section 5.5), so `" system:masters"` is a harmless group here and
//! the group of all rights there. [`Identity`] is therefore the only type that carries a user onwards,
//! and [`Identity::check`] is its only constructor.
//!
//! | text | rule |
//! |---|---|
//! | user name, group, extra key | is not empty |
//! | extra key | has no upper-case ASCII letters: names of headers have no case |
//! | user name, group | is not another spelling of `system:…`, such as `System:` or one with a full-width colon |
//! | all | neither begins nor ends with white space of any kind |
//! | all | has no control character, no invisible character, no U+FFFD (which stands for bytes that were no UTF-8) and no white space but the blank U+0020 |
//!
//! Letters beyond ASCII are allowed: they are UTF-8 in headers, which HTTP/1.1 and HTTP/2 carry as they
//! are. An exact `system:…` is allowed as well. The caller decides who may vouch for one
//! ([`UserInfo::reserved_identity`]).

mod spelling;

use std::ops::Deref;

use machinery::invisible::is_format;

use crate::user::UserInfo;

pub use spelling::{is_spelling_of, reserved_spelling};

/// A user whose texts reach every other server, and every reader, as they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity(UserInfo);

/// A part of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The user name.
    UserName,
    /// The uid.
    Uid,
    /// The name of a group.
    Group,
    /// The key of an extra value.
    ExtraKey,
    /// An extra value.
    ExtraValue,
}

/// An identity that cannot be asserted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} {text:?} {problem}")]
pub struct IdentityError {
    /// The part that is wrong.
    pub part: Part,
    /// Its text, cut to the first 100 characters.
    pub text: String,
    /// The problem with it.
    pub problem: NameError,
}

/// The reason why a name cannot be asserted, as the predicate of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is no text.
    #[error("must not be empty")]
    Empty,
    /// A hop may remove what is at an end.
    #[error("must not begin or end with white space")]
    OuterSpace,
    /// A control character, an invisible one, or white space other than the blank.
    #[error("must not contain the character U+{code:04X}", code = u32::from(*.0))]
    Character(char),
    /// It is read as `system:…` and is not spelled so.
    #[error("must not be another spelling of a name that begins with \"system:\"")]
    ReservedSpelling,
    /// An extra key that a header's name cannot tell from another one.
    #[error("must not have upper-case letters")]
    UpperCase,
}

impl Identity {
    /// Checks a user.
    ///
    /// # Errors
    /// The first text that cannot be asserted.
    pub fn check(user: UserInfo) -> Result<Self, IdentityError> {
        Part::UserName.check(&user.name)?;
        Part::Uid.check(&user.uid)?;
        for group in &user.groups {
            Part::Group.check(group)?;
        }
        for (key, values) in &user.extra {
            Part::ExtraKey.check(key)?;
            for value in values {
                Part::ExtraValue.check(value)?;
            }
        }
        Ok(Self(user))
    }

    /// The user of a request without credentials.
    pub fn anonymous() -> Self {
        Self(UserInfo::anonymous())
    }

    /// Adds `system:authenticated`, as [`UserInfo::with_authenticated_group`].
    #[must_use]
    pub fn with_authenticated_group(self) -> Self {
        Self(self.0.with_authenticated_group())
    }

    /// Removes the groups that `keep` does not keep.
    #[must_use]
    pub fn with_groups(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.0.groups.retain(|group| keep(group));
        self
    }

    /// Replaces the values of an extra key with those that another identity has; without any, the key is removed.
    #[must_use]
    pub fn with_extra_of(mut self, other: &Self, key: &str) -> Self {
        match other.0.extra.get(key) {
            Some(values) => self.0.extra.insert(key.to_owned(), values.clone()),
            None => self.0.extra.remove(key),
        };
        self
    }

    /// The user, for those who do not pass it on.
    pub fn into_user(self) -> UserInfo {
        self.0
    }
}

impl Deref for Identity {
    type Target = UserInfo;

    fn deref(&self) -> &UserInfo {
        &self.0
    }
}

impl Part {
    /// Checks one text of an identity.
    ///
    /// # Errors
    /// The text cannot be asserted as this part.
    pub fn check(self, text: &str) -> Result<(), IdentityError> {
        self.problem(text).map_or(Ok(()), |problem| {
            Err(IdentityError {
                part: self,
                text: text.chars().take(100).collect(),
                problem,
            })
        })
    }

    fn problem(self, text: &str) -> Option<NameError> {
        if text.is_empty() {
            let may_be_empty = matches!(self, Self::Uid | Self::ExtraValue);
            return (!may_be_empty).then_some(NameError::Empty);
        }
        if text.starts_with(is_removable) || text.ends_with(is_removable) {
            return Some(NameError::OuterSpace);
        }
        if let Some(character) = text.chars().find(|&character| is_hidden(character)) {
            return Some(NameError::Character(character));
        }
        match self {
            Self::UserName | Self::Group if reserved_spelling(text) => {
                Some(NameError::ReservedSpelling)
            }
            Self::ExtraKey if text.contains(|letter: char| letter.is_ascii_uppercase()) => {
                Some(NameError::UpperCase)
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UserName => "user name",
            Self::Uid => "uid",
            Self::Group => "group",
            Self::ExtraKey => "extra key",
            Self::ExtraValue => "extra value",
        })
    }
}

/// White space in the sense of Unicode, and what some programs remove like it.
fn is_removable(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{180e}' | '\u{200b}' | '\u{feff}')
}

/// A character that cannot be seen, or that changes how others are seen: controls, white space other
/// than the blank, format characters (general category Cf), the code points that Unicode lets a
/// renderer ignore (`Default_Ignorable_Code_Point`), the Braille blank, and U+FFFD, which stands for
/// bytes that were no UTF-8: several names would become one.
fn is_hidden(character: char) -> bool {
    if matches!(character, ' '..='~') {
        return false;
    }
    let is_ignorable = matches!(
        u32::from(character),
        0x34f
            | 0x115f..=0x1160
            | 0x17b4..=0x17b5
            | 0x180b..=0x180f
            | 0x2800
            | 0x3164
            | 0xfe00..=0xfe0f
            | 0xffa0
            | 0xfff0..=0xfff8
            | 0xfffd
    );
    is_ignorable || is_format(character) || character.is_control() || character.is_whitespace()
}

#[cfg(test)]
mod tests;
