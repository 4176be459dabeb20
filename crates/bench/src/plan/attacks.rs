//! The effect of attacks on honest users of the server, and of the same attacks on honest users of
//! a real kube-apiserver.
//!
//! The servers run one after the other. Ours goes through all attacks, so the effects of an attack
//! persist into the next one; kube-apiserver is restarted before each. Before each attack, honest
//! users work without an attack for the same time.

mod kubernetes;
mod ours;
mod scenario;
mod victim;

use std::fs;
use std::path::Path;
use std::time::Duration;

use test_cluster::tools;
use tokio::task::block_in_place;

use self::scenario::Scenario;
use self::victim::Victim;
use super::Bench;
use crate::attack::Attacker;
use crate::bare::Bare;
use crate::honest::{self, Observed};
use crate::options::{Group, Options};
use crate::process::Meter;
use crate::progress;
use crate::report::{AttackRow, Endured, Tails};
use crate::server::Server;

/// Interval at which the memory of a server is sampled.
const LOOK: Duration = Duration::from_millis(20);

/// Pause after an attack, in which connections end.
const REST: Duration = Duration::from_secs(1);

/// Measures all attacks, if they are wanted. If this machine has no kube-apiserver, also returns a
/// note that explains how to install it.
pub(super) async fn measure(
    options: &Options,
    folder: &Path,
) -> anyhow::Result<(Vec<AttackRow>, Vec<String>)> {
    if !options.wants(Group::Attacks) {
        return Ok((Vec::new(), Vec::new()));
    }
    let folder = folder.join("attacks");
    fs::create_dir(&folder)?;
    let ours = on_us(options, &folder).await?;
    let (theirs, missing) = match block_in_place(|| tools::path("kube-apiserver")) {
        Ok(_) => (on_kubernetes(options, &folder).await?, None),
        Err(error) => {
            let note = format!("kube-apiserver is not installed (make tools): skipped; {error:#}");
            (vec![Err("is not here".to_owned()); ours.len()], Some(note))
        }
    };
    let rows = wanted(options).zip(ours).zip(theirs);
    let rows = rows.map(|((scenario, ours), theirs)| AttackRow {
        attack: scenario.name(),
        ours,
        theirs,
    });
    Ok((rows.collect(), missing.into_iter().collect()))
}

fn wanted(options: &Options) -> impl Iterator<Item = Scenario> {
    let all = Scenario::ALL.into_iter();
    all.filter(|scenario| scenario.name().contains(&options.attack))
}

/// A measurement, or the reason why it was not made.
type Measured = Result<Endured, String>;

async fn on_us(options: &Options, folder: &Path) -> anyhow::Result<Vec<Measured>> {
    let bare = Bare::start(folder)?;
    let server = Server::start(&super::program(options)?, folder).await?;
    let bench = Bench {
        server: &server,
        bare: &bare,
        options,
    };
    progress::say("creating users for attacks");
    let victim = bench.victim().await?;
    let mut all = Vec::new();
    for scenario in wanted(options) {
        progress::say(scenario.name());
        all.push(endure(&victim, scenario, options).await?);
    }
    Ok(all)
}

async fn on_kubernetes(options: &Options, folder: &Path) -> anyhow::Result<Vec<Measured>> {
    progress::say("starting a kube-apiserver");
    let mut cluster = block_in_place(|| kubernetes::start(folder))?;
    let mut victim = kubernetes::victim(&cluster).await?;
    let mut all = Vec::new();
    for scenario in wanted(options) {
        progress::say(&format!("kube-apiserver: {}", scenario.name()));
        victim.meter = block_in_place(|| kubernetes::restart(&mut cluster))?;
        all.push(endure(&victim, scenario, options).await?);
    }
    Ok(all)
}

/// Returns the observations of honest users in one attack.
async fn endure(
    victim: &Victim,
    scenario: Scenario,
    options: &Options,
) -> anyhow::Result<Measured> {
    let duration = options.duration();
    let attacks = match scenario.attacks(victim) {
        Ok(attacks) => attacks,
        Err(reason) => return Ok(Err(reason.to_owned())),
    };
    let clients = scenario.honest(victim);
    let quiet = honest::work(clients, duration).await?;
    let attackers = attacks.iter().map(Attacker::start);
    let attackers: Vec<_> = attackers.collect::<Result<_, _>>()?;
    let work = honest::work(clients, duration);
    let Watched { attacked, memory } = watch(victim.meter, work).await?;
    let mut tally = Vec::new();
    for attacker in attackers {
        let done = block_in_place(|| attacker.stop())?;
        tally.extend(done.0);
    }
    let done = tally
        .iter()
        .map(|(event, count)| format!("{count} {event}"));
    let done: Vec<_> = done.collect();
    progress::say(&format!("  attackers: {}", done.join(", ")));
    for (step, sample) in &attacked.steps {
        let [before, after] = [quiet.of(*step), sample.clone()].map(|sample| sample.summary().p99);
        progress::say(&format!(
            "  {step:?}: p99 {before:.1?} quiet, {after:.1?} attacked"
        ));
    }
    tokio::time::sleep(REST).await;
    let (mut failures, mut refused) = (Vec::new(), 0);
    for (what, count) in quiet.failures.iter().chain(&attacked.failures) {
        failures.push(format!("{count} {what}"));
        refused += count;
    }
    Ok(Ok(Endured {
        quiet: Tails::of(&quiet),
        attacked: Tails::of(&attacked),
        refused,
        failures: failures.join(", "),
        memory,
    }))
}

/// The observations of honest users, and the peak memory of the server meanwhile, in bytes.
struct Watched {
    attacked: Observed,
    memory: u64,
}

async fn watch(
    meter: Meter,
    work: impl Future<Output = anyhow::Result<Observed>>,
) -> anyhow::Result<Watched> {
    let mut memory = 0;
    let mut looks = tokio::time::interval(LOOK);
    tokio::pin!(work);
    loop {
        tokio::select! {
            attacked = &mut work => return Ok(Watched { attacked: attacked?, memory }),
            _ = looks.tick() => memory = memory.max(meter.memory()?.resident),
        }
    }
}
