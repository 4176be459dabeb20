//! Downloading the file of one cluster: `GET /v1/spectroclusters/{id}/assets/kubeconfig` and
//! `…/adminkubeconfig`.
//!
//! Who may `delete` a cluster is its administrator. Who gets which file:
//!
//! | caller | kubeconfig | adminkubeconfig |
//! |---|---|---|
//! | may delete the cluster | yes | yes |
//! | may get it | where it has an OIDC provider | no |
//! | others | no | no |
//!
//! The kubeconfig goes the way that the cluster's users go: through the gateway or to the direct
//! endpoint, by logging in where the cluster has a provider, else with a token. The administrator's
//! file goes to the direct endpoint with a token that lives shortly and puts the caller into the
//! cluster's admin group.
//!
//! A file is that of a record of the caller, made as any other ([`Kubeconfigs`]): it needs the right to
//! create records, is listed, and ends with its record.

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
use management::cluster::{may_delete, may_get};

use crate::create::Settled;
use crate::file::FileCluster;
use crate::request::{ReadCluster, Resolved};
use crate::resource::{Kubeconfigs, group_resource};
use crate::ttl;

/// What the addresses of all files begin with.
pub const PREFIX: &str = "/v1/spectroclusters/";

/// Makes the files that are downloaded.
pub struct Downloads {
    kubeconfigs: Kubeconfigs,
    creator: Creator,
}

/// What there is to download of a cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asset {
    Kubeconfig,
    AdminKubeconfig,
}

/// A file that somebody may have.
struct Order {
    asset: Asset,
    cluster: Cluster,
    entry: FileCluster,
}

impl Downloads {
    /// Files of records like these.
    ///
    /// # Panics
    /// Where the kind's schema is not structural: a mistake in its types, met at the first start.
    pub fn new(kubeconfigs: Kubeconfigs) -> Self {
        Self {
            creator: Creator::new(kubeconfigs.registry.description()),
            kubeconfigs,
        }
    }

    /// The file, if the caller may have it.
    async fn order(
        &self,
        cx: &RequestContext,
        (id, asset): (&str, Asset),
    ) -> Result<Order, Status> {
        let is_admin = cx.may(&may_delete(id)).await?;
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

    /// The record of a file, as its user would ask for it.
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

    /// The life of an administrator's file in seconds: short, and never longer than that of others.
    fn admin_ttl(&self) -> Result<i64, Status> {
        let settings = &self.kubeconfigs.settings;
        let limit = settings.admin_token_ttl();
        let limit = limit.map_err(|error| Status::internal(error.to_string()))?;
        let limit = limit.and_then(|limit| i64::try_from(limit.as_secs()).ok());
        let usual = ttl::settle(0, None, settings)?;
        Ok(usual.min(limit.unwrap_or(usual)))
    }
}

#[async_trait]
impl PrivateDocument for Downloads {
    async fn make(&self, cx: &RequestContext, path: &str) -> Result<Option<Attachment>, Status> {
        let Some((id, asset)) = parse(path).filter(|_| self.kubeconfigs.enabled()) else {
            return Ok(None);
        };
        let order = self.order(cx, (id, asset)).await?;
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

/// The cluster and the file that a raw path names. An id that could be read as anything else is none.
fn parse(path: &str) -> Option<(&str, Asset)> {
    let (id, asset) = path.strip_prefix(PREFIX)?.split_once("/assets/")?;
    let asset = match asset {
        "kubeconfig" => Asset::Kubeconfig,
        "adminkubeconfig" => Asset::AdminKubeconfig,
        _ => return None,
    };
    dns1123_subdomain(id).is_empty().then_some((id, asset))
}

/// The permission table, for those who may get the cluster or are its administrators.
fn allow(asset: Asset, is_admin: bool, cluster: &Cluster) -> Result<(), Status> {
    let id = cluster.id();
    if cluster.forbids_downloads() {
        return Err(refused(&format!(
            "files of cluster {id} are not to be downloaded"
        )));
    }
    match asset {
        _ if is_admin => Ok(()),
        Asset::AdminKubeconfig => Err(refused(&format!(
            "the admin kubeconfig of cluster {id} is for those who may delete the cluster"
        ))),
        Asset::Kubeconfig if cluster.oidc().is_some() => Ok(()),
        Asset::Kubeconfig => Err(refused(&format!(
            "cluster {id} has no OIDC provider: its kubeconfig is for those who may delete the cluster"
        ))),
    }
}

fn refused(why: &str) -> Status {
    Status::forbidden(&group_resource(), "", why)
}

/// The way that a file goes, and as whom.
///
/// # Errors
/// 400 where the cluster has no such way, 500 where its admin group is one that no door lets in.
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
                "the admin group of cluster {id} is one that Kubernetes reserves"
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
                "cluster {} has no authorized cluster endpoint (spec.localClusterAuthEndpoint) for the file to lead to",
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
