//! `kubeconfig-apiserver`: issues and revokes kubeconfigs with tokens for real clusters.
//!
//! This crate selects the concrete backends, and connects all parts.

mod aggregated;
mod args;
mod confirmation;
mod data_dir;
mod demo;
mod external_url;
mod logging;
mod login;
mod pki;
mod process;
mod services;
mod standalone;
mod tasks;
mod user_file;
mod version;

use std::io::{BufRead, IsTerminal, stderr, stdin, stdout};
use std::process::ExitCode;

use admin::{Console, check, cluster, keys, user};
use anyhow::{Context, Result};
use clap::Parser;
use machinery::time::SystemClock;
use tokio::runtime::Builder;

use crate::args::{Args, Command};
use crate::logging::Log;

/// A request makes about a hundred small allocations on several threads. The allocators of libc are
/// slow at that, in particular that of musl.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let log = match logging::start(&args.log) {
        Ok(log) => log,
        Err(error) => {
            logging::fatal_without_log(&error);
            return ExitCode::FAILURE;
        }
    };
    let ran = process::keep_memory_private()
        .context("the memory of the process cannot be protected")
        .and_then(|()| run(args.command, &log));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.fatal(&error);
            ExitCode::FAILURE
        }
    }
}

/// Runs a command on a single-threaded runtime, so that a write by a background task wakes as few
/// threads as possible. Connections are served by separate threads.
fn run(command: Command, log: &Log) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the runtime cannot be started")?;
    runtime.block_on(async {
        match command {
            Command::Standalone(args) => standalone::run(*args, log).await,
            Command::Aggregated(args) => aggregated::run(*args, log).await,
            Command::Cluster(args) => cluster::run(&args, &console(), &SystemClock).await,
            Command::User(args) => user::run(&args, &console(), &SystemClock, &pki::load).await,
            Command::Keys(args) => keys::run(&args, &console()).await,
            Command::Check(args) => check::run(&args, &console(), &SystemClock).await,
        }
    })
}

/// Returns the console of this process. A user answers only on a terminal.
fn console() -> Console {
    let answers = || Box::new(stdin().lock()) as Box<dyn BufRead>;
    let answers = stdin().is_terminal().then(answers);
    Console::new(Box::new(stdout()), Box::new(stderr()), answers)
}
