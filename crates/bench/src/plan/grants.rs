//! Users whose access comes from grants to their groups, compared with a user whom RBAC permits the
//! same.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::ensure;
use serde_json::json;

use super::cluster::RBAC;
use super::{Bench, KUBECONFIG};
use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::load::{self, Load};
use crate::options::Group;
use crate::report::{Row, millis};
use crate::request::JSON;
use crate::server::KUBECONFIGS;
use crate::{kubeconfig, progress, request, targets};

const USERS: usize = 300;
const GROUPS: usize = 40;
const CLUSTERS: usize = 40;
const GRANTS: usize = 20;

const MANAGEMENT: &str = "/apis/management.cattle.io/v3/clusters";

/// The label of the clusters of a grant.
const LABEL: &str = "bench.example.com/grant";

/// The user whom RBAC permits what a grant permits the others.
const BY_ROLE: &str = "bench-by-role";

impl Bench<'_> {
    /// Measures lists of clusters, and creates for a cluster.
    ///
    /// # Errors
    /// Fails if the users, clusters and grants cannot be created, or a request failed.
    pub(super) async fn grants(&self) -> anyhow::Result<Vec<Row>> {
        if !self.options.wants(Group::Grants) {
            return Ok(Vec::new());
        }
        progress::say(&format!(
            "{USERS} users in {GROUPS} groups, {GRANTS} grants"
        ));
        self.make_grants().await?;
        let mut by_grant = None;
        for number in 0..USERS {
            let group = format!("bench-group-{}", number % GROUPS);
            let user = self.add_user(&user(number), &[&group])?;
            // The first create makes the server remember the groups of the user.
            let create = request::post(&user, KUBECONFIGS, KUBECONFIG);
            Connection::open(&user).await?.send(&create).await?;
            by_grant.get_or_insert(user);
        }
        let by_role = self.add_user(BY_ROLE, &[])?;
        self.bind_user(BY_ROLE, "bench-grants").await?;
        let Some(by_grant) = by_grant else {
            return Ok(Vec::new());
        };
        let list = |user: &Arc<Endpoint>| Load::same(user, request::get(user, MANAGEMENT, JSON), 1);
        let wanted = json!({
            "apiVersion": "ext.cattle.io/v1",
            "kind": "Kubeconfig",
            "spec": {"clusters": [cluster(0)]},
        });
        let create = |user: &Arc<Endpoint>| {
            Load::same(
                user,
                request::post(user, KUBECONFIGS, &wanted.to_string()),
                1,
            )
        };
        let mut rows = Vec::new();
        for (name, load) in [
            ("list of clusters", &list as &dyn Fn(&Arc<Endpoint>) -> Load),
            ("create", &create),
        ] {
            progress::say(&format!("{name}, by a grant and by a role"));
            let (ours, limit) = (load(&by_grant), load(&by_role));
            let pair = [(&ours, self.server.meter()), (&limit, self.server.meter())];
            let samples = load::in_turns(self.options.duration(), pair).await?;
            let [ours, limit] = samples.map(|sample| sample.summary());
            let row = Row::median(
                format!("{name}, one of {USERS} users of {GRANTS} grants"),
                &ours,
            );
            let targets = match name {
                "create" => targets::create_by_grant(limit.p50),
                _ => targets::list_by_grant(),
            };
            rows.push(row.with_limit(millis(limit.p50)).with_targets(targets));
        }
        Ok(rows)
    }

    /// Creates the clusters, the grants, and a role for all clusters. Each grant is for two groups
    /// and two clusters.
    async fn make_grants(&self) -> anyhow::Result<()> {
        for number in 0..CLUSTERS {
            let object = json!({
                "apiVersion": "management.cattle.io/v3",
                "kind": "Cluster",
                "metadata": {
                    "name": cluster(number), "labels": {LABEL: (number % GRANTS).to_string()},
                },
                "spec": {},
            });
            self.make(MANAGEMENT, &object).await?;
        }
        for number in 0..GRANTS {
            let group =
                |number: usize| json!({"kind": "Group", "name": format!("bench-group-{number}")});
            let grant = json!({
                "apiVersion": "ext.cattle.io/v1",
                "kind": "ClusterGrant",
                "metadata": {"name": format!("bench-{number}")},
                "spec": {
                    "subjects": [group(number), group(number + GRANTS)],
                    "clusters": {"selector": {"matchLabels": {LABEL: number.to_string()}}},
                    "groups": ["kubeconfig-apiserver:edit"],
                },
            });
            self.make("/apis/ext.cattle.io/v1/clustergrants", &grant)
                .await?;
        }
        let names: Vec<String> = [0, GRANTS].map(cluster).to_vec();
        let role = json!({
            "metadata": {"name": "bench-grants"},
            "rules": [{"apiGroups": ["management.cattle.io"], "resources": ["clusters"],
                "resourceNames": names, "verbs": ["get"]}],
        });
        self.make(&format!("{RBAC}/clusterroles"), &role).await
    }

    /// Adds a user with a certificate, and returns the server as this user.
    fn add_user(&self, name: &str, groups: &[&str]) -> anyhow::Result<Arc<Endpoint>> {
        let data = self.server.folder().join("data");
        let file: PathBuf = self.server.folder().join(format!("{name}.kubeconfig"));
        let mut command = Command::new(self.server.program());
        command
            .args(["user", "add", name])
            .arg("--data-dir")
            .arg(data);
        command.arg("--file").arg(&file);
        for group in groups {
            command.arg("--group").arg(group);
        }
        let output = command.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command:?}: {said}");
        kubeconfig::endpoint(&file)
    }
}

fn user(number: usize) -> String {
    format!("bench-user-{number}")
}

fn cluster(number: usize) -> String {
    format!("bench-granted-{number}")
}
