//! `list`: the records that the user may see.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use api::ext::Kubeconfig;
use http::Method;
use jiff::Timestamp;
use machinery::time::Clock;
use serde_json::Value;

use super::print;
use crate::access::Access;
use crate::args::{ListArgs, Output};
use crate::columns::columns;
use crate::environment::Environment;
use crate::http_client::Content;
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

/// The list as the server gives it.
async fn whole(access: &Access) -> Result<Value> {
    let answer = access.ask(Method::GET, "", Content::None).await?;
    answer.json()
}

fn json(list: &Value) -> Result<String> {
    let text = serde_json::to_string_pretty(list);
    Ok(text.context("the list cannot be written as JSON")? + "\n")
}

fn yaml(list: &Value) -> Result<String> {
    serde_saphyr::to_string(list).context("the list cannot be written as YAML")
}

fn names(records: &BTreeMap<String, Kubeconfig>) -> String {
    let names = records.keys();
    names
        .map(|name| format!("kubeconfig.ext.cattle.io/{name}\n"))
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
