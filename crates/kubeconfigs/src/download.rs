//! Download of the file of one cluster: `GET /v1/spectroclusters/{id}/assets/kubeconfig` and
//! `…/adminkubeconfig`.
//!
//! A user who may `delete` a cluster is its administrator. The permissions are:
//!
//! | caller | kubeconfig | adminkubeconfig |
//! |---|---|---|
//! | may delete the cluster | yes | yes |
//! | may get it | if it has an OIDC provider | no |
//! | others | no | no |
//!
//! The kubeconfig uses the usual route of the cluster's users: through the gateway or to the direct
//! endpoint, with a login if the cluster has a provider, else with a token. The administrator's
//! file connects to the direct endpoint with a short-lived token that adds the caller to the
//! cluster's admin group.
//!
//! A file belongs to a record of the caller that is created like any other ([`Kubeconfigs`]). It
//! requires the right to create records, is listed, and ends with its record.

use api::ext::{Kubeconfig, KubeconfigSpec};
use api::management::Cluster;
use apiserver::creator::Creator;
use apiserver::private_document::{Attachment, PrivateDocument};
use apiserver::request_context::RequestContext;
use apiserver::resource::Resource;
use async_trait::async_trait;
use auth::identity::Part;
use auth::user::RESERVED_PREFIX;
use bytes::Bytes;
use machinery::status::Status;
use machinery::validation::dns1123_subdomain;
use management::cluster::may_get;
use tokens::origin::Origin;

use crate::file::FileCluster;
use crate::request::{ReadCluster, Resolved, group_resource};
use crate::strategy::{Kubeconfigs, Settled};
use crate::ttl;

/// Path prefix of all files.
pub const PREFIX: &str = "/v1/spectroclusters/";

/// Creates the files that are downloaded.
pub struct Downloads {
    kubeconfigs: Kubeconfigs,
    creator: Creator,
}

/// The files of a cluster that can be downloaded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asset {
    Kubeconfig,
    AdminKubeconfig,
}

/// A file that the caller may download.
struct Order {
    asset: Asset,
    cluster: Cluster,
    entry: FileCluster,
}

impl Downloads {
    /// Creates the downloads for this kind.
    ///
    /// # Panics
    /// The kind's schema is not structural, which is a mistake in its types and occurs at the first
    /// start.
    pub fn new(kubeconfigs: Kubeconfigs) -> Self {
        Self {
            creator: Creator::new(kubeconfigs.registry.description()),
            kubeconfigs,
        }
    }

    /// Returns the order for a file, if the caller may download it.
    async fn order(&self, cx: &RequestContext, id: &str, asset: Asset) -> Result<Order, Status> {
        let is_admin = self.kubeconfigs.grants.may_administer(cx, id).await?;
        if !is_admin && !cx.may(&may_get(id)).await? {
            let user = &cx.user.name;
            return Err(refused(&format!(
                "user {user} is not allowed to access cluster {id}"
            )));
        }
        let clusters = &self.kubeconfigs.clusters;
        let Some(ReadCluster { cluster, entry }) = clusters.find(id).await? else {
            let resource = clusters.clusters.group_resource();
            return Err(Status::not_found(resource, id));
        };
        allow(asset, is_admin, &cluster)?;
        Ok(Order {
            asset,
            cluster,
            entry,
        })
    }

    /// Returns the record of a file, as its user would create it.
    fn record(&self, order: &Order) -> Result<Kubeconfig, Status> {
        let id = order.cluster.id().to_owned();
        let (what, ttl, generate_token) = match order.asset {
            Asset::Kubeconfig => {
                let logs_in = order.cluster.oidc().is_some();
                ("Kubeconfig", 0, logs_in.then_some(false))
            }
            Asset::AdminKubeconfig => ("Admin kubeconfig", self.admin_ttl()?, Some(true)),
        };
        Ok(Kubeconfig {
            spec: KubeconfigSpec {
                description: format!("{what} of cluster {id}, downloaded"),
                clusters: vec![id],
                include_default_entry: Some(false),
                generate_token,
                ttl,
                ..KubeconfigSpec::default()
            },
            ..Kubeconfig::default()
        })
    }

