//! `cluster remove`: removes the objects that `add` created. The Cluster object is removed last, so
//! that the command can be run again.

use anyhow::{Context, Result, bail};
use management::cluster_secret::Purpose;

use super::Server;
use super::manifests;
use super::objects;
use super::records::{self, Record};
use super::source::Source;
use crate::args::RemoveArgs;

/// Runs the command.
pub(super) async fn run(server: &Server<'_>, args: &RemoveArgs) -> Result<()> {
    let name = args.name.as_str();
    records::check_name(name)?;
    let all = records::all(server).await?;
    let record = records::named(&all, name)?;
    match &args.from {
        Some(path) => {
            let source = Source::read(path, args.from_context.as_deref())?;
            check_same(name, record, &source)?;
            take_back(server, &source).await?;
        }
        None => server.say(
            "the objects that add created in the cluster remain; the gateway's token is valid until it expires",
        ),
    }
    let secrets = records::secrets(server);
    for purpose in [Purpose::Gateway, Purpose::Webhook] {
        let secret = purpose.secret_name(name);
        let outcome = objects::delete(&secrets, &secret).await;
        let outcome = outcome
            .with_context(|| format!("Secret {secret} cannot be removed from the server"))?;
        server.say(format_args!("server: Secret {secret} {outcome}"));
    }
    let outcome = objects::delete(&records::clusters(server), name).await;
    let outcome =
        outcome.with_context(|| format!("cluster {name} cannot be removed from the server"))?;
    server.say(format_args!("server: cluster {name} {outcome}"));
    Ok(())
}

/// Checks that the file leads to the registered cluster. Our objects have the same names in every
/// cluster, so those of another cluster could be removed by mistake.
fn check_same(name: &str, record: &Record, source: &Source) -> Result<()> {
    let registered = record.spec.connection.as_ref();
    let registered = registered.map(|connection| connection.server.as_str());
    let given = source.connection.server.as_str();
    match registered {
        Some(server) if server == given => Ok(()),
        Some(server) => bail!(
            "--from is for {given}, but cluster {name} is at {server}: pass the file of that cluster, or use --keep-downstream"
        ),
        None => bail!(
            "cluster {name} has no connection, so nothing was created in it: use --keep-downstream"
        ),
    }
}

/// Removes our objects from the cluster, in the reverse order of their creation.
async fn take_back(server: &Server<'_>, source: &Source) -> Result<()> {
    let cluster = source.client().await?;
    let address = &source.connection.server;
    let version = source.version(&cluster).await;
    version.context("if the cluster no longer exists, use --keep-downstream")?;
    for manifest in manifests::all()?.into_iter().rev() {
        let what = format!("{} {}", manifest.resource.kind, manifest.name());
        let api = manifest.api(&cluster);
        let found = objects::find(&api, manifest.name()).await?;
        if manifest.is_namespace() && found.is_some_and(|found| !objects::is_ours(&found)) {
            server.say(format_args!(
                "{address}: {what} is not managed by this command, not changed"
            ));
            continue;
        }
        let outcome = objects::delete_ours(&api, manifest.name()).await;
        let outcome = outcome.with_context(|| format!("{what} cannot be removed at {address}"))?;
        server.say(format_args!("{address}: {what} {outcome}"));
    }
    Ok(())
}
