//! Creation of a kubeconfig: checks, tokens, file, record.
//!
//! The record is written once and complete, together with its tokens. A token is valid only while
//! both are stored, so a failure at any step leaves no usable token, and no client has received a
//! file. After a failure, the objects that were already written are removed at once, or else by the
//! sweeper.

use std::collections::BTreeMap;

use api::Condition;
use api::ext::{Kubeconfig, KubeconfigSpec, Token, kubeconfig};
use api::management::cluster::LOCAL;
use api::management::setting;
use apiserver::registry::WriteError;
use apiserver::request_context::RequestContext;
use futures_util::future::{join, join_all};
use machinery::meta::{Metadata, OwnerReference, Time};
use machinery::status::Status;
use management::ca_bundle::CaBundle;
use management::record_size::json_size;
use management::settings::InvalidSetting;
use tokens::minter::{Minted, Order};
use tokens::origin::Origin;
use tokens::quota::Demand;

use crate::file::{
    self, Credentials, ExecCredentials, ExecVersion, FileCluster, FileSpec, KubeconfigFile, Record,
    Server, ServerHost, Tokens,
};
use crate::request::{Resolved, Skipped, check_clusters, check_endpoint, name_of};
use crate::resource::{Kubeconfigs, group_resource};
use crate::ttl;

/// Maximum number of clusters that a condition names.
const MAX_SKIPPED_SHOWN: usize = 20;

/// The description of the tokens of kubeconfigs.
const TOKEN_DESCRIPTION: &str = "Kubeconfig token";

/// The properties of a file that are resolved before its record is created.
#[derive(Clone)]
pub(crate) struct Settled {
    /// The clusters of the file.
    pub(crate) resolved: Resolved,
    /// The groups that its tokens add the user to.
    pub(crate) groups: Vec<String>,
}

/// The result of resolving a request.
struct Plan {
    host: ServerHost,
    ca_certs: CaBundle,
    clusters: Vec<FileCluster>,
    skipped: Vec<Skipped>,
    groups: Vec<String>,
    origin: Origin,
    /// True if the file holds tokens.
    generate: bool,
    /// True if each cluster of the file gets a bearer token of its own.
    separate_bearers: bool,
    exec: ExecCredentials,
}

/// The tokens of a new kubeconfig.
#[derive(Default)]
struct MintedTokens {
    records: Vec<Token>,
    tokens: Tokens,
}

