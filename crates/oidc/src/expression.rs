//! Expressions in CEL, which map the claims of a token to a user and check both.
//!
//! ```text
//! load:  text ─▶ parse ─▶ check (names, types of rules, bounds) ─▶ Expression
//! login: claims or user ─▶ Variable ─▶ Expression::evaluate ─▶ Value
//! ```
//!
//! The language is that of kube-apiserver, as far as the crate `cel` computes the same results. An
//! expression that uses anything else is refused when the file is loaded. Available are the
//! operators, the macros, optional values, the conversions and the functions in
//! [`check::FUNCTIONS`]. Not available are timestamps and durations, and the Kubernetes libraries
//! for URLs, IP addresses, quantities, versions and formats. The crate `kube-cel` has these, but it
//! needs version 0.13 of `cel`, in which a field of a text is `false` and `claims.?x` of a missing
//! claim is an error.
//!
//! Numbers of claims are doubles, as in kube-apiserver. Names that Kubernetes would unescape
//! (`a__dot__b`) are refused: `claims['a.b']` means the same.
//!
//! Bounds: an expression has at most 8 KiB and 24 levels, and iterates within at most two other
//! iterations. An evaluation is refused if the number of values to the power of the nested
//! iterations exceeds a million (the cost limit of kube-apiserver for one expression), or if the
//! texts that an iteration may build exceed 64 MiB. The claims are bounded by the size of the token.

mod check;
mod environment;
mod size;

use std::cell::OnceCell;
use std::sync::Arc;
use std::thread;

use cel::parser::PrattParser;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};
use serde_json::Value as Json;

use check::Checked;
use size::Size;

/// Maximum length of an expression, in bytes.
const MAX_BYTES: usize = 8 * 1024;

/// Maximum number of levels of an expression, which fit the stack of a thread.
const MAX_LEVELS: u16 = 24;

/// The stack of the parser, in bytes: for one level per byte of an expression in a debug build.
const PARSER_STACK: usize = 64 * 1024 * 1024;

/// Compiles expressions.
pub(crate) struct Compiler {
    environment: Arc<Env>,
}

/// A variable of expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// `claims`, the claims of the token.
    Claims,
    /// `user`, with `username`, `uid`, `groups` and `extra`.
    User,
}

/// A compiled expression over one variable.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    source: String,
    parsed: Arc<IdedExpr>,
    environment: Environment,
    /// The number of iterations within each other.
    nesting: u32,
    /// The separators at which the expression splits texts.
    separators: Vec<String>,
}

/// The functions that expressions can call.
#[derive(Clone)]
struct Environment(Arc<Env>);

/// The value of a variable, converted once for all expressions of an issuer.
pub(crate) struct Variable<'a> {
    name: Name,
    json: &'a Json,
    context: OnceCell<Context<'static, 'static>>,
}

/// The reason for which an expression has no result.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expression {source_text:?}: {problem}")]
pub(crate) struct EvaluationError {
    source_text: String,
    problem: String,
}

impl Compiler {
    /// Creates a compiler for the supported part of the language.
    pub(crate) fn new() -> Self {
        Self {
            environment: Arc::new(environment::environment()),
        }
    }

    /// Compiles an expression with any result.
    ///
    /// # Errors
    /// The detail of a field error.
    pub(crate) fn compile(&self, source: &str, variable: Name) -> Result<Expression, String> {
        let (parsed, checked) = self.parse(source, variable)?;
        Ok(self.expression(source, parsed, checked))
    }

    /// Compiles an expression whose result is a boolean.
    ///
    /// # Errors
    /// The detail of a field error.
    pub(crate) fn compile_rule(&self, source: &str, variable: Name) -> Result<Expression, String> {
        let (parsed, checked) = self.parse(source, variable)?;
        match check::is_boolean(&parsed) {
            true => Ok(self.expression(source, parsed, checked)),
            false => Err("must evaluate to bool".to_owned()),
        }
    }

    fn parse(&self, source: &str, variable: Name) -> Result<(IdedExpr, Checked), String> {
        if source.len() > MAX_BYTES {
            return Err(format!("may not be more than {MAX_BYTES} bytes"));
        }
        // The parser is not ours: it and the drop of what it parsed may need a deep stack, and a
        // panic must not end the task that loads the file.
        let parsed = thread::scope(|scope| {
            let thread = thread::Builder::new().stack_size(PARSER_STACK);
            let parsing = thread.spawn_scoped(scope, || parse(source, variable));
            parsing.ok().and_then(|parsing| parsing.join().ok())
        });
        let parsed = parsed.unwrap_or_else(|| Err("the parser failed".to_owned()));
        parsed.map_err(|problem| format!("compilation failed: {problem}"))
    }

    fn expression(&self, source: &str, parsed: IdedExpr, checked: Checked) -> Expression {
        Expression {
            source: source.to_owned(),
            parsed: Arc::new(parsed),
            environment: Environment(Arc::clone(&self.environment)),
            nesting: checked.nesting,
            separators: checked.separators,
        }
    }
}

impl Name {
    fn text(self) -> &'static str {
        match self {
            Self::Claims => "claims",
            Self::User => "user",
        }
    }
}

impl Expression {
    /// Returns the text of the expression.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Returns whether the expression selects this field of its variable (upstream's
    /// `hasSelectExp`).
    pub(crate) fn selects(&self, variable: Name, field: &str) -> bool {
        check::selects(&self.parsed, variable, field)
    }

    /// Evaluates the expression.
    ///
    /// # Errors
    /// The expression has no result for this value, or would take too long.
    pub(crate) fn evaluate(&self, variable: &Variable<'_>) -> Result<Value, EvaluationError> {
        let size = Size::of(variable.json, &self.separators);
        if !size.permits(self.nesting) {
            return Err(self.failed("has too much to compute for this token"));
        }
        let context = variable.context.get_or_init(|| {
            let mut context = Context::with_env(Arc::clone(&self.environment.0));
            context
                .add_variable_from_value(variable.name.text(), environment::value(variable.json));
            context
        });
        let result = Value::resolve(&self.parsed, context);
        result.map_err(|error| match error {
            ExecutionError::NoSuchKey(key) => self.failed(&format!("no such key: {key}")),
            // The texts of other errors contain values.
            _ => self.failed("cannot be evaluated for this token"),
        })
    }

    /// Returns an error about the result of the expression.
    pub(crate) fn failed(&self, problem: &str) -> EvaluationError {
        EvaluationError {
            source_text: self.source.clone(),
            problem: problem.to_owned(),
        }
    }
}

impl<'a> Variable<'a> {
    /// Wraps the value of a variable.
    pub(crate) fn new(name: Name, json: &'a Json) -> Self {
        Self {
            name,
            json,
            context: OnceCell::new(),
        }
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}

/// Parses and checks an expression.
fn parse(source: &str, variable: Name) -> Result<(IdedExpr, Checked), String> {
    let parser = PrattParser::new()
        .enable_optional_syntax(true)
        .max_recursion_depth(MAX_LEVELS);
    let mut parsed = parser.parse(source).map_err(|errors| {
        let first = errors.errors.first();
        let first = first.map(|error| {
            let (line, column) = error.pos;
            format!("ERROR: <input>:{line}:{column}: {}", error.msg)
        });
        first.unwrap_or_default()
    })?;
    let checked = Checked::of(&mut parsed, variable)?;
    Ok((parsed, checked))
}

#[cfg(test)]
mod tests;
