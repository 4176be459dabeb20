//! Creation of a kubeconfig: checks, tokens, file, record.
//!
//! The record is written once and complete, together with its tokens. A token is valid only while
//! both are stored, so a failure at any step leaves no usable token, and no client has received a
//! file. After a failure, the objects that were already written are removed at once, or else by the
//! sweeper.

mod minting;
mod storing;

use api::Condition;
use api::ext::{Kubeconfig, KubeconfigSpec, Token, kubeconfig};
use api::management::cluster::LOCAL;
use api::management::setting;
use apiserver::request_context::RequestContext;
use machinery::meta::{Metadata, OwnerReference, Time};
use machinery::status::Status;
use management::ca_bundle::CaBundle;
use management::record_size::json_size;
use tokens::origin::Origin;
use tokens::quota::Demand;

use crate::file::{
    self, Credentials, ExecCredentials, ExecVersion, FileCluster, FileSpec, KubeconfigFile, Record,
    Server, ServerHost,
};
use crate::request::{Resolved, Skipped, check_clusters, check_endpoint, group_resource, name_of};
use crate::strategy::{Kubeconfigs, Settled};
use crate::ttl;

use self::minting::{MintedTokens, uids_of};

/// Maximum number of clusters that a condition names.
const MAX_SKIPPED_SHOWN: usize = 20;

/// The result of resolving a request.
struct Plan {
    host: ServerHost,
    ca_certs: CaBundle,
    clusters: Vec<FileCluster>,
    skipped: Vec<Skipped>,
    groups: Vec<String>,
    /// True if limits apply to the tokens, which only this server enforces.
    only_here: bool,
    origin: Origin,
    /// True if the file holds tokens.
    generate: bool,
    /// True if each cluster of the file gets a bearer token of its own.
    separate_bearers: bool,
    exec: ExecCredentials,
}

impl Kubeconfigs {
    /// Creates a record and returns it with the file, which only this response carries. The
    /// clusters of the file are resolved from the record, unless they were resolved before.
    pub(crate) async fn create_record(
        &self,
        cx: &RequestContext,
        mut record: Kubeconfig,
        dry_run: bool,
    ) -> Result<Kubeconfig, Status> {
        if !dry_run {
            self.quota.count_create(cx).await?;
        }
        let plan = self.plan(cx, &mut record).await?;
        let wanted = match plan.generate {
            true => minting::wanted(&plan, &record),
            false => Vec::new(),
        };
        let demand = Demand {
            kubeconfigs: 1,
            tokens: wanted.len(),
            bytes: json_size(&record),
        };
        // The reservation is held until the cache shows the record, or the create has failed.
        let _reserved = self.quota.reserve(cx, demand, dry_run).await?;
        if !dry_run {
            self.origins.record_login(cx).await?;
        }
        let minted = match plan.generate && !dry_run {
            true => self.mint(&plan, &record, wanted).await?,
            false => MintedTokens::default(),
        };
        describe(&mut record, &minted.records, self.now());
        describe_origin(&mut record, &plan);
        let skipped = skipped_condition(&plan.skipped, Time(self.now()));
        record.status.conditions.extend(skipped);
        let credentials = match plan.generate && !dry_run {
            true => Credentials::Tokens(minted.tokens),
            false => Credentials::Exec(plan.exec.clone()),
        };
        let file = write_file(&plan, &record, &credentials, dry_run)?;
        if let Some(current) = file.current_cluster {
            record.spec.current_context = current;
        }
        let mut stored = match dry_run {
            true => self.registry.store().insert(record, true).await?,
            false => self.store(record, minted.records).await?,
        };
        stored.status.value = file.content.expose().to_owned();
        Ok(stored)
    }

    /// Checks a request and resolves its contents. The order of the checks is part of the contract.
    async fn plan(&self, cx: &RequestContext, record: &mut Kubeconfig) -> Result<Plan, Status> {
        self.check_user(&cx.user.name)?;
        check_clusters(&record.spec)?;
        check_endpoint(&record.spec)?;
        let token = &record.spec.token_name;
        let origin = self.origins.of_token(cx, &group_resource(), token).await?;
        if !token.is_empty() && !origin.names(LOCAL) {
            record.spec.include_default_entry.get_or_insert(false);
            check_clusters(&record.spec)?;
        }
        let asked = record.spec.ttl;
        record.spec.ttl = ttl::settle(asked, &origin, self.now(), &self.settings)?;
        let host = self.server_host(cx)?;
        self.clusters.check_local(&record.spec).await?;
        let Settled { resolved, groups } = match &self.settled {
            Some(settled) => settled.clone(),
            None => Settled {
                resolved: self.clusters.resolve(cx, record).await?,
                groups: Vec::new(),
            },
        };
        let Resolved {
            mut clusters,
            skipped,
        } = resolved;
        bound(&origin, &record.spec, &mut clusters)?;
        origin.check_groups(&groups, &group_resource())?;
        for cluster in &clusters {
            let granted = self.grants.max_ttl(cx, &cluster.id).await?;
            // The server chose the lifetime of a download.
            let asked = if self.settled.is_some() { 0 } else { asked };
            record.spec.ttl = ttl::within_grants(asked, record.spec.ttl, granted, &cluster.id)?;
        }
        if record.spec.is_managed() {
            self.go_to_managed(&mut clusters)?;
        }
        let is_limited = record.spec.access.is_some() || origin.is_limited();
        let only_here = self
            .go_through_gateway(cx, is_limited, &mut clusters)
            .await?;
        let generate = self.settle_generate_token(&mut record.spec)?;
        let ca_certs = self.settings.ca_certs()?;
        let shared_above = self.settings.shared_token_above();
        let shared_above = shared_above?;
        Ok(Plan {
            host,
            ca_certs,
            separate_bearers: clusters.len() <= shared_above,
            clusters,
            skipped,
            groups,
            only_here,
            origin,
            generate,
            exec: ExecCredentials {
                version: self.exec_version(),
                issuer: self.minter.issuer().to_owned(),
            },
        })
    }

