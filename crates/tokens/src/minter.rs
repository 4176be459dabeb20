//! Minting: signed tokens and the record that makes them valid.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::ext::{Access, Token, TokenPrincipal, TokenSpec, token};
use api::labels;
use apiserver::registry::{Registry, WriteError};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use machinery::meta::{Metadata, ObjectKey, ObjectMeta, Time};
use machinery::status::Status;
use signing::jwt::{self, Claims, audiences, recorded_audiences};
use signing::key_store::KeyStore;
use signing::secret::Bearer;
use storage::Revision;

use crate::cluster_groups::ClusterGroups;
use crate::origin::Origin;
use crate::token_record::{set_expiry, unique_name};

/// Mints tokens.
pub struct Minter {
    keys: Arc<KeyStore>,
    issuer: String,
    tokens: Registry<Token>,
    groups: ClusterGroups,
}

/// The specification of a token to mint.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// The name of the user that the token authenticates.
    pub user: String,
    /// The identity that the request was made with.
    pub origin: Origin,
    /// The clusters that the token gives access to.
    pub clusters: Vec<String>,
    /// The uids of those clusters, by name. The cluster `local` needs none.
    pub cluster_uids: BTreeMap<String, String>,
    /// True if each cluster gets a bearer token of its own, which gives access to that cluster
    /// alone.
    pub separate_bearers: bool,
    /// The groups that the token adds the user to on those clusters.
    pub groups: Vec<String>,
    /// The limits of what the token may do.
    pub access: Option<Access>,
    /// True if only this server may accept the token.
    pub only_here: bool,
    /// The kubeconfig that the token belongs to.
    pub kubeconfig: String,
    /// A description of the purpose, for humans.
    pub description: String,
    /// The lifetime, in seconds.
    pub ttl_secs: i64,
}

/// The record of a token and its signed bearer tokens.
#[derive(Debug)]
pub struct Minted {
    /// The record.
    pub record: Token,
    /// The bearer tokens of the record: one for each cluster of the order, in the same order, or
    /// one for all clusters.
    pub bearers: Vec<Bearer>,
}

impl Minter {
    /// Creates a minter that signs with these keys as this issuer.
    pub fn new(
        keys: Arc<KeyStore>,
        issuer: String,
        tokens: Registry<Token>,
        groups: ClusterGroups,
    ) -> Self {
        Self {
            keys,
            issuer,
            tokens,
            groups,
        }
    }

    /// Returns what determines the groups in credentials.
    pub fn groups(&self) -> &ClusterGroups {
        &self.groups
    }

    /// Returns the `iss` of all tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Mints a token. It is valid once its record (see [`Minter::store`]) and the kubeconfig that
    /// owns it are stored.
    ///
    /// # Errors
    /// 503 if the keys cannot be extended; 500 if there is no key to sign with; 403 if a token
    /// would contain too many groups.
    pub async fn mint(&self, order: &Order, now: Timestamp) -> Result<Minted, Status> {
        self.cover(order.ttl_secs, now).await?;
        let mut record = record(order, now);
        set_expiry(&mut record);
        let bearers = match order.separate_bearers {
            true => order
                .clusters
                .iter()
                .map(|cluster| self.sign_for(&record, &[cluster], now))
                .collect::<Result<_, _>>()?,
            false => vec![self.sign(&record, now)?],
        };
        Ok(Minted { record, bearers })
    }

    /// Stores the records of tokens, all or none, and returns the highest of their resource
    /// versions. The cache may not have reached that version yet. Writes that are handed to the
    /// store after the first poll of this future come after the records, if the store keeps an
    /// order.
    ///
    /// # Errors
    /// 409 if a name is taken; 503 if the store does not answer.
    pub async fn store(&self, records: Vec<Token>) -> Result<Revision, Status> {
        let stores = records
            .into_iter()
            .map(|record| self.tokens.store().insert_ahead(record));
        let mut stored = Vec::new();
        let mut failure = None;
        for result in join_all(stores).await {
            match result {
                Ok(record) => stored.push(record),
                Err(status) => failure = Some(status),
            }
        }
        let Some(failure) = failure else {
            let versions = stored.iter().map(|(_, version)| *version);
            return Ok(versions.max().unwrap_or_default());
        };
        for (record, _) in &stored {
            if let Err(WriteError::Status(error)) = self.tokens.store().remove_as_read(record).await
            {
                tracing::warn!(%error, "an unusable token could not be deleted and is left to the sweeper");
            }
        }
        Err(failure)
    }

