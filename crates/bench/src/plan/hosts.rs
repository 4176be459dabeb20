//! The server behind a host, which consists of several programs that are measured, too.

mod aggregated;
mod etcd;

use std::path::Path;
use std::time::Duration;

use test_cluster::tools;
use tokio::task::block_in_place;

use super::gateway::Measured;
use crate::host::{Host, Store};
use crate::load::{Load, ROUNDS, Stop};
use crate::options::{Group, Options};
use crate::process::Meter;
use crate::progress;
use crate::puts::Puts;
use crate::sample::{Sample, Summary};

/// The state that the measurements behind one host share.
struct Behind<'a> {
    host: &'a Host,
    store: Store,
    /// The measuring time of each figure.
    duration: Duration,
}

/// Runs the selected measurements. If a program is missing on this machine, returns a note that
/// explains how to install it.
pub(super) async fn measure(options: &Options, folder: &Path) -> anyhow::Result<Measured> {
    let (etcd, aggregated) = (options.wants(Group::Etcd), options.wants(Group::Aggregated));
    let mut rows = Vec::new();
    if !etcd && !aggregated {
        return Ok((rows, Vec::new()));
    }
    progress::say("starting a host");
    if let Err(error) = block_in_place(|| {
        tools::path("etcd")?;
        tools::path("kube-apiserver")
    }) {
        let note =
            format!("etcd and kube-apiserver are not installed (make tools): skipped; {error:#}");
        return Ok((rows, vec![note]));
    }
    let program = super::program(options)?;
    let mut host = block_in_place(|| Host::start(&program, folder))?;
    block_in_place(|| host.serve(Store::Etcd))?;
    if etcd {
        rows.extend(behind(&host, Store::Etcd, options).creates().await?);
    }
    if aggregated {
        block_in_place(|| host.add_twin())?;
        rows.extend(behind(&host, Store::Etcd, options).through().await?);
        block_in_place(|| host.serve(Store::Kubernetes))?;
        rows.extend(behind(&host, Store::Kubernetes, options).through().await?);
    }
    Ok((rows, Vec::new()))
}

fn behind<'a>(host: &'a Host, store: Store, options: &Options) -> Behind<'a> {
    Behind {
        host,
        store,
        duration: options.duration(),
    }
}

/// The operations to measure.
enum Work {
    Requests(Load),
    Puts(Puts),
}

/// The measured cost.
struct Cost {
    summary: Summary,
    /// CPU time of an operation: of the server, of kube-apiserver, of the etcd of the records.
    cpu: [Duration; 3],
}

impl Behind<'_> {
    /// Runs `works` in turns, like [`crate::load::in_turns`].
    async fn in_turns<const N: usize>(&self, works: [Work; N]) -> anyhow::Result<[Cost; N]> {
        let meters = self.host.meters(self.store)?;
        let mut observed: [(Sample, [Duration; 3]); N] =
            std::array::from_fn(|_| Default::default());
        for _ in 0..ROUNDS {
            for ((sample, spent), work) in observed.iter_mut().zip(&works) {
                let before = read(&meters)?;
                sample.extend(match work {
                    Work::Requests(load) => {
                        load.run(Stop::After(self.duration / ROUNDS), meters[0])
                            .await?
                    }
                    Work::Puts(puts) => puts.run(self.duration / ROUNDS).await?,
                });
                for (spent, (after, before)) in
                    spent.iter_mut().zip(read(&meters)?.into_iter().zip(before))
                {
                    *spent += after.saturating_sub(before);
                }
            }
        }
        Ok(observed.map(|(sample, spent)| {
            let count = sample.latencies.len().max(1) as f64;
            Cost {
                summary: sample.summary(),
                cpu: spent.map(|spent| spent.div_f64(count)),
            }
        }))
    }
}

fn read(meters: &[Meter; 3]) -> anyhow::Result<[Duration; 3]> {
    let [server, apiserver, etcd] = meters;
    Ok([server.cpu()?, apiserver.cpu()?, etcd.cpu()?])
}
