//! `create`: a record, and its file where the user wants it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use api::ext::{self, Kubeconfig, KubeconfigSpec};
use http::Method;
use machinery::time::Clock;
use serde_json::{Value, json};

use super::{merge, print};
use crate::access::Access;
use crate::args::CreateArgs;
use crate::environment::Environment;
use crate::files::{self, Document};
use crate::http_client::Content;
use crate::say;

/// The name of a file that is none.
const STDOUT: &str = "-";

/// Runs the command.
pub(crate) async fn run(
    args: &CreateArgs,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    let is_file = |path: &&Path| *path != Path::new(STDOUT);
    if let Some(path) = args.file.as_deref().filter(is_file) {
        // Before there is a record whose file cannot be kept.
        ensure!(!path.exists(), "{} is there already", path.display());
    }
    let access = Access::new(&args.server, environment, clock).await?;
    let request = request(args);
    let answer = access.ask(Method::POST, "", Content::Json(&request));
    let record: Kubeconfig = answer.await?.json().context("the record that was made")?;
    let name = record.metadata.name.unwrap_or_default();
    let kept = keep(args, environment, &record.status.value).await;
    kept.with_context(|| {
        let delete = format!("kubectl kubeconfig delete {name}");
        format!("{name} was made, and its file is lost; delete it: {delete}")
    })?;
    say::line(format_args!("Created {name} at {}.", access.server));
    Ok(())
}

fn request(args: &CreateArgs) -> Value {
    json!({
        "apiVersion": ext::API_VERSION,
        "kind": Kubeconfig::KIND,
        "metadata": {},
        "spec": spec(args),
    })
}

fn spec(args: &CreateArgs) -> KubeconfigSpec {
    let mut clusters = args.cluster.clone();
    if args.all_clusters {
        clusters = vec![ext::kubeconfig::ALL_CLUSTERS.to_owned()];
    }
    KubeconfigSpec {
        clusters,
        current_context: args.current_cluster.clone().unwrap_or_default(),
        description: args.description.clone().unwrap_or_default(),
        include_default_entry: args.no_default_entry.then_some(false),
        generate_token: args.generate_token,
        ttl: args.ttl.map_or(0, |ttl| ttl.as_secs()),
        ..KubeconfigSpec::default()
    }
}

/// Puts the file where the user wants it.
async fn keep(args: &CreateArgs, environment: &Environment, file: &str) -> Result<()> {
    match &args.file {
        Some(path) if path == Path::new(STDOUT) => print(file),
        Some(path) => {
            let written = files::write_new(path, file);
            written.with_context(|| format!("cannot write {}", path.display()))
        }
        None => {
            let document = Document::parse(file)?;
            let destination = args.server.kubeconfig.as_deref();
            merge::merge(destination, environment, &[document], args.use_context).await
        }
    }
}
