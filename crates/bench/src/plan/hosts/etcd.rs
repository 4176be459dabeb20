//! Creates with records in etcd, next to raw puts of the same size into the same member, which
//! waits for the disk.

use super::{Behind, Work};
use crate::load::{Load, Stop};
use crate::plan::KUBECONFIG;
use crate::puts::{Puts, Writes};
use crate::report::{Row, Unit, millis};
use crate::server::KUBECONFIGS;
use crate::{progress, request, targets};

/// Numbers of clients.
const CLIENTS: [usize; 2] = [16, 64];

/// Number of creates that determine the size of the writes of a create.
const TRIED: usize = 100;

impl Behind<'_> {
    /// Measures creates and puts.
    pub(super) async fn creates(&self) -> anyhow::Result<Vec<Row>> {
        let [server, _, _] = self.host.meters(self.store)?;
        let before = self.host.etcd_metrics()?;
        self.create(1)?.run(Stop::Count(TRIED), server).await?;
        let writes = Writes::between(&before, &self.host.etcd_metrics()?, TRIED)?;
        let mut rows = Vec::new();
        for clients in CLIENTS {
            let name = format!("create, {clients} at once, records in etcd");
            progress::say(&name);
            let works = [
                Work::Requests(self.create(clients)?),
                Work::Puts(self.puts(clients, writes)?),
            ];
            let [ours, limit] = self.in_turns(works).await?;
            let [_, _, our_etcd] = ours.cpu;
            let [_, _, their_etcd] = limit.cpu;
            rows.push(
                Row::rate(format!("{name}, vs. puts"), &ours.summary)
                    .with_limit(limit.summary.rate)
                    .with_targets(targets::create_in_etcd(clients)),
            );
            rows.push(
                Row::value(
                    format!("{name}, CPU/op of etcd"),
                    Unit::Millis,
                    millis(our_etcd),
                )
                .with_limit(millis(their_etcd))
                .with_targets(targets::etcd_of_creates()),
            );
        }
        Ok(rows)
    }

    fn create(&self, clients: usize) -> anyhow::Result<Load> {
        let direct = self.host.direct()?;
        let create = request::post(&direct, KUBECONFIGS, KUBECONFIG);
        Ok(Load::same(&direct, create, clients))
    }

    fn puts(&self, clients: usize, writes: Writes) -> anyhow::Result<Puts> {
        Ok(Puts {
            endpoint: self.host.etcd()?,
            writes,
            clients,
            prefix: format!("/puts/{clients}"),
        })
    }
}
