//! The checks of a parsed expression: it uses only what `cel` computes as cel-go does.
//!
//! They replace the type checker of cel-go, which `cel` lacks, and are stricter: what they do not
//! know is refused. An expression with operands of the wrong types, which cel-go refuses at load,
//! is accepted and has no result for any token.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};

use super::environment::{FIND, HAS, STRING};
use super::{MAX_LEVELS, Name};

/// The functions that expressions can call.
pub(super) const FUNCTIONS: [&str; 32] = [
    "bool",
    "charAt",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "hasValue",
    "indexOf",
    "int",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "matches",
    "optional.none",
    "optional.of",
    "optional.ofNonZeroValue",
    "or",
    "orValue",
    "replace",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "size",
    "split",
    "startsWith",
    "string",
    "substring",
    "trim",
    "type",
    "uint",
    "upperAscii",
    "value",
];

/// The functions whose result is a boolean.
const TESTS: [&str; 10] = [
    HAS,
    "bool",
    "contains",
    "endsWith",
    "hasValue",
    "matches",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "startsWith",
];

/// The operators whose result is a boolean.
const COMPARISONS: [&str; 10] = [
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::IN,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
];

/// The operators with other results.
const OPERATORS: [&str; 11] = [
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::NEGATE,
    operators::CONDITIONAL,
    operators::INDEX,
    operators::OPT_INDEX,
    operators::OPT_SELECT,
    operators::NOT_STRICTLY_FALSE,
];

/// The types that an expression can compare the type of a value with.
const TYPES: [&str; 9] = [
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "uint",
];

/// The fields of `user`.
const USER_FIELDS: [&str; 4] = ["username", "uid", "groups", "extra"];

/// Maximum number of iterations within each other.
const MAX_NESTING: u32 = 3;

/// The facts about an expression that bound its evaluation.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// The number of iterations within each other.
    pub(super) nesting: u32,
    /// The separators of `split`.
    pub(super) separators: Vec<String>,
}

/// The state of a walk through an expression.
struct Walk {
    variable: Name,
    /// The variables of the iterations around the current part.
    local: Vec<String>,
    level: u16,
    nesting: u32,
    found: Checked,
}

impl Checked {
    /// Checks an expression over a variable, and replaces functions of `cel` by ours.
    ///
    /// # Errors
    /// The problem, as a part of a sentence.
    pub(super) fn of(expression: &mut IdedExpr, variable: Name) -> Result<Self, String> {
        let mut walk = Walk {
            variable,
            local: Vec::new(),
            level: 0,
            nesting: 0,
            found: Self::default(),
        };
        walk.visit(expression)?;
        Ok(walk.found)
    }
}

/// Returns whether the result of an expression is certainly a boolean.
pub(super) fn is_boolean(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Literal(literal) => matches!(literal, LiteralValue::Boolean(_)),
        Expr::Call(call) => match call.func_name.as_str() {
            operators::CONDITIONAL => call.args.iter().skip(1).all(is_boolean),
            name => COMPARISONS.contains(&name) || TESTS.contains(&qualified(call).as_str()),
        },
        Expr::Comprehension(iteration) => {
            is_boolean(&iteration.accu_init) || is_boolean(&iteration.result)
        }
        Expr::Unspecified
        | Expr::Ident(_)
        | Expr::Select(_)
        | Expr::List(_)
        | Expr::Map(_)
        | Expr::Struct(_) => false,
    }
}

/// Returns whether an expression selects a field of a variable.
pub(super) fn selects(expression: &IdedExpr, variable: Name, field: &str) -> bool {
    let is_variable = |part: &IdedExpr| is_ident(part, variable);
    let within = |part: &IdedExpr| selects(part, variable, field);
    match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) | Expr::Struct(_) => false,
        Expr::Select(select) => {
            (is_variable(&select.operand) && select.field == field) || within(&select.operand)
        }
        Expr::Call(call) => {
            let is_optional = [FIND, HAS].contains(&call.func_name.as_str())
                && matches!(call.args.as_slice(), [operand, name]
                    if is_variable(operand) && text(name) == Some(field));
            is_optional || call.args.iter().chain(call.target.as_deref()).any(within)
        }
        Expr::List(list) => list.elements.iter().any(within),
        Expr::Map(map) => map.entries.iter().any(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => within(&entry.key) || within(&entry.value),
            EntryExpr::StructField(_) => false,
        }),
        Expr::Comprehension(iteration) => parts(iteration).into_iter().any(within),
    }
}

