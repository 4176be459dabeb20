//! The tokens of a new kubeconfig.

use std::collections::BTreeMap;

use api::ext::{Kubeconfig, Token};
use api::management::cluster::LOCAL;
use machinery::status::Status;
use tokens::minter::{Minted, Order};

use super::{Plan, storing};
use crate::file::{FileCluster, Tokens};
use crate::request::name_of;
use crate::strategy::Kubeconfigs;

/// The description of the tokens of kubeconfigs.
const TOKEN_DESCRIPTION: &str = "Kubeconfig token";

/// The tokens of a new kubeconfig.
#[derive(Default)]
pub(super) struct MintedTokens {
    pub(super) records: Vec<Token>,
    pub(super) tokens: Tokens,
}

/// A token record that a file needs.
pub(super) struct Wanted {
    order: Order,
    /// True if the token is for the direct endpoint of its single cluster.
    is_direct: bool,
}

impl Kubeconfigs {
    /// Mints one token record for all clusters that are reached through this server, and one for
    /// each cluster with a direct endpoint.
    pub(super) async fn mint(
        &self,
        plan: &Plan,
        record: &Kubeconfig,
        wanted: Vec<Wanted>,
    ) -> Result<MintedTokens, Status> {
        let now = self.now();
        let default_entry = record.spec.includes_default_entry();
        let mut all = MintedTokens::default();
        for Wanted { order, is_direct } in wanted {
            let minted = self
                .minter
                .mint(&order, now)
                .await
                .map_err(storing::of_tokens)?;
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
}

/// Returns the token records that a file needs. All clusters that are reached through this server
/// share one record.
pub(super) fn wanted(plan: &Plan, record: &Kubeconfig) -> Vec<Wanted> {
    let default_entry = record.spec.includes_default_entry();
    let order = |clusters: Vec<String>, uids: BTreeMap<String, String>| Order {
        user: record.status.user_name.clone(),
        origin: plan.origin.clone(),
        separate_bearers: plan.separate_bearers,
        clusters,
        cluster_uids: uids,
        groups: plan.groups.clone(),
        access: record.spec.access.clone(),
        only_here: plan.only_here,
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
pub(super) fn uids_of<'c>(
    clusters: impl IntoIterator<Item = &'c FileCluster>,
) -> BTreeMap<String, String> {
    let clusters = clusters.into_iter();
    clusters
        .map(|cluster| (cluster.id.clone(), cluster.uid.clone()))
        .collect()
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
