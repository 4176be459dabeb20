//! `make bench`: the speed and the size of the server, each figure next to its limit.
//!
//! Starts the release server in standalone mode with a data folder of its own, drives it with a
//! load generator, and measures in the same run the limits of this machine: a bare hyper server
//! over the same TLS, and raw `fdatasync`. Then measures the same program behind a real
//! kube-apiserver, next to raw puts into its etcd and a custom resource of the same kind. Prints
//! one table. Absolute figures are specific to the machine; the ratios are comparable across
//! machines.
//!
//! ```text
//! plan → load, fan_out → connection → response      the measurements, their targets, the bytes
//!      → server, host, bare, rival → process        the programs that are measured
//!      → honest, attack                             users, and an attack in a separate process
//!      → puts                                       etcd without anything around it
//!      → report        → targets                    the table
//! ```
//!
//! The generator shares the processors with the server, so each rate is shown next to the server's
//! own CPU time per operation. The generator uses HTTP/1.1 with prebuilt requests and reads no more
//! of an answer than it must. It has one keep-alive connection per client, and sends the next
//! request when it has received the answer (a closed loop: its p99 is a lower bound).
//!
//! Nothing here is used by another crate.

mod attack;
mod bare;
mod connection;
mod endpoint;
mod fan_out;
mod fsync;
mod honest;
mod host;
mod kubeconfig;
mod load;
mod machine;
mod options;
mod plan;
mod process;
mod progress;
mod puts;
mod report;
mod request;
mod response;
mod rival;
mod sample;
mod server;
mod targets;
mod tunnel;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tokio::runtime::{self, Runtime};

use crate::options::{Mode, Options};

/// Number of threads of the load generator. The server has as many as there are processors.
const WORKERS: usize = 2;

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    match &options.mode {
        Some(Mode::Bare { folder }) => {
            let everywhere = Runtime::new().context("starting the runtime")?;
            everywhere.block_on(bare::serve(folder))?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Mode::Attack) => {
            attack::run()?;
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()?;
    let report = runtime.block_on(plan::run(&options))?;
    write!(std::io::stdout(), "{report}")?;
    let failed = options.gate && report.misses() > 0;
    Ok(ExitCode::from(u8::from(failed)))
}
