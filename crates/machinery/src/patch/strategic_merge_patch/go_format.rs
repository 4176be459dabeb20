use serde_json::Value;

/// Formats a value as Go's `%v` does, which upstream uses for items in its errors: `map[name:a
/// ports:[80 443]]`.
pub(super) fn go_format(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_format).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, field)| format!("{name}:{}", go_format(field)))
                .collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}
