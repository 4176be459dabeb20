//! Parser of label selectors.
//!
//! The grammar, with blanks allowed between tokens:
//!
//! ```text
//! selector    = [ requirement { "," requirement } ]
//! requirement = key | "!" key | key operator value | key ( "in" | "notin" ) "(" [ values ] ")"
//! operator    = "=" | "==" | "!=" | ">" | "<"
//! values      = value { "," value }
//! ```
//!
//! A value may be empty: `x=`, `x in (a,,b)`, `x in ()`. The words `in` and `notin` are keys or
//! values wherever no operator is allowed.

use std::collections::BTreeSet;

use crate::field::Path;

use super::{Operator, Requirement, SelectorError, key_error};

/// Operators between a key and its values, as an error lists them.
const BINARY_OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

/// Characters that end a word.
const SPECIAL: [char; 7] = ['=', '!', '(', ')', ',', '>', '<'];

/// Characters between tokens.
const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    Parser {
        tokens: Tokens { rest: text },
    }
    .selector()
}

/// A token of the input. The end of the input has an empty text.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Token<'a> {
    End,
    Symbol(&'a str),
    Word(&'a str),
}

impl<'a> Token<'a> {
    fn text(self) -> &'a str {
        match self {
            Token::End => "",
            Token::Symbol(text) | Token::Word(text) => text,
        }
    }
}

#[derive(Clone, Copy)]
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Token<'a> {
        self.rest = self.rest.trim_start_matches(BLANK);
        let symbol_length = match self.rest.as_bytes() {
            [] => return Token::End,
            [b'=' | b'!', b'=', ..] => 2,
            [b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<', ..] => 1,
            _ => 0,
        };
        if symbol_length > 0 {
            return Token::Symbol(self.take(symbol_length));
        }
        let ends_word = |character| SPECIAL.contains(&character) || BLANK.contains(&character);
        let length = self.rest.find(ends_word).unwrap_or(self.rest.len());
        Token::Word(self.take(length))
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }
}

struct Parser<'a> {
    tokens: Tokens<'a>,
}

impl<'a> Parser<'a> {
    fn selector(&mut self) -> Result<Vec<Requirement>, SelectorError> {
        let mut requirements = Vec::new();
        match self.peek() {
            Token::End => return Ok(requirements),
            token if starts_requirement(token) => {}
            token => return found(token, ", expected: !, identifier, or 'end of string'"),
        }
        loop {
            let requirement = self
                .requirement()
                .map_err(|error| SelectorError(format!("unable to parse requirement: {error}")))?;
            requirements.push(requirement);
            match self.next() {
                Token::End => return Ok(requirements),
                Token::Symbol(",") if starts_requirement(self.peek()) => {}
                Token::Symbol(",") => {
                    return found(self.peek(), ", expected: identifier after ','");
                }
                token => return found(token, ", expected: ',' or 'end of string'"),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let mut token = self.next();
        let negated = token == Token::Symbol("!");
        if negated {
            token = self.next();
        }
        let Token::Word(key) = token else {
            return found(token, ", expected: identifier");
        };
        // Upstream has no path for the key here, and prints the missing path like this.
        if let Some(error) = key_error(key, &Path::root("<nil>")) {
            return Err(SelectorError(error.to_string()));
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        Requirement::new(key, operator, values)
    }

    fn operator(&mut self) -> Result<Operator, SelectorError> {
        match self.next() {
            Token::Word("in") => Ok(Operator::In),
            Token::Word("notin") => Ok(Operator::NotIn),
            Token::Symbol("=") => Ok(Operator::Equals),
            Token::Symbol("==") => Ok(Operator::DoubleEquals),
            Token::Symbol("!=") => Ok(Operator::NotEquals),
            Token::Symbol(">") => Ok(Operator::GreaterThan),
            Token::Symbol("<") => Ok(Operator::LessThan),
            token => found(token, &format!(", expected: {BINARY_OPERATORS}")),
        }
    }

    fn exact_value(&mut self) -> Result<String, SelectorError> {
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(String::new());
        }
        match self.next() {
            Token::Word(value) => Ok(value.to_owned()),
            token => found(token, ", expected: identifier"),
        }
    }

    /// Parses the values of a set, and returns them sorted and without duplicates.
    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        match self.next() {
            Token::Symbol("(") => {}
            token => return found(token, " expected: '('"),
        }
        if !matches!(self.peek(), Token::Word(_) | Token::Symbol("," | ")")) {
            return found(self.peek(), ", expected: ',', ')' or identifier");
        }
        let mut values = BTreeSet::new();
        loop {
            let value = match self.peek() {
                Token::Word(word) => {
                    self.next();
                    word
                }
                Token::Symbol("," | ")") => "",
                token => return found(token, ", expected: ',', or identifier"),
            };
            values.insert(value.to_owned());
            match self.next() {
                Token::Symbol(",") => {}
                Token::Symbol(")") => return Ok(values.into_iter().collect()),
                token => return found(token, ", expected: ',' or ')'"),
            }
        }
    }

    fn next(&mut self) -> Token<'a> {
        self.tokens.next()
    }

    fn peek(&self) -> Token<'a> {
        let mut ahead = self.tokens;
        ahead.next()
    }
}

fn starts_requirement(token: Token<'_>) -> bool {
    matches!(token, Token::Word(_) | Token::Symbol("!"))
}

fn found<T>(token: Token<'_>, rest: &str) -> Result<T, SelectorError> {
    Err(SelectorError(format!("found '{}'{rest}", token.text())))
}
