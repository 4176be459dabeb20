//! The Statuses that the tests expect.

use serde_json::{Value, json};

/// Returns one cause of an invalid object.
pub(crate) fn cause(reason: &str, field: &str, message: &str) -> Value {
    json!({"reason": reason, "message": message, "field": field})
}

/// Returns the Status of an object of this kind and group that is invalid for these causes.
pub(crate) fn invalid(kind: &str, group: &str, name: &str, causes: &[Value]) -> Value {
    let text = |cause: &Value| format!("{}: {}", plain(&cause["field"]), plain(&cause["message"]));
    let texts: Vec<String> = causes.iter().map(text).collect();
    let texts = match texts.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let (mut details, mut qualified) = (json!({"kind": kind, "causes": causes}), kind.to_owned());
    if !group.is_empty() {
        details["group"] = group.into();
        qualified = format!("{kind}.{group}");
    }
    if !name.is_empty() {
        details["name"] = name.into();
    }
    let mut status = failure(
        422,
        "Invalid",
        &format!("{qualified} {name:?} is invalid: {texts}"),
    );
    status["details"] = details;
    status
}

/// Returns a Status without details.
pub(crate) fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    })
}

fn plain(value: &Value) -> &str {
    value.as_str().unwrap()
}
