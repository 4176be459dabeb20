//! `create`: creates a record and stores its kubeconfig file.
//!
//! The record exists and its tokens are valid as soon as the server answers. The destination of the
//! file is therefore prepared before the request. If the file cannot be stored nevertheless, the
//! record is deleted again.

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use api::ext::{self, Kubeconfig, KubeconfigSpec};
use http::Method;
use machinery::time::Clock;
use machinery::validation::dns1123_subdomain;
use serde_json::{Value, json};

use super::{merge, print};
use crate::access::Access;
use crate::args::CreateArgs;
use crate::environment::Environment;
use crate::files::NewFile;
use crate::files::issued::{Issued, check_references};
use crate::http_client::Content;
use crate::say;

/// The file name that means stdout.
const STDOUT: &str = "-";

/// The destination of the file.
enum Place {
    Stdout,
    New(NewFile),
    Merged,
}

/// Runs the command.
pub(crate) async fn run(
    args: &CreateArgs,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    let place = Place::prepare(args, environment).await?;
    let access = Access::new(&args.server, environment, clock).await?;
    let request = request(args);
    let answer = access.ask(Method::POST, "", Content::Json(&request));
    let record: Kubeconfig = answer
        .await?
        .json()
        .context("the created record is invalid")?;
    let name = record.metadata.name.unwrap_or_default();
    ensure!(
        dns1123_subdomain(&name).is_empty(),
        "the server created a record with the invalid name {name:?}"
    );
    let kept = match Issued::parse(&record.status.value, &name) {
        Ok(issued) => place.keep(args, environment, &issued).await,
        Err(error) => Err(error.context("the server sent an invalid kubeconfig")),
    };
    if let Err(error) = kept {
        return Err(withdrawn(&access, &name, error).await);
    }
    say::line(format_args!("Created {name} at {}.", access.server));
    Ok(())
}

impl Place {
    /// Checks that the file can be stored. Creates it if the user named a new file.
    async fn prepare(args: &CreateArgs, environment: &Environment) -> Result<Self> {
        match &args.file {
            Some(path) if path == Path::new(STDOUT) => Ok(Self::Stdout),
            Some(path) => {
                ensure!(!path.exists(), "{} already exists", path.display());
                NewFile::create(path).map(Self::New)
            }
            None => {
                merge::prepare(args.server.kubeconfig.as_deref(), environment).await?;
                Ok(Self::Merged)
            }
        }
    }

    async fn keep(
        self,
        args: &CreateArgs,
        environment: &Environment,
        issued: &Issued,
    ) -> Result<()> {
        check_references(&issued.document)?;
        match self {
            Self::Stdout => print(&issued.to_text()?),
            Self::New(file) => file.keep(&issued.to_text()?),
            Self::Merged => {
                let destination = args.server.kubeconfig.as_deref();
                let incoming = std::slice::from_ref(&issued.document);
                merge::merge(destination, environment, incoming, args.use_context).await
            }
        }
    }
}

/// Deletes a record whose file cannot be stored. If that fails too, the error says what the user
/// must do.
async fn withdrawn(access: &Access, name: &str, error: anyhow::Error) -> anyhow::Error {
    match access.ask(Method::DELETE, name, Content::None).await {
        Ok(_) => error.context(format!(
            "{name} was created and deleted again, because its file could not be stored"
        )),
        Err(failure) => anyhow!(
            "{name} was created, but its file is lost: {error:#}; deleting it failed: {failure:#}; delete it with: kubectl kubeconfig delete {name}"
        ),
    }
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
    // Without a choice, a file of a token is for all clusters of the token.
    let is_open = args.from_token.is_some() && clusters.is_empty();
    if args.all_clusters || is_open {
        clusters = vec![ext::kubeconfig::ALL_CLUSTERS.to_owned()];
    }
    let limits = ext::Access {
        read_only: args.read_only,
        namespaces: args.only_namespace.clone(),
        ..ext::Access::default()
    };
    KubeconfigSpec {
        access: Some(limits).filter(|limits| *limits != ext::Access::default()),
        clusters,
        current_context: args.current_cluster.clone().unwrap_or_default(),
        description: args.description.clone().unwrap_or_default(),
        include_default_entry: args.no_default_entry.then_some(false),
        generate_token: args.generate_token,
        token_name: args.from_token.clone().unwrap_or_default(),
        ttl: args.ttl.map_or(0, |ttl| ttl.as_secs()),
        ..KubeconfigSpec::default()
    }
}
