//! The measurements in their order, and the resulting table.
//!
//! First come those that need an empty server, then those on a server that has the records, then
//! those that add more records, and last those of a server behind a host. A rate and its limit are
//! measured in turns ([`load::in_turns`]), except for the fan-out, because the limit's events must
//! have the size that ours turn out to have.

mod attacks;
mod cluster;
mod creates;
mod files;
mod gateway;
mod grants;
mod hosts;
mod reads;
mod reviews;
mod starts;
mod watches;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::Bytes;
use tempfile::TempDir;

use crate::bare::Bare;
use crate::load::{self, Load, Stop};
use crate::options::{Group, Options};
use crate::report::Report;
use crate::sample::Summary;
use crate::server::{KUBECONFIGS, Server, User};
use crate::{machine, progress, request};

/// The minimal object that a user has to send for a kubeconfig.
const KUBECONFIG: &str = r#"{"apiVersion":"ext.cattle.io/v1","kind":"Kubeconfig"}"#;

/// Number of clients in measurements with concurrent clients.
const MANY: usize = 16;

/// Number of records of the second user, whose own list is measured. The first user owns all
/// others.
const FEW: usize = 10;

/// Runs all measurements.
///
/// # Errors
/// Fails if the server cannot be started, rejects a valid request, or loses a record.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let folder = folder(options)?;
    let (attacks, without_rival) = attacks::measure(options, folder.path()).await?;
    if options.wants_only(Group::Attacks) {
        return Ok(Report {
            heading: heading(options),
            rows: Vec::new(),
            attacks,
            notes: without_rival,
        });
    }
    let bare = Bare::start(folder.path())?;
    let mut server = Server::start(&program(options)?, folder.path()).await?;
    let records = options.records();
    lift_quotas(&server).await?;
    let empty = starts::measure(&mut server, options, 0).await?;
    fill(&server, records).await?;
    let full = starts::measure(&mut server, options, records).await?;
    let bench = Bench {
        server: &server,
        bare: &bare,
        options,
    };
    let reads = bench.reads().await?;
    let used = server.meter().memory()?.resident;
    let watches = bench.watches().await?;
    let creates = bench.creates().await?;
    bench.register().await?;
    let reviews = bench.reviews().await?;
    let (gateway, missing) = bench.gateway().await?;
    let files = bench.files().await?;
    let grants = bench.grants().await?;
    let starts = starts::rows(empty, full, used);
    let (hosts, left_out) = hosts::measure(options, folder.path()).await?;
    Ok(Report {
        heading: heading(options),
        rows: [
            creates, files, grants, reads, watches, reviews, gateway, starts, hosts,
        ]
        .concat(),
        attacks,
        notes: [without_rival, missing, left_out, notes()].concat(),
    })
}

/// The state that measurements on the running server share.
struct Bench<'a> {
    server: &'a Server,
    bare: &'a Bare,
    options: &'a Options,
}

impl Bench<'_> {
    /// Runs a load on the server and one on the bare server, in turns.
    async fn compare(&self, ours: &Load, limit: &Load) -> anyhow::Result<[Summary; 2]> {
        let pair = [
            (ours, self.server.meter()),
            (limit, self.bare.process.meter()),
        ];
        let samples = load::in_turns(self.options.duration(), pair).await?;
        Ok(samples.map(|sample| sample.summary()))
    }

    /// Returns a load of requests to the bare server by `clients` clients.
    fn limit(&self, method: &str, path: &str, clients: usize) -> Load {
        let endpoint = &self.bare.endpoint;
        let request = match method {
            "POST" => request::post(endpoint, path, KUBECONFIG),
            _ => request::get(endpoint, path, request::JSON),
        };
        Load::same(endpoint, request, clients)
    }
}

/// Creates the data folder, which is removed when the value is dropped.
fn folder(options: &Options) -> anyhow::Result<TempDir> {
    let parent = match &options.folder {
        Some(parent) => parent.clone(),
        None => beside_this_program()?,
    };
    TempDir::with_prefix_in("bench-", &parent)
        .with_context(|| format!("creating a folder in {}", parent.display()))
}

fn program(options: &Options) -> anyhow::Result<PathBuf> {
    match &options.server {
        Some(program) => Ok(program.clone()),
        None => Ok(beside_this_program()?.join("kubeconfig-apiserver")),
    }
}

fn beside_this_program() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().context("a program without a folder")?;
    Ok(folder.to_owned())
}

/// Removes the quotas of users, because one user creates everything at full speed.
async fn lift_quotas(server: &Server) -> anyhow::Result<()> {
    for setting in [
        "kubeconfig-max-per-user",
        "kubeconfig-max-bytes-per-user",
        "kubeconfig-max-creates-per-minute",
        "auth-token-max-per-user",
    ] {
        server.set(setting, "0").await?;
    }
    Ok(())
}

/// Creates the records that reads are measured with.
async fn fill(server: &Server, records: usize) -> anyhow::Result<()> {
    progress::say(&format!("creating {records} records"));
    for (user, count, clients) in [(User::Alice, records - FEW, MANY), (User::Bob, FEW, 1)] {
        let endpoint = server.endpoint(user)?;
        let create = request::post(&endpoint, KUBECONFIGS, KUBECONFIG);
        Load::same(&endpoint, create, clients)
            .run(Stop::Count(count), server.meter())
            .await?;
    }
    let found = server.list(User::Admin, "").await?.items.len();
    ensure!(found == records, "{found} of {records} records exist");
    Ok(())
}

fn requests(requests: impl IntoIterator<Item = Bytes>) -> Arc<[Bytes]> {
    requests.into_iter().collect()
}

fn heading(options: &Options) -> Vec<String> {
    vec![
        format!("kubeconfig-apiserver on {}", machine::describe()),
        format!(
            "Server, limit and load generator share these processors. TLS 1.3 AES-128-GCM, \
             HTTP/1.1, no compression, {} s for each figure and for its limit.",
            options.duration().as_secs_f64()
        ),
    ]
}

fn notes() -> Vec<String> {
    [
        "limit  measured in this run: a bare hyper server over the same TLS that sends as many bytes from memory (get, list),",
        "       answers after a shared fdatasync of 4 KiB for each waiting request (create), or broadcasts shared bytes (watch);",
        "       for a user of grants, a user whom a role permits the same;",
        "       for files of many clusters the same files with one token for all clusters (setting kubeconfig-shared-token-above);",
        "       for the gateway another proxy, in turns with it, to the same bare server. HAProxy verifies no token and no user,",
        "       and its tunnel is one of TCP;",
        "       for records in etcd as many raw puts of as many bytes into the same member, which flushes each to the disk;",
        "       through a host, and directly to the server behind it, a custom resource of the same schema and bytes on that host.",
        "ratio  ours divided by the limit: higher is better for rates, lower is better for times.",
        "CPU/op processor time of the server alone, user and kernel, for one operation.",
        "short  of the aim, above the floor; MISS: below the floor. Absolute targets are for two cores of a server processor.",
    ]
    .map(str::to_owned)
    .to_vec()
}
