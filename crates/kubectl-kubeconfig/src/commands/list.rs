//! `list`: the records that the user may see.

use anyhow::{Context, Result};
use http::Method;
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
    if let Output::Json | Output::Yaml = args.output {
        let answer = access.ask(Method::GET, "", Content::None).await?;
        return print(&document(&answer.json()?, args.output)?);
    }
    let records = record::all(&access).await?;
    if let Output::Name = args.output {
        let names = records
            .keys()
            .map(|name| format!("kubeconfig.ext.cattle.io/{name}\n"));
        return print(&names.collect::<String>());
    }
    if records.is_empty() {
        say::line(format_args!("No kubeconfigs found at {}.", access.server));
        return Ok(());
    }
    let heading = [
        "NAME",
        "USER",
        "CLUSTERS",
        "EXPIRES",
        "STATE",
        "DESCRIPTION",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let now = clock.now();
    rows.extend(records.into_iter().map(|(name, record)| {
        let clusters = record.spec.clusters.join(",");
        vec![
            name,
            record.status.user_name.clone(),
            if clusters.is_empty() {
                "<none>".to_owned()
            } else {
                clusters
            },
            record::expires(&record, now),
            record::state(&record, now).to_owned(),
            record.spec.description.clone(),
        ]
    }));
    print(&columns(&rows))
}

fn document(value: &Value, output: Output) -> Result<String> {
    match output {
        Output::Yaml => {
            serde_saphyr::to_string(value).context("the list cannot be written as YAML")
        }
        _ => {
            let text = serde_json::to_string_pretty(value);
            Ok(text.context("the list cannot be written as JSON")? + "\n")
        }
    }
}
