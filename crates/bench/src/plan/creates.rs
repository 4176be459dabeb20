//! Creates: validated, authorized, signed, durable and watched. With one client the disk limits the
//! rate; concurrent clients share its flushes.

use anyhow::ensure;

use super::{Bench, KUBECONFIG, MANY};
use crate::load::{self, Load};
use crate::options::Group;
use crate::report::Row;
use crate::sample::Summary;
use crate::server::{KUBECONFIGS, User};
use crate::{fsync, progress, request, targets};

impl Bench<'_> {
    /// Measures creates, and the limit of the disk.
    ///
    /// # Errors
    /// Fails if a create failed, or the server does not have exactly the acknowledged records.
    pub(super) async fn creates(&self) -> anyhow::Result<Vec<Row>> {
        if !self.options.wants(Group::Create) {
            return Ok(Vec::new());
        }
        let flush = self.flush().await?;
        let before = self.records().await?;
        let (alone, first) = self.create(1).await?;
        let (together, second) = self.create(MANY).await?;
        let after = self.records().await?;
        let expected = before + first + second;
        ensure!(
            after == expected,
            "{expected} creates were acknowledged, {after} exist"
        );
        Ok(vec![
            Row::rate("fdatasync of 4 KiB, 1 thread", &flush),
            alone.with_targets(targets::create_alone(flush.p50)),
            together.with_targets(targets::create_together()),
        ])
    }

    /// Returns the row without targets, and the number of created records.
    async fn create(&self, clients: usize) -> anyhow::Result<(Row, usize)> {
        progress::say(&format!("create, {clients} at once"));
        let endpoint = self.server.endpoint(User::Alice)?;
        let create = request::post(&endpoint, KUBECONFIGS, KUBECONFIG);
        let ours = Load::same(&endpoint, create, clients);
        let limit = self.limit("POST", "/durable", clients);
        let pair = [
            (&ours, self.server.meter()),
            (&limit, self.bare.process.meter()),
        ];
        let [ours, limit] = load::in_turns(self.options.duration(), pair).await?;
        let created = ours.latencies.len();
        let row = Row::rate(format!("create, {clients} at once"), &ours.summary())
            .with_limit(limit.summary().rate);
        Ok((row, created))
    }

    async fn flush(&self) -> anyhow::Result<Summary> {
        progress::say("fdatasync");
        let folder = self.server.folder().to_owned();
        let duration = self.options.duration();
        let flushing = tokio::task::spawn_blocking(move || fsync::measure(&folder, duration));
        Ok(flushing.await??.summary())
    }

    async fn records(&self) -> anyhow::Result<usize> {
        Ok(self.server.list(User::Admin, "").await?.items.len())
    }
}
