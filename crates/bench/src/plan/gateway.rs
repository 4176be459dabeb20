//! The gateway next to other proxies, all of them in front of the bare server.
//!
//! The relevant figures are the CPU time of a request, because all share the processors with the
//! load, and the latency that a proxy adds.

use std::sync::Arc;

use super::Bench;
use super::cluster::CLUSTER;
use crate::endpoint::Endpoint;
use crate::load::{self, Load, ROUNDS};
use crate::options::Group;
use crate::report::{Row, Unit, millis};
use crate::request::{self, JSON};
use crate::rival::{self, Rival};
use crate::sample::{Sample, Summary};
use crate::tunnel::Tunnel;
use crate::{progress, targets};

/// Number of clients in measurements with concurrent clients.
const CLIENTS: usize = 32;

const HELLO: &str = "/hello";

const TUNNEL: &str = "/tunnel";

/// Rows, and notes about them.
pub(super) type Measured = (Vec<Row>, Vec<String>);

impl Bench<'_> {
    /// Measures the gateway and the proxies that are installed. The cluster must be registered.
    pub(super) async fn gateway(&self) -> anyhow::Result<Measured> {
        let (mut rows, mut notes) = (Vec::new(), Vec::new());
        if !self.options.wants(Group::Gateway) {
            return Ok((rows, notes));
        }
        let token = self.mint(1).await?.concat();
        let folder = self.server.folder();
        match rival::haproxy(self.bare, folder).await? {
            Some(rival) => {
                rows.extend(self.beside(&rival, &token, targets::HAPROXY).await?);
                rows.extend(self.tunnel(&rival, &token).await?);
            }
            None => notes.push("HAProxy is not installed (Debian package haproxy): skipped".into()),
        }
        match rival::kubectl(&self.options.kubectl, self.bare, folder).await? {
            Some(rival) => rows.extend(self.beside(&rival, &token, targets::KUBECTL).await?),
            None => notes.push("kubectl is not found (--kubectl FILE): skipped".into()),
        }
        Ok((rows, notes))
    }

    async fn beside(
        &self,
        rival: &Rival,
        token: &str,
        targets: targets::Beside,
    ) -> anyhow::Result<[Row; 3]> {
        let name = rival.name;
        progress::say(&format!("gateway compared with {name}"));
        let [ours, theirs] = self.together(rival, token).await?;
        let per_core = |summary: &Summary| summary.cpu.as_secs_f64().recip();
        let [direct, alone, their_alone] = self.alone(rival, token).await?;
        let added = |summary: &Summary| millis(summary.p50.saturating_sub(direct.p50));
        let row = |what: &str, unit: Unit, value: f64| {
            Row::value(format!("gateway, {what}, vs. {name}"), unit, value)
        };
        let together = format!("gateway, {CLIENTS} at once, vs. {name}");
        Ok([
            Row::rate(together, &ours).with_limit(theirs.rate),
            row("in a second of a core", Unit::PerSecond, per_core(&ours))
                .with_limit(per_core(&theirs))
                .with_targets(targets.per_core()),
            row("added for 1 client", Unit::Millis, added(&alone))
                .with_limit(added(&their_alone))
                .with_targets(targets.added()),
        ])
    }

    /// Measures the throughput in one direction through one tunnel. The rival's tunnel is TCP,
    /// between the same TLS.
    async fn tunnel(&self, rival: &Rival, token: &str) -> anyhow::Result<Option<Row>> {
        let Some(bytes) = &rival.bytes else {
            return Ok(None);
        };
        let endpoint = self.server.stranger()?;
        let path = format!("/k8s/clusters/{CLUSTER}{TUNNEL}");
        let request = request::with_token(&request::upgrade(&endpoint, &path), token);
        let ours = Tunnel { endpoint, request };
        let theirs = Tunnel {
            request: request::upgrade(bytes, TUNNEL),
            endpoint: Arc::clone(bytes),
        };
        let (mut our_sample, mut their_sample) = (Sample::default(), Sample::default());
        let turn = self.options.duration() / ROUNDS;
        for _ in 0..ROUNDS {
            our_sample.extend(ours.run(turn, self.server.meter()).await?);
            their_sample.extend(theirs.run(turn, rival.process.meter()).await?);
        }
        let name = format!("gateway, MiB through a tunnel, vs. {}", rival.name);
        let row = Row::rate(name, &our_sample.summary());
        let limit = their_sample.summary().rate;
        Ok(Some(row.with_limit(limit).with_targets(targets::tunnel())))
    }

    /// Measures the gateway and the rival with concurrent clients.
    async fn together(&self, rival: &Rival, token: &str) -> anyhow::Result<[Summary; 2]> {
        let ours = self.through_us(token, CLIENTS)?;
        let theirs = hello(&rival.endpoint, CLIENTS);
        let pair = [
            (&ours, self.server.meter()),
            (&theirs, rival.process.meter()),
        ];
        let samples = load::in_turns(self.options.duration(), pair).await?;
        Ok(samples.map(|sample| sample.summary()))
    }

    /// Measures the upstream, the gateway and the rival with one client.
    async fn alone(&self, rival: &Rival, token: &str) -> anyhow::Result<[Summary; 3]> {
        let direct = hello(&self.bare.endpoint, 1);
        let ours = self.through_us(token, 1)?;
        let theirs = hello(&rival.endpoint, 1);
        let loads = [
            (&direct, self.bare.process.meter()),
            (&ours, self.server.meter()),
            (&theirs, rival.process.meter()),
        ];
        let samples = load::in_turns(self.options.duration(), loads).await?;
        Ok(samples.map(|sample| sample.summary()))
    }

    fn through_us(&self, token: &str, clients: usize) -> anyhow::Result<Load> {
        let endpoint = self.server.stranger()?;
        let path = format!("/k8s/clusters/{CLUSTER}{HELLO}");
        let request = request::get(&endpoint, &path, JSON);
        let request = request::with_token(&request, token);
        Ok(Load::same(&endpoint, request, clients))
    }
}

fn hello(endpoint: &Arc<Endpoint>, clients: usize) -> Load {
    Load::same(endpoint, request::get(endpoint, HELLO, JSON), clients)
}
