//! `kubeconfig-apiserver`: hands out kubeconfigs whose tokens open real clusters, and takes them back.
//!
//! The one place that names concrete backends and wires all parts together.

mod aggregated;
mod args;
mod check;
mod cluster;
mod confirmation;
mod data_dir;
mod demo;
mod domain;
mod external_url;
mod logging;
mod login;
mod pki;
mod standalone;
mod tasks;
mod user_file;
mod version;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

/// A request makes some hundred small allocations on several threads; the allocators of libc are slow at that, musl's most of all.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    logging::start(&args.log);
    let result = match args.command {
        Command::Standalone(args) => standalone::run(args),
        Command::Aggregated(args) => aggregated::run(*args),
        Command::Cluster(args) => cluster::run(&args),
        Command::Check(args) => check::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::fatal(&error);
            ExitCode::FAILURE
        }
    }
}