    /// Returns the lifetime of an administrator's file in seconds: short, and never longer than
    /// that of other files.
    fn admin_ttl(&self) -> Result<i64, Status> {
        let settings = &self.kubeconfigs.settings;
        let limit = settings.admin_token_ttl()?;
        let usual = ttl::settle(0, &Origin::default(), self.kubeconfigs.now(), settings)?;
        Ok(limit.map_or(usual, |limit| usual.min(limit.as_secs())))
    }
}

#[async_trait]
impl PrivateDocument for Downloads {
    async fn make(&self, cx: &RequestContext, path: &str) -> Result<Option<Attachment>, Status> {
        let Some((id, asset)) = parse(path).filter(|_| self.kubeconfigs.enabled()) else {
            return Ok(None);
        };
        let order = self.order(cx, id, asset).await?;
        let record = self.record(&order)?;
        let kubeconfigs = self.kubeconfigs.settling(settle(order)?);
        let created = self.creator.create(&kubeconfigs, cx, record).await?;
        Ok(Some(Attachment {
            media_type: "text/plain; charset=utf-8",
            file_name: asset.file_name(id),
            content: Bytes::from(created.status.value),
        }))
    }
}

impl Asset {
    fn file_name(self, id: &str) -> String {
        match self {
            Self::Kubeconfig => format!("{id}.kubeconfig"),
            Self::AdminKubeconfig => format!("{id}-admin.kubeconfig"),
        }
    }
}

/// Parses the cluster and the file from a raw path. Rejects an id that is not a DNS-1123 subdomain,
/// so that it cannot be read in another way.
fn parse(path: &str) -> Option<(&str, Asset)> {
    let (id, asset) = path.strip_prefix(PREFIX)?.split_once("/assets/")?;
    let asset = match asset {
        "kubeconfig" => Asset::Kubeconfig,
        "adminkubeconfig" => Asset::AdminKubeconfig,
        _ => return None,
    };
    dns1123_subdomain(id).is_empty().then_some((id, asset))
}

/// Implements the permission table, for callers who may get or delete the cluster.
fn allow(asset: Asset, is_admin: bool, cluster: &Cluster) -> Result<(), Status> {
    let id = cluster.id();
    if cluster.forbids_downloads() {
        return Err(refused(&format!(
            "downloads are forbidden for cluster {id}"
        )));
    }
    match asset {
        _ if is_admin => Ok(()),
        Asset::AdminKubeconfig => Err(refused(&format!(
            "the admin kubeconfig of cluster {id} requires permission to delete the cluster"
        ))),
        Asset::Kubeconfig if cluster.oidc().is_some() => Ok(()),
        Asset::Kubeconfig => Err(refused(&format!(
            "cluster {id} has no OIDC provider: its kubeconfig requires permission to delete the cluster"
        ))),
    }
}

fn refused(why: &str) -> Status {
    Status::forbidden(&group_resource(), "", why)
}

/// Resolves the endpoint of a file and the groups of its token.
///
/// # Errors
/// 400 if the cluster has no such endpoint; 500 if its admin group is one that no entry point
/// accepts.
fn settle(order: Order) -> Result<Settled, Status> {
    let Order {
        asset,
        cluster,
        mut entry,
    } = order;
    let mut groups = Vec::new();
    if asset == Asset::AdminKubeconfig {
        let group = cluster.admin_group();
        let id = cluster.id();
        if group.starts_with(RESERVED_PREFIX) {
            return Err(Status::internal(format!(
                "the admin group of cluster {id} is reserved by Kubernetes"
            )));
        }
        Part::Group.check(group).map_err(|error| {
            Status::internal(format!("the admin group of cluster {id}: {error}"))
        })?;
        groups.push(group.to_owned());
    }
    if asset == Asset::Kubeconfig && cluster.is_proxied() {
        entry.direct = None;
    } else {
        let direct = entry.direct.as_ref();
        if !direct.is_some_and(|endpoint| endpoint.is_there()) {
            return Err(Status::bad_request(format!(
                "cluster {} has no authorized cluster endpoint (spec.localClusterAuthEndpoint) for the file to use",
                cluster.id()
            )));
        }
        entry.direct_only = true;
    }
    Ok(Settled {
        resolved: Resolved {
            clusters: vec![entry],
            skipped: Vec::new(),
        },
        groups,
    })
}

#[cfg(test)]
mod tests;