    /// Removes the entries that bypass the gateway for the clusters in which limits apply, because it
    /// alone enforces them. `is_limited` is true if limits apply in all clusters. Returns whether there
    /// are any.
    pub(crate) async fn go_through_gateway(
        &self,
        cx: &RequestContext,
        is_limited: bool,
        clusters: &mut [FileCluster],
    ) -> Result<bool, Status> {
        let mut has_limits = is_limited;
        for cluster in clusters {
            let granted = self.grants.ceilings(&cx.user, &cluster.id).await?;
            if is_limited || !granted.is_empty() {
                has_limits = true;
                cluster.direct = None;
                cluster.client_certificates = false;
            }
        }
        Ok(has_limits)
    }

    /// Sets the managed endpoint as the only endpoint of each cluster.
    pub(crate) fn go_to_managed(&self, clusters: &mut [FileCluster]) -> Result<(), Status> {
        for cluster in clusters {
            let id = &cluster.id;
            let url = (self.managed)(id).ok_or_else(|| {
                Status::bad_request(format!("cluster {id} has no managed endpoint"))
            })?;
            cluster.managed = Some(url);
            cluster.direct = None;
            cluster.client_certificates = false;
        }
        Ok(())
    }

    /// Returns whether the file holds tokens: as requested, else as configured. For a file without
    /// tokens, the choice is written into the record, because credentials can still be
    /// requested for it after the setting changes.
    fn settle_generate_token(&self, spec: &mut KubeconfigSpec) -> Result<bool, Status> {
        let generate = match spec.generate_token {
            Some(generate) => generate,
            None => self.settings.generate_token()?,
        };
        if !generate {
            spec.generate_token = Some(false);
        }
        Ok(generate)
    }

    fn check_user(&self, name: &str) -> Result<(), Status> {
        let refused = |text: String| Err(Status::forbidden(&group_resource(), "", &text));
        match self.users.find(name) {
            None => refused(self.users.unknown(name)),
            Some(user) if !user.enabled => refused(format!("user {name} is disabled")),
            Some(_) => Ok(()),
        }
    }

    /// Returns the host at which users reach this server: the configured one, else that of this
    /// request.
    pub(crate) fn server_host(&self, cx: &RequestContext) -> Result<ServerHost, Status> {
        let configured = self.settings.server_host()?;
        configured
            .or_else(|| ServerHost::from_authority(&cx.host))
            .ok_or_else(|| Status::internal("can't determine the server URL"))
    }

    fn exec_version(&self) -> ExecVersion {
        match self
            .settings
            .effective(setting::KUBECONFIG_EXEC_API_VERSION)
            .as_str()
        {
            "v1beta1" => ExecVersion::V1Beta1,
            _ => ExecVersion::V1,
        }
    }
}

/// Restricts a request to the clusters that its origin may reach. Named clusters must be among
/// them; `*` is limited to them.
///
/// # Errors
/// 403 if a named cluster is not among them.
fn bound(
    origin: &Origin,
    spec: &KubeconfigSpec,
    clusters: &mut Vec<FileCluster>,
) -> Result<(), Status> {
    let resource = group_resource();
    if spec.includes_default_entry() {
        origin.check_name(LOCAL, &resource)?;
    }
    if spec.wants_all_clusters() {
        clusters.retain(|cluster| origin.may_reach(cluster.object()));
    }
    let mut clusters = clusters.iter();
    clusters.try_for_each(|cluster| origin.check_cluster(cluster.object(), &resource))
}

/// Writes the origin of a request into its record.
fn describe_origin(record: &mut Kubeconfig, plan: &Plan) {
    plan.origin.describe_kubeconfig(&mut record.status);
    if record.spec.wants_all_clusters() {
        let clusters = plan.clusters.iter();
        record.status.clusters = clusters.map(|cluster| cluster.id.clone()).collect();
    }
    // Without a parent, `*` also includes clusters that are created later.
    let is_open = record.spec.wants_all_clusters() && plan.origin.parent.is_none();
    if !plan.generate && !is_open {
        record.status.cluster_uids = uids_of(&plan.clusters);
    }
}

