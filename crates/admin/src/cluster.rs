//! `kubeconfig-apiserver cluster …`: commands that register real clusters with a running server.
//!
//! The commands are clients of the server, through the file of `--kubeconfig`, and of the real
//! cluster, through the file of `--from`. Results go to stdout, and progress messages to stderr.
//! Messages on stderr contain no token and no key.

mod add;
mod bind;
mod contents;
mod credential;
mod endpoint;
mod expiry;
mod list;
mod manifests;
mod objects;
mod oidc;
mod ready;
mod records;
mod remove;
mod secrets;
mod source;
mod webhook;

use std::fmt::Display;

use anyhow::Result;
use kube::Client;
use machinery::time::Clock;

use crate::args::{ClusterArgs, ClusterCommand};
use crate::client;
use crate::console::Console;

pub(crate) use secrets::faults;

/// The server at which clusters are registered.
pub(crate) struct Server<'a> {
    /// A client that is authenticated as the user of the file.
    pub(crate) client: Client,
    /// The namespace of the server's Secrets.
    pub(crate) namespace: String,
    /// The terminal of the command.
    pub(crate) console: &'a Console,
}

impl Server<'_> {
    /// Prints a line of progress.
    fn say(&self, line: impl Display) {
        self.console.say(line);
    }
}

/// Runs a command.
///
/// # Errors
/// Returns one line that describes the fault and its remedy.
pub async fn run(args: &ClusterArgs, console: &Console, clock: &dyn Clock) -> Result<()> {
    let server = Server {
        client: client::client(args.kubeconfig.as_deref(), None).await?,
        namespace: args.namespace.clone(),
        console,
    };
    match &args.command {
        ClusterCommand::Add(args) => add::run(&server, args).await,
        ClusterCommand::Remove(args) => remove::run(&server, args).await,
        ClusterCommand::Bind(args) => bind::run(&server, args).await,
        ClusterCommand::List => list::run(&server, clock).await,
        ClusterCommand::Webhook(args) => webhook::run(&server, args).await,
        ClusterCommand::Oidc(args) => oidc::run(&server, args).await,
    }
}
