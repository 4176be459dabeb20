//! `kubeconfig-apiserver cluster …`: commands that register real clusters with a running server.
//!
//! The commands are clients of the server, through the file of `--kubeconfig`, and of the real
//! cluster, through the file of `--from`. Results go to stdout, and progress messages to stderr.
//! Messages on stderr contain no token and no key.

mod add;
mod bind;
pub(crate) mod client;
mod credential;
mod endpoint;
mod expiry;
mod list;
mod manifests;
mod objects;
mod oidc;
mod progress;
mod ready;
mod records;
mod remove;
mod secrets;
mod source;
mod webhook;

use anyhow::Result;
use kube::Client;
use machinery::time::SystemClock;

pub(crate) use secrets::faults;

use crate::args::{ClusterArgs, ClusterCommand};

pub(crate) use progress::say;

/// The server at which clusters are registered.
pub(crate) struct Server {
    /// A client that is authenticated as the user of the file.
    pub(crate) client: Client,
    /// The namespace of the server's Secrets.
    pub(crate) namespace: String,
}

/// Runs a command.
///
/// # Errors
/// Returns one line that describes the fault and its remedy.
pub async fn run(args: &ClusterArgs) -> Result<()> {
    let server = Server {
        client: client::client(args.kubeconfig.as_deref(), None).await?,
        namespace: args.namespace.clone(),
    };
    match &args.command {
        ClusterCommand::Add(args) => add::run(&server, args).await,
        ClusterCommand::Remove(args) => remove::run(&server, args).await,
        ClusterCommand::Bind(args) => bind::run(&server, args).await,
        ClusterCommand::List => list::run(&server, &SystemClock).await,
        ClusterCommand::Webhook(args) => webhook::run(&server, args).await,
        ClusterCommand::Oidc(args) => oidc::run(&server, args).await,
    }
}
