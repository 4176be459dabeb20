//! Gets and creates through the API server of a host, and directly to the server behind it, both
//! next to a custom resource of the same kind on the same API server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use rand::seq::SliceRandom;
use serde_json::Value;

use super::{Behind, Cost, Work};
use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::host::{self, TWINS};
use crate::load::{Load, Stop};
use crate::plan::{KUBECONFIG, MANY, requests};
use crate::report::{Row, Unit, millis};
use crate::request::JSON;
use crate::server::{KUBECONFIGS, List};
use crate::{progress, request, targets};

/// Minimum number of records, and of twins, while they are read.
const RECORDS: usize = 1000;

/// The measured verb.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Create,
}

impl Behind<'_> {
    /// Measures all verbs.
    pub(super) async fn through(&self) -> anyhow::Result<Vec<Row>> {
        let front = self.host.front()?;
        let [server, _, _] = self.host.meters(self.store)?;
        let create = request::post(&front, KUBECONFIGS, KUBECONFIG);
        let load = Load::same(&front, create, MANY);
        load.run(Stop::Count(RECORDS), server).await?;
        let records = fetch(&front, &format!("{KUBECONFIGS}?limit=1")).await?;
        let twin = host::of_record(&records["items"][0]).to_string();
        let load = Load::same(&front, request::post(&front, TWINS, &twin), MANY);
        load.run(Stop::Count(RECORDS), server).await?;
        let mut rows = self.compare(Verb::Get, &twin).await?;
        rows.extend(self.compare(Verb::Create, &twin).await?);
        Ok(rows)
    }

    async fn compare(&self, verb: Verb, twin: &str) -> anyhow::Result<Vec<Row>> {
        let verb_name = verb.name();
        let name = format!(
            "{verb_name}, {MANY} at once, records in {}",
            self.store.name()
        );
        progress::say(&format!("{name}, through a host and directly"));
        let (front, direct) = (self.host.front()?, self.host.direct()?);
        let works = [
            verb.load(&front, KUBECONFIGS, KUBECONFIG).await?,
            verb.load(&direct, KUBECONFIGS, KUBECONFIG).await?,
            verb.load(&front, TWINS, twin).await?,
        ];
        let [through, straight, custom] = self.in_turns(works.map(Work::Requests)).await?;
        let [_, theirs, _] = custom.cpu;
        let [_, apiserver, _] = through.cpu;
        let in_creates = verb == Verb::Create;
        Ok(vec![
            Row::rate(format!("{name}, through a host"), &through.summary)
                .with_limit(custom.summary.rate)
                .with_targets(targets::through_a_host(in_creates, self.store)),
            Row::value(
                "  of all processor time ours",
                Unit::Percent,
                share(&through),
            )
            .with_targets(targets::share_of_a_host()),
            Row::value(
                "  CPU/op of kube-apiserver",
                Unit::Millis,
                millis(apiserver),
            )
            .with_limit(millis(theirs))
            .with_targets(targets::host_of_requests()),
            Row::rate(format!("{name}, directly"), &straight.summary)
                .with_limit(custom.summary.rate)
                .with_targets(targets::beside_a_host(in_creates, self.store)),
        ])
    }
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Create => "create",
        }
    }

    /// Returns a load of gets of a user's objects in a collection, or of creates of an object
    /// there.
    async fn load(self, to: &Arc<Endpoint>, path: &str, object: &str) -> anyhow::Result<Load> {
        if self == Self::Create {
            return Ok(Load::same(to, request::post(to, path, object), MANY));
        }
        let mut names = names(to, path).await?;
        names.shuffle(&mut rand::rng());
        let get = |name| request::get(to, &format!("{path}/{name}"), JSON);
        Ok(Load {
            requests: requests(names.into_iter().map(get)),
            endpoint: Arc::clone(to),
            clients: MANY,
        })
    }
}

async fn names(endpoint: &Endpoint, path: &str) -> anyhow::Result<Vec<String>> {
    let list = fetch(endpoint, &format!("{path}?limit={RECORDS}")).await?;
    let list: List = serde_json::from_value(list)?;
    let found = list.items.len();
    ensure!(found == RECORDS, "{found} of {RECORDS} records exist");
    Ok(list
        .items
        .into_iter()
        .map(|item| item.metadata.name)
        .collect())
}

async fn fetch(endpoint: &Endpoint, path: &str) -> anyhow::Result<Value> {
    let request = request::get(endpoint, path, JSON);
    let body = Connection::open(endpoint).await?.fetch(&request).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// Returns the server's share of the CPU time of all three, in percent.
fn share(cost: &Cost) -> f64 {
    let [ours, _, _] = cost.cpu;
    let all: Duration = cost.cpu.iter().sum();
    100.0 * ours.as_secs_f64() / all.as_secs_f64().max(f64::MIN_POSITIVE)
}