/// A token record that a file needs.
struct Wanted {
    order: Order,
    /// True if the token is for the direct endpoint of its single cluster.
    is_direct: bool,
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
        let demand = demand(&plan, &record);
        // The reservation is held until the cache shows the record, or the create has failed.
        let _reserved = self.quota.reserve(cx, demand, dry_run).await?;
        let minted = match plan.generate && !dry_run {
            true => self.mint(&plan, &record).await?,
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
            true => self.registry.insert(record, true).await?,
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
        let origin = self.origins.of(cx, &group_resource()).await?;
        let left = origin.max_ttl_millis(self.now());
        record.spec.ttl = ttl::settle(record.spec.ttl, left, &self.settings)?;
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
        if record.spec.is_managed() {
            self.go_to_managed(&mut clusters)?;
        }
        let generate = self.settle_generate_token(&mut record.spec)?;
        let ca_certs = self.settings.ca_certs().map_err(of_setting)?;
        let shared_above = self.settings.shared_token_above();
        let shared_above = shared_above.map_err(of_setting)?;
        Ok(Plan {
            host,
            ca_certs,
            separate_bearers: clusters.len() <= shared_above,
            clusters,
            skipped,
            groups,
            origin,
            generate,
            exec: ExecCredentials {
                version: self.exec_version(),
                issuer: self.minter.issuer().to_owned(),
            },
        })
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
    /// tokens, the choice is written into the record, because credentials can be requested for it
    /// whatever the setting is later.
    fn settle_generate_token(&self, spec: &mut KubeconfigSpec) -> Result<bool, Status> {
        let generate = match spec.generate_token {
            Some(generate) => generate,
            None => self.settings.generate_token().map_err(of_setting)?,
        };
        if !generate {
            spec.generate_token = Some(false);
        }
        Ok(generate)
    }

    fn check_user(&self, name: &str) -> Result<(), Status> {
        let refused = |text: String| Err(Status::forbidden(&group_resource(), "", &text));
        match self.users.find(name) {
            None => refused(format!("user {name} is not a Rancher user")),
            Some(user) if !user.enabled => refused(format!("user {name} is disabled")),
            Some(_) => Ok(()),
        }
    }

    /// Returns the host at which users reach this server: the configured one, else that of this
    /// request.
    pub(crate) fn server_host(&self, cx: &RequestContext) -> Result<ServerHost, Status> {
        let configured = self.settings.server_host().map_err(of_setting)?;
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

    /// Mints one token record for all clusters that are reached through this server, and one for
    /// each cluster with a direct endpoint.
    async fn mint(&self, plan: &Plan, record: &Kubeconfig) -> Result<MintedTokens, Status> {
        let now = self.now();
        let default_entry = record.spec.includes_default_entry();
        let mut all = MintedTokens::default();
        for Wanted { order, is_direct } in wanted(plan, record) {
            let minted = self.minter.mint(&order, now).await.map_err(of_tokens)?;
            all.records.push(minted.record.clone());
            match is_direct {
                true => all
                    .tokens
                    .by_cluster
                    .extend(order.clusters.into_iter().zip(minted.bearers)),
                false => assign_proxied(&mut all.tokens, minted, plan, default_entry),
            }
        }
        Ok(all)
    }

    /// Stores the tokens and the record, in this order. A process that sees a record before the
    /// tokens that own it, such as the garbage collector of a host, would consider it orphaned. If
    /// the store keeps the order itself, all are handed over at once, so that one commit can take
    /// them all.
    async fn store(&self, record: Kubeconfig, tokens: Vec<Token>) -> Result<Kubeconfig, Status> {
        let names = record.status.tokens.clone();
        let name = name_of(&record).to_owned();
        let tokens = self.minter.store(tokens);
        let record = self.registry.insert(record, false);
        match in_order(self.registry.is_ordered(), tokens, record).await {
            Ok((version, Ok(record))) => {
                // This replica must know the tokens in the file before the client receives it.
                self.tokens.await_shown(version).await;
                Ok(record)
            }
            Ok((_, Err(status))) => {
                self.revoke(&names).await;
                Err(status)
            }
            Err((status, record)) => {
                if let Some(record) = record {
                    self.withdraw(record).await;
                }
                Err(of_store(&name, status))
            }
        }
    }

    /// Removes a record that lacks tokens and was not returned to any client.
    async fn withdraw(&self, record: Kubeconfig) {
        if let Err(WriteError::Status(error)) = self.registry.remove_as_read(&record).await {
            let name = name_of(&record);
            tracing::warn!(name, %error, "a kubeconfig without its tokens could not be deleted");
        }
    }

    /// Removes tokens. Tokens that cannot be removed now were never valid, and are swept later.
    pub(crate) async fn revoke(&self, names: &[String]) {
        let revoked = names.iter().map(|name| async move {
            if let Err(error) = self.minter.revoke(name).await {
                tracing::warn!(token = name, %error, "a token could not be deleted and is left to the sweeper");
            }
        });
        join_all(revoked).await;
    }
}

/// Performs two writes so that no reader sees the second without the first. A store that keeps the
/// order gets both at once; other stores get the second after the first has succeeded.
///
/// # Errors
/// Returns the error of the first write, with the result of the second if that succeeded.
async fn in_order<A, B>(
    is_ordered: bool,
    first: impl Future<Output = Result<A, Status>>,
    second: impl Future<Output = Result<B, Status>>,
) -> Result<(A, Result<B, Status>), (Status, Option<B>)> {
    if !is_ordered {
        let first = first.await.map_err(|status| (status, None))?;
        return Ok((first, second.await));
    }
    match join(first, second).await {
        (Ok(first), second) => Ok((first, second)),
        (Err(status), second) => Err((status, second.ok())),
    }
}

/// Returns the response for a failure to create the tokens. A conflict stays a conflict, so that
/// the code that generates names tries another one.
fn of_tokens(status: Status) -> Status {
    match status.http_code() {
        503 | 409 => status,
        _ => Status::internal(format!(
            "error creating kubeconfig token: {}",
            status.message
        )),
    }
}

/// Returns the response if the store does not accept the tokens. It names the record, which the
/// client requested.
fn of_store(record: &str, status: Status) -> Status {
    let denied = "backing store denied the request";
    // Skip the name of the token.
    let why = status.message.split_once(": ");
    let why = why.map_or_else(String::new, |(_, why)| format!(": {why}"));
    match status.http_code() {
        403 => Status::forbidden(&group_resource(), record, denied),
        503 => Status {
            message: format!("backing store unavailable for kubeconfig {record}{why}"),
            ..status
        },
        _ => of_tokens(status),
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

/// Returns the part of the caller's quota that a record needs.
fn demand(plan: &Plan, record: &Kubeconfig) -> Demand {
    let tokens = match plan.generate {
        true => wanted(plan, record).len(),
        false => 0,
    };
    Demand {
        kubeconfigs: 1,
        tokens,
        bytes: json_size(record),
    }
}

/// Returns the token records that a file needs. All clusters that are reached through this server
/// share one record.
fn wanted(plan: &Plan, record: &Kubeconfig) -> Vec<Wanted> {
    let default_entry = record.spec.includes_default_entry();
    let order = |clusters: Vec<String>, uids: BTreeMap<String, String>| Order {
        user: record.status.user_name.clone(),
        origin: plan.origin.clone(),
        separate_bearers: plan.separate_bearers,
        clusters,
        cluster_uids: uids,
        groups: plan.groups.clone(),
        kubeconfig: name_of(record).to_owned(),
        description: TOKEN_DESCRIPTION.to_owned(),
        ttl_secs: record.spec.ttl,
    };
    let (direct, proxied): (Vec<_>, Vec<_>) = plan
        .clusters
        .iter()
        .partition(|cluster| cluster.direct.is_some());
    let mut wanted = Vec::new();
    if default_entry || !proxied.is_empty() {
        let mut clusters: Vec<String> = proxied.iter().map(|it| it.id.clone()).collect();
        if default_entry && !clusters.iter().any(|cluster| cluster == LOCAL) {
            clusters.insert(0, LOCAL.to_owned());
        }
        wanted.push(Wanted {
            order: order(clusters, uids_of(proxied)),
            is_direct: false,
        });
    }
    wanted.extend(direct.into_iter().map(|cluster| Wanted {
        order: order(vec![cluster.id.clone()], uids_of([cluster])),
        is_direct: true,
    }));
    wanted
}

/// Returns the uids of clusters, by name.
fn uids_of<'c>(clusters: impl IntoIterator<Item = &'c FileCluster>) -> BTreeMap<String, String> {
    let clusters = clusters.into_iter();
    clusters
        .map(|cluster| (cluster.id.clone(), cluster.uid.clone()))
        .collect()
}

/// Writes the origin of a request into its record.
fn describe_origin(record: &mut Kubeconfig, plan: &Plan) {
    plan.origin.describe_kubeconfig(&mut record.status);
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

/// Returns the response for a setting that cannot be used.
pub(crate) fn of_setting(error: InvalidSetting) -> Status {
    Status::internal(error.to_string())
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

/// Assigns the bearer tokens of the record for all clusters that are reached through this server.
fn assign_proxied(tokens: &mut Tokens, minted: Minted, plan: &Plan, default_entry: bool) {
    let clusters = minted.record.spec.cluster_names;
    let mut bearers = minted.bearers.into_iter();
    if !plan.separate_bearers {
        tokens.shared = bearers.next();
        return;
    }
    for (cluster, bearer) in clusters.into_iter().zip(bearers) {
        if default_entry && cluster == LOCAL {
            tokens.shared = Some(bearer);
        } else {
            tokens.by_cluster.insert(cluster, bearer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;
    use tokens::origin::Parent;

    use super::*;

    /// Performs two writes of which the first takes some time. Returns the order of events and the
    /// results.
    async fn write(is_ordered: bool, fails: bool) -> (Vec<&'static str>, [Option<bool>; 2]) {
        let log = RefCell::new(Vec::new());
        let first = async {
            log.borrow_mut().push("first begins");
            tokio::task::yield_now().await;
            log.borrow_mut().push("first ends");
            match fails {
                true => Err(Status::internal("")),
                false => Ok(()),
            }
        };
        let second = async {
            log.borrow_mut().push("second");
            Ok(())
        };
        let done = match in_order(is_ordered, first, second).await {
            Ok(((), second)) => [Some(true), Some(second.is_ok())],
            Err((_, second)) => [Some(false), second.map(|()| true)],
        };
        (log.into_inner(), done)
    }

    #[tokio::test]
    async fn a_record_follows_its_tokens() {
        let [begins, ends, second] = ["first begins", "first ends", "second"];
        let (yes, no) = (Some(true), Some(false));
        for ((is_ordered, fails), order, done) in [
            ((true, false), vec![begins, second, ends], [yes, yes]),
            ((true, true), vec![begins, second, ends], [no, yes]),
            ((false, false), vec![begins, ends, second], [yes, yes]),
            ((false, true), vec![begins, ends], [no, None]),
        ] {
            assert_eq!(write(is_ordered, fails).await, (order, done));
        }
    }

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

    #[test]
    fn trouble_with_the_store_is_told_of_the_record() {
        let denied = Status::forbidden(&group_resource(), "token-1", "x");
        let gone = Status::service_unavailable("of token-1", Some(1));
        let full = Status::service_unavailable("of token-1: disk full", Some(1));
        for (status, code, message) in [
            (
                denied,
                403,
                "kubeconfigs.ext.cattle.io \"a\" is forbidden: backing store denied the request",
            ),
            (gone, 503, "backing store unavailable for kubeconfig a"),
            (
                full,
                503,
                "backing store unavailable for kubeconfig a: disk full",
            ),
            (
                Status::bad_request("x"),
                500,
                "Internal error occurred: error creating kubeconfig token: x",
            ),
        ] {
            let told = of_store("a", status);
            assert_eq!((told.http_code(), told.message.as_str()), (code, message));
        }
    }
}
