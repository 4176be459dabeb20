//! Files of many clusters: the cost of a bearer token for each cluster, compared with one shared
//! token.

use serde_json::json;

use super::cluster::RBAC;
use super::{Bench, MANY};
use crate::load::{self, Load, Stop};
use crate::options::Group;
use crate::report::{Row, Unit};
use crate::sample::{Sample, Summary};
use crate::server::{KUBECONFIGS, User};
use crate::{progress, request};

/// Number of clusters in a file.
const CLUSTERS: usize = 20;

/// The value of setting `kubeconfig-shared-token-above` with which each cluster gets a token of its
/// own.
const EACH: usize = CLUSTERS;

/// The value with which all clusters share one token.
const SHARED: usize = 0;

impl Bench<'_> {
    /// Measures creates of both kinds of files, in turns.
    ///
    /// # Errors
    /// Fails if the clusters cannot be created, or a create failed.
    pub(super) async fn files(&self) -> anyhow::Result<Vec<Row>> {
        if !self.options.wants(Group::Files) {
            return Ok(Vec::new());
        }
        progress::say(&format!("create, files of {CLUSTERS} clusters"));
        self.make_clusters().await?;
        let mut samples = [Sample::default(), Sample::default()];
        for _ in 0..load::ROUNDS {
            for (sample, above) in samples.iter_mut().zip([EACH, SHARED]) {
                sample.extend(self.create_files(above).await?);
            }
        }
        self.set_shared_above("").await?;
        let [each, shared] = samples.map(Sample::summary);
        let name = format!("create, {CLUSTERS} clusters, a token each, {MANY} at once");
        let kilobytes = |summary: &Summary| summary.bytes / 1024.0;
        Ok(vec![
            Row::rate(name, &each).with_limit(shared.rate),
            Row::value("answer with that file", Unit::Kilobytes, kilobytes(&each))
                .with_limit(kilobytes(&shared)),
        ])
    }

    /// Runs one turn of creates.
    async fn create_files(&self, shared_above: usize) -> anyhow::Result<Sample> {
        self.set_shared_above(&shared_above.to_string()).await?;
        let endpoint = self.server.endpoint(User::Alice)?;
        let clusters: Vec<String> = (0..CLUSTERS).map(id).collect();
        let wanted = json!({
            "apiVersion": "ext.cattle.io/v1",
            "kind": "Kubeconfig",
            "spec": {"clusters": clusters},
        });
        let create = request::post(&endpoint, KUBECONFIGS, &wanted.to_string());
        let turn = self.options.duration() / load::ROUNDS;
        let load = Load::same(&endpoint, create, MANY);
        load.run(Stop::After(turn), self.server.meter()).await
    }

    async fn make_clusters(&self) -> anyhow::Result<()> {
        for number in 0..CLUSTERS {
            let cluster = json!({
                "apiVersion": "management.cattle.io/v3",
                "kind": "Cluster",
                "metadata": {"name": id(number)},
                "spec": {},
            });
            self.make("/apis/management.cattle.io/v3/clusters", &cluster)
                .await?;
        }
        let name = "bench-files";
        let role = json!({
            "metadata": {"name": name},
            "rules": [{"apiGroups": ["management.cattle.io"], "resources": ["clusters"],
                "verbs": ["get"]}],
        });
        self.make(&format!("{RBAC}/clusterroles"), &role).await?;
        self.bind_alice(name).await
    }

    async fn set_shared_above(&self, value: &str) -> anyhow::Result<()> {
        self.server
            .set("kubeconfig-shared-token-above", value)
            .await
    }
}

/// Returns the id of a cluster.
fn id(number: usize) -> String {
    format!("files-{number}")
}
