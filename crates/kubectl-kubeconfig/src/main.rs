//! `kubectl-kubeconfig`: the kubectl plugin of this project, and the credential provider of the
//! kubeconfig files that hold no token.
//!
//! A file without tokens names this program in its exec entries. client-go runs `credential`, which
//! exchanges the login of the user for a short-lived credential and prints it; nothing else ever
//! goes to stdout there. A login is kept in a private folder ([`folder`]), one for each server, CA
//! and account ([`session`]). The other commands are for people.
//!
//! What a credential may open is decided by the server alone. This program relies on one thing: a
//! login is sent to no server but the one that it was made for, over a connection that the CA of
//! the login vouches for.

mod args;
mod cache;
mod clock;
mod credential;
mod environment;
mod exchange;
mod exec_credential;
mod folder;
mod http_client;
mod identity;
mod key;
mod login;
mod oidc;
mod say;
mod secret;
mod server_url;
mod session;
mod target;
mod trust;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::args::{Args, Command};
use crate::clock::SystemClock;
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
    let environment = Environment::read();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.context("the system gives no event loop")?;
    let command = async {
        match args.command {
            Command::Credential(args) => credential::run(&args, &environment, &SystemClock).await,
            Command::Login(args) => login::log_in(&args, &environment, &SystemClock).await,
            Command::Logout(args) => login::log_out(&args, &environment, &SystemClock).await,
            Command::Clean => login::clean(&environment, &SystemClock).await,
        }
    };
    runtime.block_on(command)
}
