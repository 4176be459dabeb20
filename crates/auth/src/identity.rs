//! Identities that may be asserted to another server.
//!
//! A name is checked in one place and used in another: the next server reads it from a header, a
//! claim or a certificate, and a person reads it in a log or a role binding. HTTP/1.1 removes
//! blanks at the ends of a header's value (RFC 9110, section 5.5), so `" system:masters"` is a
//! harmless group here and the group of all rights there. [`Identity`] is therefore the only type
//! that carries a user to another server, and [`Identity::check`] is its only constructor.
//!
//! | text | rule |
//! |---|---|
//! | user name, group, extra key | is not empty |
//! | extra key | has no upper-case ASCII letters: names of headers are case-insensitive |
//! | user name, group | is not another spelling of `system:…` (`System:`, a full-width colon) |
//! | all | neither begins nor ends with white space of any kind |
//! | all | has no control or invisible character, and no U+FFFD (which replaces invalid UTF-8) |
//! | all | has no white space other than the blank U+0020 |
//!
//! Letters beyond ASCII are allowed: they are UTF-8 in headers, which HTTP/1.1 and HTTP/2 carry
//! unchanged. An exact `system:…` is allowed as well. The calling code decides on the sources that
//! may vouch for one ([`UserInfo::reserved_identity`]).

mod spelling;

use std::ops::Deref;

use machinery::invisible::is_format;

use crate::login::Login;
use crate::user::UserInfo;

pub use spelling::{is_spelling_of, reserved_spelling};

/// A user whose texts reach every other server, and every reader, unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    user: UserInfo,
    /// The login that proved the identity, or `None` for a credential of this server.
    login: Option<Login>,
}

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

/// An identity cannot be asserted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} {text:?} {problem}")]
pub struct IdentityError {
    /// The invalid part.
    pub part: Part,
    /// The text of the part, cut to the first 100 characters.
    pub text: String,
    /// The fault.
    pub problem: NameError,
}

/// The reason that a name cannot be asserted, as the predicate of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text begins or ends with white space, which an intermediate server may remove.
    #[error("must not begin or end with white space")]
    OuterSpace,
    /// The text has a control character, an invisible one, or white space other than the blank.
    #[error("must not contain the character U+{code:04X}", code = u32::from(*.0))]
    Character(char),
    /// The text reads as `system:…` but is not spelled so.
    #[error("must not be another spelling of a name that begins with \"system:\"")]
    ReservedSpelling,
    /// The extra key has upper-case letters, so a header's name cannot distinguish it from another
    /// one.
    #[error("must not contain upper-case letters")]
    UpperCase,
}

impl Identity {
    /// Checks a user.
    ///
    /// # Errors
    /// Returns an error for the first text that cannot be asserted.
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
        Ok(Self { user, login: None })
    }

    /// Returns the user of a request without credentials.
    pub fn anonymous() -> Self {
        Self {
            user: UserInfo::anonymous(),
            login: None,
        }
    }

    /// Adds `system:authenticated`, like [`UserInfo::with_authenticated_group`].
    #[must_use]
    pub fn with_authenticated_group(self) -> Self {
        Self {
            user: self.user.with_authenticated_group(),
            login: self.login,
        }
    }

    /// Records the login that proved the identity.
    #[must_use]
    pub fn with_login(mut self, login: Login) -> Self {
        self.login = Some(login);
        self
    }

    /// Returns the login that proved the identity, or `None` for a credential of this server.
    pub fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Removes the groups for which `keep` returns false.
    #[must_use]
    pub fn with_groups(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.user.groups.retain(|group| keep(group));
        self
    }

    /// Replaces the values of an extra key by those of another identity. If that has none, the key
    /// is removed.
    #[must_use]
    pub fn with_extra_of(mut self, other: &Self, key: &str) -> Self {
        match other.user.extra.get(key) {
            Some(values) => self.user.extra.insert(key.to_owned(), values.clone()),
            None => self.user.extra.remove(key),
        };
        self
    }

    /// Returns the user, for code that does not send it to another server.
    pub fn into_user(self) -> UserInfo {
        self.user
    }
}

impl Deref for Identity {
    type Target = UserInfo;

    fn deref(&self) -> &UserInfo {
        &self.user
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

/// Returns whether a character is white space according to Unicode, or is removed like white space
/// by some programs.
fn is_removable(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{180e}' | '\u{200b}' | '\u{feff}')
}

/// Returns whether a character is invisible, or changes the appearance of others. These are
/// controls, white space other than the blank, format characters (general category Cf), code points
/// that a renderer may ignore (`Default_Ignorable_Code_Point`), the Braille blank, and U+FFFD.
/// U+FFFD replaces invalid UTF-8, so several names would become the same.
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
