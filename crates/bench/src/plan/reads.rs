//! Gets and lists, on a server that has the records.

use rand::seq::SliceRandom;

use super::{Bench, FEW, requests};
use crate::load::{Load, Stop};
use crate::options::Group;
use crate::report::{Row, Target, Unit, millis};
use crate::request::{JSON, TABLE};
use crate::sample::Summary;
use crate::server::{KUBECONFIGS, User};
use crate::{progress, request, targets};

/// Number of clients that get concurrently.
const READERS: usize = 32;

/// Number of concurrent lists.
const LISTERS: usize = 4;

/// Bytes per mebibyte.
const MEBI: f64 = (1 << 20) as f64;

impl Bench<'_> {
    /// Measures all reads.
    pub(super) async fn reads(&self) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        if self.options.wants(Group::Get) {
            rows.push(self.get().await?);
        }
        if self.options.wants(Group::List) {
            rows.push(self.list_alone("JSON", JSON, targets::list()).await?);
            rows.push(self.list_alone("Table", TABLE, targets::table()).await?);
            rows.extend(self.lists_together().await?);
            rows.push(self.own_list().await?);
        }
        Ok(rows)
    }

    /// Measures gets of random records, because a record that is requested repeatedly is faster.
    async fn get(&self) -> anyhow::Result<Row> {
        progress::say(&format!("get, {READERS} at once"));
        let endpoint = self.server.endpoint(User::Alice)?;
        let list = self.server.list(User::Alice, "").await?;
        let mut names: Vec<_> = list
            .items
            .into_iter()
            .map(|item| item.metadata.name)
            .collect();
        names.shuffle(&mut rand::rng());
        let get = |name| request::get(&endpoint, &format!("{KUBECONFIGS}/{name}"), JSON);
        let ours = Load {
            requests: requests(names.into_iter().map(get)),
            endpoint: endpoint.clone(),
            clients: READERS,
        };
        let limit = self.limit("GET", "/hello", READERS);
        let [ours, limit] = self.compare(&ours, &limit).await?;
        Ok(Row::rate(format!("get, {READERS} at once"), &ours)
            .with_limit(limit.rate)
            .with_targets(targets::get()))
    }

    async fn list_alone(
        &self,
        form: &str,
        accept: &str,
        targets: Vec<Target>,
    ) -> anyhow::Result<Row> {
        progress::say(&format!("list, {form}"));
        let [ours, limit] = self.list(User::Admin, accept, 1).await?;
        let records = self.options.records();
        let size = ours.bytes / MEBI;
        let row = Row::median(format!("list of {records}, {form}, {size:.1} MiB"), &ours);
        Ok(row.with_limit(millis(limit.p50)).with_targets(targets))
    }

    /// Measures the rate of concurrent lists, and the memory growth of the server.
    async fn lists_together(&self) -> anyhow::Result<[Row; 2]> {
        progress::say(&format!("list, {LISTERS} at once"));
        let meter = self.server.meter();
        meter.forget_peak()?;
        let before = meter.memory()?.resident;
        let [ours, limit] = self.list(User::Admin, JSON, LISTERS).await?;
        let growth = meter.memory()?.peak.saturating_sub(before);
        let rate = Row::rate(format!("list, JSON, {LISTERS} at once"), &ours)
            .with_limit(limit.rate)
            .with_targets(targets::lists_together());
        let growth = growth as f64 / MEBI;
        let growth = Row::value(
            format!("RSS growth by {LISTERS} lists at once"),
            Unit::Megabytes,
            growth,
        );
        Ok([rate, growth.with_targets(targets::list_growth())])
    }

    /// Measures the list of a user who owns few of the records.
    async fn own_list(&self) -> anyhow::Result<Row> {
        progress::say("own list");
        let records = self.options.records();
        let [ours, limit] = self.list(User::Bob, JSON, 1).await?;
        Ok(Row::median(format!("own list, {FEW} of {records}"), &ours)
            .with_limit(millis(limit.p50))
            .with_targets(targets::own_list()))
    }

    /// Measures the list, and the same number of bytes from the bare server.
    async fn list(&self, user: User, accept: &str, clients: usize) -> anyhow::Result<[Summary; 2]> {
        let endpoint = self.server.endpoint(user)?;
        let list = request::get(&endpoint, KUBECONFIGS, accept);
        let ours = Load::same(&endpoint, list.clone(), clients);
        let first = Load::same(&endpoint, list, 1);
        let size = first.run(Stop::Count(1), self.server.meter()).await?.bytes;
        let limit = self.limit("GET", &format!("/bytes/{size}"), clients);
        self.compare(&ours, &limit).await
    }
}
