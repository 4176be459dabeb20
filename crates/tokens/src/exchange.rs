//! Exchange of a login for the credentials of a kubeconfig whose file holds none.
//!
//! A caller requests credentials by creating a token that names such a record. The response is a
//! token that is owned by the record, or a client certificate for the key in the request:
//!
//! ```text
//! caller's record -> covered cluster -> life within the record's -> token | certificate
//! ```
//!
//! A token ends with the record. A certificate cannot be revoked, which is why it lives for minutes
//! only.

mod certificate;

use std::sync::Arc;

use api::ext::token::TokenEndpoint;
use api::ext::{Kubeconfig, Token, token};
use api::labels;
use api::management::cluster::LOCAL;
use api::management::{Cluster, feature};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use machinery::meta::{GroupResource, Metadata, MetadataExt, ObjectKey, OwnerReference};
use machinery::status::Status;
use management::cluster_secret::ClusterSecrets;
use management::feature::Features;

use crate::validity::{Refusal, Validity};

pub(crate) use certificate::issue;

/// The dependencies of an exchange.
pub struct Exchange {
    /// The kubeconfig records.
    pub kubeconfigs: Registry<Kubeconfig>,
    /// The authorities that sign client certificates for clusters.
    pub signers: ClusterSecrets,
    /// Decides whether the user of a record is still valid.
    pub validity: Arc<Validity>,
    /// The features, of which one permits exchanges.
    pub features: Features,
    /// The addresses of clusters.
    pub endpoints: Arc<dyn Endpoints>,
}

/// The addresses of clusters in the files of records.
#[async_trait]
pub trait Endpoints: Send + Sync {
    /// Returns the addresses that the file of this record has for one of its clusters. Returns none
    /// for a cluster that does not exist.
    ///
    /// # Errors
    /// 503 if the store does not answer.
    async fn endpoints(
        &self,
        cx: &RequestContext,
        record: &Kubeconfig,
        cluster: &str,
    ) -> Result<Vec<TokenEndpoint>, Status>;
}

/// Minimum remaining life of a record. A record with less has expired, because tokens end at whole
/// seconds.
pub(crate) const MIN_LEFT: SignedDuration = SignedDuration::from_secs(1);

/// The way in which a record covers a cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cover {
    /// As the server itself, which every user may reach.
    DefaultEntry,
    /// As a cluster, which the caller must be allowed to get.
    Cluster,
}

impl Exchange {
    /// Returns whether kubeconfigs may currently be exchanged for credentials.
    pub(crate) fn is_enabled(&self) -> bool {
        self.features.enabled(feature::EXT_KUBECONFIGS)
    }

    /// Returns the record that a token request names, if it belongs to this user and credentials
    /// may be issued for it now.
    ///
    /// # Errors
    /// 404 for a record of another user and for one that does not exist; 400 and 403 if no
    /// credentials may be issued for it.
    pub(crate) async fn record(
        &self,
        name: &str,
        user: &str,
        now: Timestamp,
    ) -> Result<Kubeconfig, Status> {
        let resource = self.kubeconfigs.group_resource();
        let record = self
            .kubeconfigs
            .store()
            .get(ObjectKey::cluster(name))
            .await?;
        let record = record
            .filter(|record| record.status.user_name == user)
            .ok_or_else(|| Status::not_found(resource, name))?;
        let refused = |why: &str| Err(Status::forbidden(resource, name, why));
        if record.metadata().deletion_timestamp.is_some() {
            return refused("the kubeconfig is being deleted");
        }
        if !record.spec.is_exchanged() {
            return Err(Status::bad_request(format!(
                "the file of kubeconfig {name} contains its tokens: others can be requested only if spec.generateToken is false"
            )));
        }
        if record.spec.is_suspended() {
            return refused("the kubeconfig is suspended");
        }
        if left(&record, now) < MIN_LEFT {
            return refused("the kubeconfig has expired");
        }
        match self.validity.check_origin(&record, now) {
            Ok(()) => Ok(record),
            Err(Refusal::NoUser) => Err(Status::not_found(resource, name)),
            Err(Refusal::TooOld) => refused(
                "the kubeconfig was created before the time in the setting auth-token-not-before: create a new one",
            ),
            Err(_) => refused("the token that created the kubeconfig is no longer valid"),
        }
    }
}

/// Returns the way in which a record covers the cluster that a token is requested for.
///
/// # Errors
/// 400 if it does not cover the cluster.
pub(crate) fn cover(record: &Kubeconfig, cluster: &str) -> Result<Cover, Status> {
    let (name, status) = (name_of(record), &record.status);
    let is_named = || match record.spec.wants_all_clusters() {
        // A record that was created with a token does not cover clusters that were created later.
        true => status.parent_token.is_none() || status.cluster_uids.contains_key(cluster),
        false => record.spec.clusters.iter().any(|id| id == cluster),
    };
    match cluster {
        "" => Err(Status::bad_request(
            "spec.clusterName is required with spec.kubeconfigName",
        )),
        LOCAL if record.spec.includes_default_entry() => Ok(Cover::DefaultEntry),
        _ if is_named() => Ok(Cover::Cluster),
        _ => Err(Status::bad_request(format!(
            "kubeconfig {name} does not cover cluster {cluster}"
        ))),
    }
}

/// Checks that a cluster is the one that a record was created for, and not a later one of the same
/// name.
///
/// # Errors
/// 403 for a later cluster of the same name.
pub(crate) fn check_same(record: &Kubeconfig, cluster: &Cluster) -> Result<(), Status> {
    let uid = cluster.metadata.uid.clone().unwrap_or_default();
    match record.status.cluster_uids.get(cluster.id()) {
        Some(known) if *known != uid => Err(Status::forbidden(
            &GroupResource::from_static(api::ext::GROUP, Kubeconfig::PLURAL),
            name_of(record),
            &format!(
                "cluster {} was deleted and created again after this kubeconfig: create a new kubeconfig",
                cluster.id()
            ),
        )),
        _ => Ok(()),
    }
}

/// Returns the remaining life of a record. Zero or negative if it has expired.
pub(crate) fn left(record: &Kubeconfig, now: Timestamp) -> SignedDuration {
    let created = record.metadata().creation_timestamp.as_ref();
    let end = created.and_then(|created| {
        let life = SignedDuration::from_secs(record.spec.ttl);
        created.0.checked_add(life).ok()
    });
    end.map_or(SignedDuration::ZERO, |end| end.duration_since(now))
}

/// Makes a token depend on a record, and gives it the limits of the record: the token is valid only while the record exists, and is
/// garbage-collected with it.
pub(crate) fn bind(token: &mut Token, record: &Kubeconfig) {
    token::KIND_KUBECONFIG.clone_into(&mut token.spec.kind);
    token.spec.access.clone_from(&record.spec.access);
    let labels = token.metadata.labels.get_or_insert_default();
    let kind = token::KIND_KUBECONFIG.to_owned();
    labels.insert(labels::KUBECONFIG_ID.to_owned(), name_of(record).to_owned());
    labels.insert(labels::TOKEN_KIND.to_owned(), kind);
    token.metadata.owner_references = Some(vec![OwnerReference {
        api_version: api::ext::API_VERSION.to_owned(),
        kind: Kubeconfig::KIND.to_owned(),
        name: name_of(record).to_owned(),
        uid: record.metadata().uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    }]);
}

fn name_of(record: &Kubeconfig) -> &str {
    record.metadata().name()
}
