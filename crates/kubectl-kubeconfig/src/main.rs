//! `kubectl-kubeconfig`: the kubectl plugin of this project, and the credential plugin of
//! kubeconfig files that contain no token.
//!
//! The exec entries of a file without tokens name this program. client-go runs `credential`, which
//! exchanges the login of the user for a short-lived credential and prints it. That command prints
//! nothing else to stdout. Logins are stored in a private folder ([`folder`]), one for each server,
//! CA and account ([`session`]). The other commands are interactive.
//!
//! The server alone decides what a credential gives access to. This program guarantees the
//! following, for any file and any server:
//!
//! - A login starts only at a server that the user named ([`known`]).
//! - A login is valid only at that server ([`oidc`]).
//! - A login is sent only to that server, over a connection that the CA of the login secures.
//! - A credential is handed out only for an address that the server names ([`destination`]).

mod access;
mod args;
mod cache;
mod columns;
mod commands;
mod credential;
mod destination;
mod environment;
mod exchange;
mod exec_credential;
mod files;
mod folder;
mod http_client;
mod identity;
mod key;
mod known;
mod login;
mod oidc;
mod record;
mod say;
mod secret;
mod server_url;
mod session;
mod standing;
mod target;
mod trust;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use machinery::time::{Clock, SystemClock};

use crate::args::{Args, Command};
use crate::commands::{completion, create, delete, list, merge, prune, status};
use crate::environment::Environment;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.context("the event loop cannot be started")?;
    runtime.block_on(command(args.command, &Environment::read(), &SystemClock))
}

async fn command(command: Command, environment: &Environment, clock: &dyn Clock) -> Result<()> {
    // The arguments come from a kubeconfig file, which may be untrusted.
    if environment.exec_info.is_some() && !matches!(command, Command::Credential(_)) {
        bail!(
            "a kubeconfig file may run only `credential`, but this file runs another command (KUBERNETES_EXEC_INFO is set): do not use the file"
        );
    }
    match command {
        Command::Credential(args) => credential::run(&args, environment, clock).await,
        Command::Login(args) => login::log_in(&args, environment, clock).await,
        Command::Logout(args) => login::log_out(&args, environment, clock).await,
        Command::Clean => login::clean(environment, clock).await,
        Command::Create(args) => create::run(&args, environment, clock).await,
        Command::Access(args) => commands::access::run(&args, environment, clock).await,
        Command::List(args) => list::run(&args, environment, clock).await,
        Command::Merge(args) => merge::run(&args, environment).await,
        Command::Prune(args) => prune::run(&args, environment, clock).await,
        Command::Delete(args) => delete::run(&args, environment, clock).await,
        Command::Status(args) => status::run(&args, environment, clock).await,
        Command::Completion(args) => completion::run(&args),
        Command::Complete { words } => completion::complete(&words, environment, clock).await,
    }
}