    /// Ensures that the keys outlive a token of this lifetime, in seconds.
    ///
    /// # Errors
    /// 503 if the keys cannot be written.
    pub async fn cover(&self, ttl_secs: i64, now: Timestamp) -> Result<(), Status> {
        let covered = self.keys.cover(ttl_secs.unsigned_abs(), now).await;
        covered.map_err(|error| {
            tracing::error!(%error, "the lifetime of the signing keys cannot be extended");
            Status::service_unavailable(
                "the lifetime of the signing keys cannot be extended",
                Some(1),
            )
        })
    }

    /// Signs the bearer token of a record, for all of its clusters.
    ///
    /// # Errors
    /// 500 if there is no key to sign with; 403 if the token would contain too many groups.
    pub fn sign(&self, record: &Token, now: Timestamp) -> Result<Bearer, Status> {
        let spec = &record.spec;
        let single = Some(&spec.cluster_name).filter(|name| !name.is_empty());
        let named: Vec<_> = spec.cluster_names.iter().chain(single).collect();
        self.sign_for(record, &named, now)
    }

    /// Checks that the bearer token of a record can contain its groups, before the record is stored.
    ///
    /// # Errors
    /// 403 if it cannot.
    pub(crate) fn check_groups(&self, record: &Token, now: Timestamp) -> Result<(), Status> {
        let cluster = &record.spec.cluster_name;
        let checked = self.groups.in_token(cluster, record, now);
        checked.map(drop)
    }

    /// Signs the bearer token of a record for some of its clusters. Revoking the record revokes all
    /// of its bearer tokens.
    fn sign_for(
        &self,
        record: &Token,
        clusters: &[&String],
        now: Timestamp,
    ) -> Result<Bearer, Status> {
        let mut groups = record.spec.groups.clone();
        if let [cluster] = clusters {
            groups.extend(self.groups.in_token(cluster, record, now)?);
        }
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: record.spec.user_id.clone(),
            aud: match record.status.only_here {
                // Clusters that verify tokens themselves would not enforce the limits.
                true => recorded_audiences(&self.issuer, clusters),
                false => audiences(&self.issuer, clusters),
            },
            iat: now.as_second(),
            nbf: now.as_second(),
            exp: record.expires_at().unwrap_or(now).as_second(),
            jti: record.metadata().name.clone().unwrap_or_default(),
            groups,
        };
        jwt::mint(&self.keys.ring(), &claims, now).map_err(|error| {
            tracing::error!(%error, "a token cannot be signed");
            Status::internal("a token cannot be signed")
        })
    }

    /// Removes a record, which revokes its tokens. Succeeds if the record is already gone.
    ///
    /// # Errors
    /// 503 if the store does not answer.
    pub async fn revoke(&self, name: &str) -> Result<(), Status> {
        loop {
            let Some(token) = self.tokens.store().get(ObjectKey::cluster(name)).await? else {
                return Ok(());
            };
            match self.tokens.store().remove_as_read(&token).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Conflict) => {}
                Err(WriteError::Status(status)) => return Err(status),
            }
        }
    }
}

fn record(order: &Order, now: Timestamp) -> Token {
    let mut labels = BTreeMap::new();
    if !order.kubeconfig.is_empty() {
        labels.insert(labels::KUBECONFIG_ID.to_owned(), order.kubeconfig.clone());
        labels.insert(
            labels::TOKEN_KIND.to_owned(),
            token::KIND_KUBECONFIG.to_owned(),
        );
    }
    let mut token = Token {
        metadata: ObjectMeta {
            name: Some(unique_name()),
            generate_name: Some(token::NAME_PREFIX.to_owned()),
            uid: Some(uuid::Uuid::new_v4().to_string()),
            creation_timestamp: Some(Time(now)),
            generation: Some(1),
            labels: Some(labels).filter(|labels| !labels.is_empty()),
            ..ObjectMeta::default()
        },
        spec: TokenSpec {
            user_id: order.user.clone(),
            user_principal: TokenPrincipal::of_user(&order.user),
            kind: token::KIND_KUBECONFIG.to_owned(),
            description: order.description.clone(),
            ttl: SignedDuration::from_secs(order.ttl_secs)
                .as_millis()
                .try_into()
                .unwrap_or(i64::MAX),
            enabled: Some(true),
            cluster_names: order.clusters.clone(),
            groups: order.groups.clone(),
            access: order.access.clone(),
            kubeconfig_name: order.kubeconfig.clone(),
            ..TokenSpec::default()
        },
        ..Token::default()
    };
    order.origin.describe(&mut token.status);
    token.status.cluster_uids.clone_from(&order.cluster_uids);
    token.status.only_here = order.only_here;
    token
}
