//! `list`: lists the records that the user may see.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use api::ext::Kubeconfig;
use http::Method;
use jiff::Timestamp;
use machinery::invisible::is_invisible;
use machinery::time::Clock;
use serde_json::{Value, json};

use super::print;
use crate::access::Access;
use crate::args::{ListArgs, Output};
use crate::columns::columns;
use crate::environment::Environment;
use crate::http_client::Content;
use crate::say::printable;
use crate::{record, say};

/// Runs the command.
pub(crate) async fn run(
    args: &ListArgs,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    let access = Access::new(&args.server, environment, clock).await?;
    match args.output {
        Output::Json => print(&json(&whole(&access).await?)?),
        Output::Yaml => print(&yaml(&whole(&access).await?)?),
        Output::Name => print(&names(&record::all(&access).await?)),
        Output::Table => {
            let records = record::all(&access).await?;
            if records.is_empty() {
                say::line(format_args!("No kubeconfigs found at {}.", access.server));
                return Ok(());
            }
            print(&table(&records, clock.now()))
        }
    }
}

/// Returns the list as the server sent it.
async fn whole(access: &Access) -> Result<Value> {
    let answer = access.ask(Method::GET, "", Content::None).await?;
    answer.json()
}

pub(super) fn json(list: &Value) -> Result<String> {
    let text = serde_json::to_string_pretty(list);
    let text = text.context("the list cannot be written as JSON")?;
    Ok(escaped(&text) + "\n")
}

/// Escapes the characters of a JSON text that a terminal would interpret or hide. They can only
/// occur in strings.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        if character == '\n' || !is_invisible(character) {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

/// Returns the value without the characters that a terminal would interpret or hide. YAML may not
/// write them as escapes.
fn shown(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(
            text.split('\n')
                .map(printable)
                .collect::<Vec<_>>()
                .join("\n")
        ),
        Value::Array(items) => items.iter().map(shown).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            fields
                .map(|(name, value)| (printable(name), shown(value)))
                .collect()
        }
        other => other.clone(),
    }
}

pub(super) fn yaml(list: &Value) -> Result<String> {
    serde_saphyr::to_string(&shown(list)).context("the list cannot be written as YAML")
}

fn names(records: &BTreeMap<String, Kubeconfig>) -> String {
    let names = records.keys();
    names
        .map(|name| format!("kubeconfig.ext.cattle.io/{}\n", printable(name)))
        .collect()
}

fn table(records: &BTreeMap<String, Kubeconfig>, now: Timestamp) -> String {
    let heading = [
        "NAME",
        "USER",
        "CLUSTERS",
        "EXPIRES",
        "STATE",
        "DESCRIPTION",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(records.iter().map(|(name, record)| {
        let clusters = match record.spec.clusters.as_slice() {
            [] => "<none>".to_owned(),
            clusters => clusters.join(","),
        };
        vec![
            name.clone(),
            record.status.user_name.clone(),
            clusters,
            record::expires(record, now),
            record::state(record, now).to_owned(),
            record.spec.description.clone(),
        ]
    }));
    columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        let list = json!({ "items": ["a\u{9b}b\u{202e}c\u{e0041}\nd é"] });
        let text = json(&list).unwrap();
        assert_eq!(
            text,
            "{\n  \"items\": [\n    \"a\\u009bb\\u202ec\\udb40\\udc41\\nd é\"\n  ]\n}\n"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), list);
        let text = yaml(&list).unwrap();
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, json!({ "items": ["abc\nd é"] }));
        assert!(
            text.chars().all(|it| it == '\n' || !is_invisible(it)),
            "{text:?}"
        );
    }
}
