//! The fan-out: its maximum rate, and the delay at a low rate.

use std::time::Duration;

use super::Bench;
use crate::fan_out::{FanOut, Pace};
use crate::options::Group;
use crate::report::{Row, millis};
use crate::sample::Summary;
use crate::server::{KUBECONFIGS, User};
use crate::{progress, request, targets};

/// Ten events a second.
const CALM: Pace = Pace::Every(Duration::from_millis(100));

impl Bench<'_> {
    /// Measures the fan-out.
    pub(super) async fn watches(&self) -> anyhow::Result<Vec<Row>> {
        if !self.options.wants(Group::Watch) {
            return Ok(Vec::new());
        }
        let watchers = self.options.watchers();
        let [ours, limit] = self.fan_out(watchers, Pace::Saturated).await?;
        let saturated = Row::rate(format!("watch deliveries, {watchers} watchers"), &ours)
            .with_limit(limit.rate)
            .with_targets(targets::fan_out());
        let [ours, limit] = self.fan_out(watchers, CALM).await?;
        let calm = Row::tail("watch delay p99, 10 events/s", &ours)
            .with_limit(millis(limit.p99))
            .with_targets(targets::delay());
        Ok(vec![saturated, calm])
    }

    async fn fan_out(&self, watchers: usize, pace: Pace) -> anyhow::Result<[Summary; 2]> {
        progress::say(&format!("watch, {watchers} watchers, {pace:?}"));
        let ours = self.ours(watchers, pace).await?;
        let ours = ours
            .run(self.options.duration(), self.server.meter())
            .await?;
        let ours = ours.summary();
        let limit = self.broadcast(watchers, pace, ours.bytes as usize);
        let limit = limit
            .run(self.options.duration(), self.bare.process.meter())
            .await?;
        Ok([ours, limit.summary()])
    }

    async fn ours(&self, watchers: usize, pace: Pace) -> anyhow::Result<FanOut> {
        let endpoint = self.server.endpoint(User::Alice)?;
        let now = self.server.list(User::Alice, "?limit=1").await?.metadata;
        let from = now.resource_version;
        let path = format!("{KUBECONFIGS}?watch=true&resourceVersion={from}");
        let writer = endpoint.clone();
        let request = move |marker: &str| {
            let body = format!(
                r#"{{"apiVersion":"ext.cattle.io/v1","kind":"Kubeconfig","spec":{{"description":"{marker}"}}}}"#
            );
            request::post(&writer, KUBECONFIGS, &body)
        };
        Ok(FanOut {
            watch: request::get(&endpoint, &path, request::JSON),
            endpoint,
            request: Box::new(request),
            watchers,
            pace,
        })
    }

    /// Returns a fan-out of events of `size` bytes through the bare server.
    fn broadcast(&self, watchers: usize, pace: Pace, size: usize) -> FanOut {
        let endpoint = self.bare.endpoint.clone();
        let writer = endpoint.clone();
        let request = move |marker: &str| {
            let object = format!(r#"{{"type":"ADDED","object":"{marker}","rest":""#);
            let frame = format!("{object:x<size$}\"}}\n");
            request::post(&writer, "/publish", &frame)
        };
        FanOut {
            watch: request::get(&endpoint, "/watch", request::JSON),
            endpoint,
            request: Box::new(request),
            watchers,
            pace,
        }
    }
}