/// Returns the condition that names the clusters that are not in a file, or `None` if no cluster
/// was left out.
fn skipped_condition(skipped: &[Skipped], now: Time) -> Option<Condition> {
    if skipped.is_empty() {
        return None;
    }
    let shown = skipped.iter().take(MAX_SKIPPED_SHOWN);
    let shown: Vec<String> = shown.map(|it| format!("{}: {}", it.id, it.why)).collect();
    let mut message = shown.join("; ");
    if skipped.len() > MAX_SKIPPED_SHOWN {
        message.push_str(&format!("; and {} more", skipped.len() - MAX_SKIPPED_SHOWN));
    }
    Some(Condition::holds(
        kubeconfig::CONDITION_CLUSTERS_SKIPPED,
        message,
        now,
    ))
}

/// Writes the tokens into the record.
fn describe(record: &mut Kubeconfig, tokens: &[Token], now: jiff::Timestamp) {
    let names: Vec<String> = tokens
        .iter()
        .filter_map(|token| token.metadata().name.clone())
        .collect();
    let owners = tokens.iter().map(|token| OwnerReference {
        api_version: api::ext::API_VERSION.to_owned(),
        kind: Token::KIND.to_owned(),
        name: token.metadata().name.clone().unwrap_or_default(),
        uid: token.metadata().uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    });
    record.metadata.owner_references =
        Some(owners.collect()).filter(|owners: &Vec<_>| !owners.is_empty());
    kubeconfig::SUMMARY_COMPLETE.clone_into(&mut record.status.summary);
    record.status.conditions = match names.is_empty() {
        true => Vec::new(),
        false => vec![Condition::holds(
            kubeconfig::CONDITION_TOKEN_CREATED,
            names.join(", "),
            Time(now),
        )],
    };
    record.status.tokens = names;
}

fn write_file(
    plan: &Plan,
    record: &Kubeconfig,
    credentials: &Credentials,
    dry_run: bool,
) -> Result<KubeconfigFile, Status> {
    let current = &record.spec.current_context;
    let created = record
        .metadata
        .creation_timestamp
        .as_ref()
        .filter(|_| !dry_run);
    let spec = FileSpec {
        record: Record {
            name: name_of(record),
            created: created.map(|time| time.0),
            ttl_secs: record.spec.ttl,
        },
        server: Server {
            host: &plan.host,
            ca_certs: plan.ca_certs.pem(),
        },
        include_default_entry: record.spec.includes_default_entry(),
        clusters: &plan.clusters,
        namespace: &record.spec.namespace,
        current_cluster: Some(current.as_str()).filter(|current| !current.is_empty()),
        credentials,
    };
    file::build(&spec).map_err(|error| {
        tracing::error!(%error, "a kubeconfig cannot be written");
        Status::internal("error generating kubeconfig content")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokens::origin::Parent;

    use super::*;

    #[test]
    fn a_token_of_a_former_cluster_makes_no_file_for_a_later_one_of_the_name() {
        let token = |status: serde_json::Value| -> Token {
            serde_json::from_value(json!({
                "metadata": { "name": "token-a", "uid": "uid-1", "creationTimestamp": "2026-01-01T00:00:00Z" },
                "spec": { "userID": "alice", "clusterNames": ["local", "c-a", "c-b"] },
                "status": status,
            }))
            .unwrap()
        };
        let cluster = |id: &str, created: &str| FileCluster {
            id: id.to_owned(),
            uid: format!("uid-{id}"),
            created: Some(created.parse().unwrap()),
            ..FileCluster::default()
        };
        let with_uids = json!({
            "userUID": "uid-alice", "clusterUIDs": { "c-a": "uid-c-a", "c-b": "uid-of-another" },
        });
        for status in [with_uids, json!({})] {
            let origin = Origin {
                parent: Some(Parent::of(&token(status))),
                ..Origin::default()
            };
            let reached = |names: &[&str]| {
                let mut clusters = vec![
                    cluster("c-a", "2025-12-31T00:00:00Z"),
                    cluster("c-b", "2026-01-02T00:00:00Z"),
                    cluster("local", "2026-01-02T00:00:00Z"),
                ];
                clusters.retain(|it| names == ["*"] || names.contains(&it.id.as_str()));
                let spec = serde_json::from_value(json!({ "clusters": names })).unwrap();
                let bounded = bound(&origin, &spec, &mut clusters);
                let ids = clusters.into_iter().map(|cluster| cluster.id);
                bounded.map(|()| ids.collect::<Vec<_>>())
            };
            assert_eq!(reached(&["*"]).unwrap(), ["c-a", "local"]);
            assert_eq!(reached(&["c-a", "local"]).unwrap(), ["c-a", "local"]);
            let refused = reached(&["c-a", "c-b"]).unwrap_err();
            assert_eq!(
                (refused.code, refused.message.as_str()),
                (
                    403,
                    "kubeconfigs.ext.cattle.io is forbidden: the token of this request is for an earlier \
                     cluster c-b, which was deleted: log in instead"
                )
            );
        }
    }
}