impl Walk {
    fn visit(&mut self, part: &mut IdedExpr) -> Result<(), String> {
        if self.level == MAX_LEVELS {
            return Err(format!("may not have more than {MAX_LEVELS} levels"));
        }
        self.level += 1;
        self.visit_parts(part)?;
        self.level -= 1;
        Ok(())
    }

    fn visit_parts(&mut self, part: &mut IdedExpr) -> Result<(), String> {
        match &mut part.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.check_name(name),
            Expr::Select(select) => {
                check_field(&select.field)?;
                if self.is_user(&select.operand) {
                    check_user_field(&select.field)?;
                }
                self.visit(&mut select.operand)?;
                if select.test {
                    let operand = std::mem::take(&mut *select.operand);
                    let field = LiteralValue::String(std::mem::take(&mut select.field).into());
                    part.expr = Expr::Call(CallExpr {
                        func_name: HAS.to_owned(),
                        target: None,
                        args: vec![operand, literal(field)],
                    });
                }
                Ok(())
            }
            Expr::Call(call) => self.visit_call(call),
            Expr::List(list) => list.elements.iter_mut().try_for_each(|it| self.visit(it)),
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| {
                let EntryExpr::MapEntry(entry) = &mut entry.expr else {
                    return Err("objects are not supported".to_owned());
                };
                self.visit(&mut entry.key)?;
                self.visit(&mut entry.value)
            }),
            Expr::Comprehension(iteration) => self.visit_iteration(iteration),
            Expr::Struct(_) | Expr::Unspecified => Err("objects are not supported".to_owned()),
        }
    }

    fn visit_call(&mut self, call: &mut CallExpr) -> Result<(), String> {
        let name = qualified(call);
        let is_operator = call.target.is_none()
            && (COMPARISONS.contains(&name.as_str()) || OPERATORS.contains(&name.as_str()));
        if !is_operator && !FUNCTIONS.contains(&name.as_str()) {
            return Err(format!("undeclared reference to '{name}'"));
        }
        match name.as_str() {
            operators::OPT_SELECT | operators::INDEX | operators::OPT_INDEX => {
                if let [operand, field] = call.args.as_slice()
                    && let Some(field) = text(field)
                {
                    check_field(field)?;
                    if self.is_user(operand) {
                        check_user_field(field)?;
                    }
                }
            }
            // The size of the result must not depend on the product of two texts of a token.
            "replace" | "join" | "split" => self.check_literals(&name, &call.args)?,
            _ => {}
        }
        let is_of_literals = |part: &IdedExpr| matches!(part.expr, Expr::List(_));
        let implied = match name.as_str() {
            operators::IN => u32::from(!call.args.iter().skip(1).all(is_of_literals)),
            "sets.contains" | "sets.equivalent" | "sets.intersects" => {
                2 - u32::from(call.args.iter().any(is_of_literals))
            }
            "indexOf" | "lastIndexOf" => 1,
            _ => 0,
        };
        self.enter(implied)?;
        let is_namespace = name != call.func_name;
        if let Some(target) = call.target.as_deref_mut().filter(|_| !is_namespace) {
            self.visit(target)?;
        }
        call.args.iter_mut().try_for_each(|it| self.visit(it))?;
        self.nesting -= implied;
        match name.as_str() {
            "string" => STRING.clone_into(&mut call.func_name),
            operators::OPT_SELECT | operators::OPT_INDEX => FIND.clone_into(&mut call.func_name),
            _ => {}
        }
        Ok(())
    }

    fn visit_iteration(&mut self, iteration: &mut ComprehensionExpr) -> Result<(), String> {
        self.visit(&mut iteration.iter_range)?;
        self.visit(&mut iteration.accu_init)?;
        let known = self.local.len();
        self.local.push(iteration.iter_var.clone());
        self.local.extend(iteration.iter_var2.clone());
        self.local.push(iteration.accu_var.clone());
        self.enter(1)?;
        self.visit(&mut iteration.loop_cond)?;
        self.visit(&mut iteration.loop_step)?;
        self.nesting -= 1;
        self.visit(&mut iteration.result)?;
        self.local.truncate(known);
        Ok(())
    }

    fn enter(&mut self, iterations: u32) -> Result<(), String> {
        self.nesting += iterations;
        self.found.nesting = self.found.nesting.max(self.nesting);
        match self.nesting > MAX_NESTING {
            true => Err(format!("may not nest more than {MAX_NESTING} iterations")),
            false => Ok(()),
        }
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        let is_local = self.local.iter().any(|known| known == name);
        match is_local || name == self.variable.text() || TYPES.contains(&name) {
            true => Ok(()),
            false => Err(format!("undeclared reference to '{name}'")),
        }
    }

    /// Checks that the arguments of a function are literals, and remembers separators.
    fn check_literals(&mut self, function: &str, arguments: &[IdedExpr]) -> Result<(), String> {
        let is_literal = |argument: &IdedExpr| matches!(argument.expr, Expr::Literal(_));
        if !arguments.iter().all(is_literal) {
            return Err(format!("the arguments of {function} must be literals"));
        }
        if function == "split" {
            let separator = arguments.first().and_then(text).unwrap_or_default();
            if separator.is_empty() {
                return Err("the separator of split must not be empty".to_owned());
            }
            self.found.separators.push(separator.to_owned());
        }
        Ok(())
    }

    fn is_user(&self, part: &IdedExpr) -> bool {
        self.variable == Name::User && is_ident(part, Name::User)
    }
}

