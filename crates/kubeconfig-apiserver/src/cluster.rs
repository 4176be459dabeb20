//! `kubeconfig-apiserver cluster …`: commands that register real clusters with a running server.
//!
//! They are clients: of the server, by the file that `--kubeconfig` names, and of the real cluster, by the file that `--from` names. Stdout
//! carries what was asked for; what is being done is told on stderr. No token and no key is ever shown there.

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

/// The server whose clusters these are.
pub(crate) struct Server {
    /// As the user of the file.
    pub(crate) client: Client,
    /// Where its Secrets are.
    pub(crate) namespace: String,
}

/// Runs a command to its end.
///
/// # Errors
/// One line that says what is wrong and what would be right.
pub(crate) async fn run(args: &ClusterArgs) -> Result<()> {
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
