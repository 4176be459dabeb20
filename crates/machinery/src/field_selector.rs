//! Field selectors: requirements on the fields of an object (apimachinery `pkg/fields`).
//!
//! `metadata.name=a,metadata.namespace!=b`: terms joined by commas, all of which must hold. In a
//! value, `\,`, `\=` and `\\` are escapes for the plain characters. [`FieldSelector::validate`]
//! gets the fields by which a kind can be selected.

use std::fmt;

use crate::quote::quote;

/// Requirements on fields, all of which must hold. The default has no requirements and matches
/// everything.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct FieldSelector {
    requirements: Vec<Requirement>,
}

/// One requirement on one field.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Requirement {
    /// Dotted name, e.g. `metadata.name`.
    pub field: String,
    /// The relation.
    pub operator: Operator,
    /// The value, unescaped.
    pub value: String,
}

/// The relation between a field and the value.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operator {
    /// `=` or `==`.
    Equals,
    /// `!=`.
    NotEquals,
}

/// An invalid field selector, or one that selects by an unknown field. The client gets 400 with
/// this message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SelectorError {
    /// A term has no operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    NotUnderstood {
        /// The whole text.
        selector: String,
        /// The term.
        term: String,
    },
    /// A backslash precedes a character other than `\`, `,` and `=`.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    InvalidEscape(String),
    /// A value has a bare `=`. Upstream prints the code point.
    #[error("invalid field selector: unescaped character in value: {}", u32::from(*.0))]
    UnescapedCharacter(char),
    /// The kind cannot be selected by this field.
    #[error("{} is not a known field selector: only {}", quote(.field), quoted_list(.known))]
    UnknownField {
        /// The field.
        field: String,
        /// The known fields.
        known: Vec<String>,
    },
}

impl FieldSelector {
    /// Parses a `fieldSelector` parameter. The empty text matches everything.
    pub fn parse(text: &str) -> Result<FieldSelector, SelectorError> {
        let mut terms = split_terms(text);
        // The first invalid term in this order is the one that is reported.
        terms.sort_unstable();
        let mut requirements = Vec::with_capacity(terms.len());
        for term in terms {
            let Some((field, operator, escaped)) = split_term(term) else {
                return Err(SelectorError::NotUnderstood {
                    selector: text.to_owned(),
                    term: term.to_owned(),
                });
            };
            let value = unescape(escaped)?;
            if !field.is_empty() || !value.is_empty() {
                requirements.push(Requirement {
                    field: field.to_owned(),
                    operator,
                    value,
                });
            }
        }
        // Sorted, so that equal selectors are equal in any spelling of their operators.
        requirements.sort_by_cached_key(Requirement::to_string);
        Ok(FieldSelector { requirements })
    }

    /// Returns a selector that matches every object.
    #[must_use]
    pub fn everything() -> FieldSelector {
        FieldSelector::default()
    }

    /// Rejects all fields except the known ones.
    pub fn validate(&self, known: &[&str]) -> Result<(), SelectorError> {
        let unknown = |requirement: &&Requirement| !known.contains(&requirement.field.as_str());
        match self.requirements.iter().find(unknown) {
            None => Ok(()),
            Some(requirement) => Err(SelectorError::UnknownField {
                field: requirement.field.clone(),
                known: known.iter().map(|&field| field.to_owned()).collect(),
            }),
        }
    }

    /// Returns whether an object meets every requirement. `has` returns whether a field has a value,
    /// or contains it, for a field with several values.
    pub fn matches(&self, has: impl Fn(&str, &str) -> bool) -> bool {
        self.requirements.iter().all(|requirement| {
            let equal = has(&requirement.field, &requirement.value);
            equal == (requirement.operator == Operator::Equals)
        })
    }

    /// Adds the requirement that this field has this value.
    #[must_use]
    pub fn and_equals(mut self, field: &str, value: &str) -> FieldSelector {
        self.requirements.push(Requirement {
            field: field.to_owned(),
            operator: Operator::Equals,
            value: value.to_owned(),
        });
        self
    }

    /// Returns the value that a field must have exactly, if there is such a requirement.
    #[must_use]
    pub fn exact(&self, field: &str) -> Option<&str> {
        let exact = |requirement: &&Requirement| {
            requirement.field == field && requirement.operator == Operator::Equals
        };
        self.requirements
            .iter()
            .find(exact)
            .map(|requirement| requirement.value.as_str())
    }

    /// Returns the requirements. Those that were parsed come first, sorted by their text.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Returns whether there are no requirements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

/// Writes the canonical text, with `=` for equality.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = match self.operator {
            Operator::Equals => "=",
            Operator::NotEquals => "!=",
        };
        write!(f, "{}{operator}{}", self.field, escape(&self.value))
    }
}

/// Writes the canonical texts of the requirements.
impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{requirement}")?;
        }
        Ok(())
    }
}

/// Returns the terms between unescaped commas, without empty ones.
fn split_terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    let ends_term = |character| {
        let ends = character == ',' && !escaped;
        escaped = character == '\\' && !escaped;
        ends
    };
    text.split(ends_term)
        .filter(|term| !term.is_empty())
        .collect()
}

/// Splits a term at the first operator into field, operator and escaped value.
fn split_term(term: &str) -> Option<(&str, Operator, &str)> {
    let start = term.char_indices().find_map(|(index, character)| {
        let is_operator = character == '=' || term[index..].starts_with("!=");
        is_operator.then_some(index)
    })?;
    let (field, rest) = term.split_at(start);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((field, Operator::NotEquals, value));
    }
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
    Some((field, Operator::Equals, value))
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace(',', "\\,")
        .replace('=', "\\=")
}

fn unescape(escaped: &str) -> Result<String, SelectorError> {
    let mut value = String::with_capacity(escaped.len());
    let mut characters = escaped.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(plain @ ('\\' | ',' | '=')) => value.push(plain),
                Some(other) => return Err(SelectorError::InvalidEscape(format!("\\{other}"))),
                None => return Err(SelectorError::InvalidEscape("\\".to_owned())),
            },
            ',' | '=' => return Err(SelectorError::UnescapedCharacter(character)),
            plain => value.push(plain),
        }
    }
    Ok(value)
}

fn quoted_list(fields: &[String]) -> String {
    fields
        .iter()
        .map(|field| quote(field))
        .collect::<Vec<String>>()
        .join(", ")
}

#[cfg(test)]
mod tests;