fn check_user_field(field: &str) -> Result<(), String> {
    match USER_FIELDS.contains(&field) {
        true => Ok(()),
        false => Err(format!("undefined field '{field}'")),
    }
}

/// Refuses the names that Kubernetes unescapes.
fn check_field(field: &str) -> Result<(), String> {
    let escapes = ["__dot__", "__dash__", "__slash__", "__underscores__"];
    let is_keyword = field.len() > 4 && field.starts_with("__") && field.ends_with("__");
    match is_keyword || escapes.iter().any(|escape| field.contains(escape)) {
        true => Err(format!(
            "escaped field '{field}' is not supported: use an index, as in claims['a.b']"
        )),
        false => Ok(()),
    }
}

/// Returns the name of the function of a call, with the namespace of our functions.
fn qualified(call: &CallExpr) -> String {
    let namespace = call.target.as_ref().and_then(|target| match &target.expr {
        Expr::Ident(name) => Some(name),
        _ => None,
    });
    let full = namespace.map(|namespace| format!("{namespace}.{}", call.func_name));
    let known = full.filter(|full| FUNCTIONS.contains(&full.as_str()));
    known.unwrap_or_else(|| call.func_name.clone())
}

fn literal(value: LiteralValue) -> IdedExpr {
    IdedExpr {
        expr: Expr::Literal(value),
        ..IdedExpr::default()
    }
}

fn is_ident(part: &IdedExpr, variable: Name) -> bool {
    matches!(&part.expr, Expr::Ident(name) if name == variable.text())
}

fn text(part: &IdedExpr) -> Option<&str> {
    match &part.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn parts(iteration: &ComprehensionExpr) -> [&IdedExpr; 5] {
    [
        &iteration.iter_range,
        &iteration.accu_init,
        &iteration.loop_cond,
        &iteration.loop_step,
        &iteration.result,
    ]
}
