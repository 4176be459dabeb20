//! `cluster remove`: removes the objects that `add` created. The Cluster object is removed last, so
//! that the command can be run again.
//!
//! The namespace in the real cluster is kept if other objects are in it. Nothing is removed there if
//! another Cluster has the same address, because both use the same objects.

use anyhow::{Context, Result, bail};
use kube::Client;
use management::cluster_secret::Purpose;

use super::Server;
use super::contents::Contents;
use super::manifests::{self, Manifest};
use super::objects;
use super::records::{self, Record};
use super::source::Source;
use crate::args::RemoveArgs;
use crate::client::Failed;

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
            if let Some(other) = records::at(&all, name, &source.connection) {
                bail!(
                    "cluster {other} is at the same address, and needs the objects that would be removed there: use --keep-downstream, which removes only cluster {name} from the server"
                );
            }
            take_back(server, &source).await?;
        }
        None => server.say(
            "the objects that add created in the cluster remain; the gateway's token is valid until it expires",
        ),
    }
    let secrets = records::secrets(server);
    for purpose in Purpose::ALL {
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
    if let Err(error) = source.version(&cluster).await {
        let failed = error.downcast_ref::<Failed>();
        return Err(match failed.is_some_and(Failed::is_unreachable) {
            true => error.context("if the cluster no longer exists, use --keep-downstream"),
            false => error,
        });
    }
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
        if let Some(why) = reason_to_keep(&manifest, &cluster).await {
            server.say(format_args!("{address}: {what} kept, because {why}"));
            continue;
        }
        let outcome = objects::delete_ours(&api, manifest.name()).await;
        let outcome = outcome.with_context(|| format!("{what} cannot be removed at {address}"))?;
        server.say(format_args!("{address}: {what} {outcome}"));
    }
    Ok(())
}

/// Returns the reason why an object is not deleted: the namespace contains objects of other owners,
/// or may contain some.
async fn reason_to_keep(manifest: &Manifest, cluster: &Client) -> Option<String> {
    if !manifest.is_namespace() {
        return None;
    }
    match Contents::read(cluster).await {
        Ok(contents) if contents.is_empty() => None,
        Ok(contents) => Some(format!("it contains {contents}")),
        Err(error) => Some(format!("its objects cannot be listed: {error:#}")),
    }
}
