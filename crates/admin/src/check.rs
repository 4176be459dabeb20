//! `kubeconfig-apiserver check`: checks an installation in a host cluster, with the credentials of
//! an administrator.
//!
//! It sends only requests that change nothing. Each topic is a module that adds findings to the
//! report. If something cannot be checked, the report says so, and the other checks continue.

mod certificates;
mod clocks;
mod clusters;
mod front_proxy;
mod kinds;
mod permissions;
mod records;
mod registration;
mod report;
mod scene;
mod workload;

use anyhow::{Context, Result, anyhow, bail};
use kube::Client;
use kube::config::Kubeconfig;
use machinery::time::Clock;

use crate::args::{CheckArgs, CheckOutput};
use crate::client;
use crate::console::Console;

use report::Report;
use scene::Scene;

/// Runs the command, and prints the report.
///
/// # Errors
/// Fails if the host cannot be reached, or if there is a problem.
pub async fn run(args: &CheckArgs, console: &Console, clock: &dyn Clock) -> Result<()> {
    let report = look(args, console, clock).await?;
    let text = match args.output {
        CheckOutput::Text => report.text(),
        CheckOutput::Json => report.json()?,
    };
    console.print(&text)?;
    match report.problems() {
        0 => Ok(()),
        1 => bail!("there is 1 problem"),
        number => bail!("there are {number} problems"),
    }
}

async fn look(args: &CheckArgs, console: &Console, clock: &dyn Clock) -> Result<Report> {
    let host = connect(args).await?;
    let mut report = Report::default();
    let now = clocks::check(&host, clock, &mut report).await?;
    if !client::is_host(&host).await? {
        bail!(
            "the kubeconfig file is for an API server without an aggregation layer, such as a standalone kubeconfig-apiserver: pass the file of the host cluster with --host-kubeconfig"
        );
    }
    let scene = Scene::look(host, args, now, &mut report).await;
    registration::check(&scene, &mut report);
    certificates::check(&scene, &mut report).await;
    front_proxy::check(&scene, &mut report).await;
    permissions::check(&scene, &mut report).await;
    kinds::check(&scene, &mut report).await;
    workload::check(&scene, &mut report).await;
    clusters::check(&scene, console, &mut report).await;
    records::check(&scene, &mut report).await;
    Ok(report)
}

async fn connect(args: &CheckArgs) -> Result<Client> {
    let file = match &args.host_kubeconfig {
        Some(path) => client::read(path),
        None => Kubeconfig::read().map_err(|error| anyhow!("{error}")),
    };
    let file = file
        .context("no kubeconfig file for the host cluster: set --host-kubeconfig or KUBECONFIG")?;
    let client = async {
        let config = client::config(file, None).await?;
        Client::try_from(config).map_err(client::told)
    };
    client
        .await
        .context("the kubeconfig of the host cannot be used")
}
