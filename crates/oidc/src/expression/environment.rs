//! The functions of expressions, and the conversion of claims.

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::functions::Function;
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelOptional, CelString, CelUInt, DYN_TYPE, LIST_TYPE, STRING_TYPE,
};
use cel::common::value::{CowVal, Val};
use cel::objects::Key;
use cel::{Env, ExecutionError, Value, extensions};
use serde_json::Value as Json;

/// The function that replaces `string` of `cel`, which writes doubles in another form than Go.
/// Expressions cannot spell this name.
pub(super) const STRING: &str = "@string";

/// The function that replaces `has`, which `cel` does not compute for a field of a text.
pub(super) const HAS: &str = "@has";

/// The function that replaces `a.?b` and `a[?b]`, which in `cel` are empty for a field of a list.
pub(super) const FIND: &str = "@find";

/// Creates the environment of all expressions.
///
/// # Panics
/// If two functions have the same name and types, which a test would find.
pub(super) fn environment() -> Env {
    let functions: [(&str, Vec<_>, Function); 6] = [
        ("sets.contains", vec![LIST_TYPE, LIST_TYPE], contains),
        ("sets.equivalent", vec![LIST_TYPE, LIST_TYPE], equivalent),
        ("sets.intersects", vec![LIST_TYPE, LIST_TYPE], intersects),
        (STRING, vec![DYN_TYPE], string),
        (HAS, vec![DYN_TYPE, DYN_TYPE], has_field),
        (FIND, vec![DYN_TYPE, DYN_TYPE], find),
    ];
    let mut environment = Env::stdlib();
    let mut added = environment.add_extension(extensions::strings);
    for (name, arguments, function) in functions {
        added = added.and_then(|()| environment.add_overload(name, name, arguments, function));
    }
    let members: [(&str, &str, Function); 2] = [
        ("indexOf", "list.indexOf(dyn)", index_of),
        ("lastIndexOf", "list.lastIndexOf(dyn)", last_index_of),
    ];
    for (name, id, function) in members {
        added = added.and_then(|()| {
            environment.add_member_overload(name, id, LIST_TYPE, vec![DYN_TYPE], function)
        });
    }
    added.expect("each function is added once");
    environment
}

/// Converts a JSON value. All numbers are doubles, as in Go's JSON.
pub(super) fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(value).collect())),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(key, field)| {
                let key = Key::String(Arc::new(key.clone()));
                (key, value(field))
            });
            Value::Map(fields.collect::<HashMap<_, _>>().into())
        }
    }
}

/// `sets.contains(list, part)` of cel-go.
fn contains<'b, 'v>(lists: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    of_lists("sets.contains", &lists, has_all)
}

/// `sets.equivalent(list, list)` of cel-go.
fn equivalent<'b, 'v>(lists: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    of_lists("sets.equivalent", &lists, |a, b| {
        has_all(a, b) && has_all(b, a)
    })
}

/// `sets.intersects(list, list)` of cel-go.
fn intersects<'b, 'v>(lists: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    of_lists("sets.intersects", &lists, |a, b| {
        a.iter().any(|item| has(b, *item))
    })
}

/// `list.indexOf(value)` of Kubernetes.
fn index_of<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [list, value] = arguments.as_slice() else {
        return Err(ExecutionError::function_error("indexOf", "needs a value"));
    };
    let items = items("indexOf", list.as_ref())?;
    Ok(position(
        items.iter().position(|item| item.equals(value.as_ref())),
    ))
}

/// `list.lastIndexOf(value)` of Kubernetes.
fn last_index_of<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [list, value] = arguments.as_slice() else {
        return Err(ExecutionError::function_error(
            "lastIndexOf",
            "needs a value",
        ));
    };
    let items = items("lastIndexOf", list.as_ref())?;
    Ok(position(
        items.iter().rposition(|item| item.equals(value.as_ref())),
    ))
}

fn position<'b, 'v>(found: Option<usize>) -> CowVal<'b, 'v> {
    let found = found.and_then(|index| i64::try_from(index).ok());
    CowVal::owned(CelInt::from(found.unwrap_or(-1)))
}

fn of_lists<'b, 'v>(
    function: &str,
    lists: &[CowVal<'b, 'v>],
    test: fn(&[&dyn Val], &[&dyn Val]) -> bool,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [first, second] = lists else {
        return Err(ExecutionError::function_error(
            function,
            "needs two arguments",
        ));
    };
    let (first, second) = (
        items(function, first.as_ref())?,
        items(function, second.as_ref())?,
    );
    Ok(CowVal::owned(CelBool::from(test(&first, &second))))
}

fn items<'b>(function: &str, list: &'b (dyn Val + '_)) -> Result<Vec<&'b dyn Val>, ExecutionError> {
    let list = list.as_iterable();
    let list = list.ok_or_else(|| ExecutionError::function_error(function, "needs lists"))?;
    let mut next = list.iter();
    let mut items = Vec::new();
    while let Some(item) = next.next() {
        items.push(item);
    }
    Ok(items)
}

fn has(list: &[&dyn Val], item: &dyn Val) -> bool {
    list.iter().any(|other| other.equals(item))
}

fn has_all(list: &[&dyn Val], part: &[&dyn Val]) -> bool {
    part.iter().all(|item| has(list, *item))
}

/// `has(value.field)` of cel-go.
fn has_field<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let is_there = part(&arguments)?.is_some();
    Ok(CowVal::owned(CelBool::from(is_there)))
}

/// `value.?field` and `value[?index]` of cel-go.
fn find<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let found = part(&arguments)?;
    Ok(CowVal::owned(
        found.map_or_else(CelOptional::none, CelOptional::of),
    ))
}

/// Returns the part of a value that a field or an index selects, if it has that part. An index of
/// the wrong type is an error.
fn part<'v>(arguments: &[CowVal<'_, 'v>]) -> Result<Option<Box<dyn Val + 'v>>, ExecutionError> {
    let [value, index] = arguments else {
        return Err(ExecutionError::function_error(
            "_?._",
            "needs two arguments",
        ));
    };
    let value = match value.downcast_ref::<CelOptional>() {
        None => value.as_ref(),
        Some(optional) => match optional.option() {
            None => return Ok(None),
            Some(value) => value,
        },
    };
    let Some(indexer) = value.as_indexer() else {
        return Ok(None);
    };
    match indexer.get(index.as_ref()) {
        Ok(part) => Ok(Some(part.into_owned())),
        Err(ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `string(value)` of cel-go.
fn string<'b, 'v>(mut values: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let unsupported = || ExecutionError::function_error("string", "no such overload");
    let value = values.pop().ok_or_else(unsupported)?;
    let known = value.as_ref();
    let text = if let Some(number) = known.downcast_ref::<CelDouble>() {
        general(*number.inner())
    } else if let Some(number) = known.downcast_ref::<CelInt>() {
        number.inner().to_string()
    } else if let Some(number) = known.downcast_ref::<CelUInt>() {
        number.inner().to_string()
    } else if let Some(value) = known.downcast_ref::<CelBool>() {
        value.inner().to_string()
    } else if known.get_type() == &STRING_TYPE {
        return Ok(value);
    } else {
        return Err(unsupported());
    };
    Ok(CowVal::owned(CelString::from(text)))
}

/// Formats a number as `%g` of Go does.
fn general(number: f64) -> String {
    if !number.is_finite() {
        return match number {
            number if number.is_nan() => "NaN",
            number if number > 0.0 => "+Inf",
            _ => "-Inf",
        }
        .to_owned();
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    match exponent {
        -4..6 => number.to_string(),
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_go_writes_them() {
        // Printed by Go with fmt.Sprintf("%g", …).
        for (number, expected) in [
            (0.0, "0"),
            (42.0, "42"),
            (1.5, "1.5"),
            (-0.25, "-0.25"),
            (123456.0, "123456"),
            (1234567.0, "1.234567e+06"),
            (12345678.5, "1.23456785e+07"),
            (1e20, "1e+20"),
            (1e21, "1e+21"),
            (100000.0, "100000"),
            (1000000.0, "1e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(general(number), expected);
        }
    }
}
