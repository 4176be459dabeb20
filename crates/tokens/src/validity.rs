//! The validity of tokens: the one check that every entry point uses.
//!
//! A token is valid if and only if
//!
//! * its signature, issuer and times are valid, and it was minted for the cluster that it is used
//!   on,
//! * its own record exists, is enabled and agrees with its claims,
//! * the kubeconfig that owns it exists, names it or has a file without tokens, is not suspended
//!   and is not being deleted,
//! * its user exists, is enabled and has the uid that it was minted for, and so has the cluster,
//! * the tokens that it or its kubeconfig was created with are all valid, too,
//! * its user may still `get` the cluster; for a token of an administrator's file, `delete` it or
//!   have such files by a grant,
//! * it was not issued before the time in the setting `auth-token-not-before`,
//! * and, if other replicas write too, the store has recently confirmed that the records in memory
//!   are up to date.
//!
//! A token carries the groups of the login that created it which the user still has ([`Logins`]),
//! and in a cluster those that grants give the user there ([`GrantLimits`]).
//!
//! Everything except the user's right is read from memory. No check waits for the store, and a
//! delete takes effect as soon as the watch cache of the process has it, which is before the client
//! that deleted gets its response. Decoded facts are kept with the very state of the record that
//! they come from, so they cannot be stale. The authorizer decides on the right. An authorizer that
//! asks a host caches decisions for ten seconds at most. If it fails, the token is rejected.
//!
//! There is one case that reads from the store: a token that was signed moments ago and whose
//! records are not in memory yet. Another replica may have minted it, and its user may be faster
//! than the watch. Only bearers of signed tokens can cause such reads, and only while those tokens
//! are young.

mod facts;
mod not_before;
mod valid_token;

use std::sync::Arc;
use std::time::Duration;

use ::management::settings::Settings;
use api::ext::{Kubeconfig, Token, TokenReference};
use api::management::cluster::LOCAL;
use api::management::{self, Cluster};
use apiserver::registry::Registry;
use auth::{Attributes, Authorizer, Ceiling, Ceilings};
use futures_util::future::{join, join3};
use grants::GrantLimits;
use jiff::Timestamp;
use machinery::meta::ObjectKey;
use signing::jwt::{Refusal as JwtRefusal, Verified, Verifier};
use signing::key_ring::KeyRing;

pub(crate) use self::facts::owner;
use self::facts::{ClusterFacts, GroupBasis, KubeconfigFacts, TokenFacts};
use crate::logins::{GroupTerms, Logins};
use crate::user_directory::{UserDirectory, UserFacts};

use self::not_before::NotBefore;
use self::valid_token::Lineage;
pub use self::valid_token::{Groups, ValidToken};

/// Maximum age of a token, in seconds, at which another replica may have minted it a moment ago.
const YOUNG_SECS: i64 = 30;

/// Maximum time to wait for an authorizer. A right that cannot be confirmed in this time is denied.
const ACCESS_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of tokens that a token may descend from. It bounds the work of a check.
pub const MAX_ANCESTORS: usize = 8;

/// Decides whether tokens are valid.
pub struct Validity {
    parts: ValidityParts,
}

/// The records and services that decide whether a token is valid.
pub struct ValidityParts {
    /// Verifies the text of tokens.
    pub verifier: Arc<Verifier>,
    /// The records of tokens.
    pub tokens: Registry<Token>,
    /// The records of kubeconfigs.
    pub kubeconfigs: Registry<Kubeconfig>,
    /// The clusters that tokens are for.
    pub clusters: Registry<Cluster>,
    /// The users that tokens authenticate.
    pub users: Arc<UserDirectory>,
    /// The groups that the users still have.
    pub logins: Arc<Logins>,
    /// Decides on the rights of users on clusters.
    pub authorizer: Arc<dyn Authorizer>,
    /// The grants of clusters, which give groups there, and their limits.
    pub grants: GrantLimits,
    /// Returns whether the records in memory are reliable. No token is valid otherwise.
    pub confirmed: Confirmed,
    /// Reads the earliest time of issue of valid tokens.
    pub settings: Settings,
}

/// Returns whether the records in memory were recently compared with the store.
pub type Confirmed = Arc<dyn Fn() -> bool + Send + Sync>;

/// The reason that a token is not valid. For the log only: the client does not learn it.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The text of the token is invalid.
    #[error("the token is invalid")]
    Unproven(#[from] JwtRefusal),
    /// The token was not minted for this cluster, or was minted for an earlier one of the same
    /// name.
    #[error("the token was not minted for this cluster")]
    OtherCluster,
    /// The token no longer has a record.
    #[error("the token has no record")]
    NoRecord,
    /// The record of the token is disabled.
    #[error("the token is disabled")]
    Disabled,
    /// The record of the token has expired.
    #[error("the token has expired")]
    Expired,
    /// The kubeconfig of the token is gone, is suspended, or does not name the token.
    #[error("the kubeconfig of the token does not exist, is suspended or does not list the token")]
    NoKubeconfig,
    /// A token that the token was created with is not valid.
    #[error("a token that it was created with is not valid")]
    NoParent,
    /// The store does not answer, so the token may have been revoked.
    #[error("the records have not been confirmed by the store for too long")]
    Unconfirmed,
    /// The token was issued before the time that an administrator has set.
    #[error("the token was issued before the time in the setting auth-token-not-before")]
    TooOld,
    /// The user of the token does not exist, is disabled, or is a later one of the same name.
    #[error("the user of the token does not exist or is disabled")]
    NoUser,
    /// The user of the token may no longer get the cluster.
    #[error("the user of the token may no longer access the cluster")]
    NoAccess,
    /// The authorizer cannot decide whether the user may get the cluster.
    #[error("the access of the user to the cluster cannot be checked")]
    AccessUnknown,
}

/// The conditions that all tokens depend on in addition to their records: the signing keys, and the
/// earliest time of issue, and the settings of groups. When these change, a token that was valid
/// before may be invalid, or carry other groups.
#[derive(Clone)]
pub struct Terms {
    keys: Arc<KeyRing>,
    not_before: NotBefore,
    groups: GroupTerms,
}

impl Validity {
    /// Creates the check for these records.
    pub fn new(parts: ValidityParts) -> Self {
        Self { parts }
    }

    /// Returns the current terms, to be compared with those of another time.
    pub fn terms(&self) -> Terms {
        Terms {
            keys: self.parts.verifier.ring(),
            not_before: NotBefore::of(&self.parts.settings),
            groups: self.parts.logins.terms(),
        }
    }

    /// Returns the token if it is valid on this cluster now.
    ///
    /// # Errors
    /// Returns the reason that it is not valid.
    pub async fn check(
        &self,
        bearer: &str,
        cluster: &str,
        now: Timestamp,
    ) -> Result<ValidToken, Refusal> {
        let mut token = self.check_settled(bearer, cluster, now).await?;
        token.granted = self.check_access(&token, cluster).await?;
        Ok(token)
    }

    /// Returns whether a token that was valid on this cluster still is, according to the records in
    /// memory.
    pub fn still_holds(&self, token: &ValidToken, cluster: &str, now: Timestamp) -> bool {
        let verified = token.verified.clone();
        self.parts.verifier.recheck(&verified, now).is_ok()
            && self
                .check_records(verified, cluster, now)
                .is_ok_and(|fresh| fresh.groups == token.groups)
    }

    /// Returns the limits of the token of this record, or `None` if it is not valid. Its text and its
    /// clusters are not checked. If the records in memory do not have it, another replica may have
    /// minted it, so the store is read.
    pub async fn ceilings_by_name(&self, name: &str, now: Timestamp) -> Option<Ceilings> {
        let known = self.known_ceilings(name, now);
        if known.is_some() {
            return known;
        }
        let (tokens, kubeconfigs) = (&self.parts.tokens, &self.parts.kubeconfigs);
        let _ = join(tokens.store().latest(), kubeconfigs.store().latest()).await;
        self.known_ceilings(name, now)
    }

    fn known_ceilings(&self, name: &str, now: Timestamp) -> Option<Ceilings> {
        let (_, lineage) = self.by_name(name, now)?;
        Some(Ceilings {
            all: lineage.ceilings,
            any: Vec::new(),
        })
    }

    /// Returns the groups of the token of this record at this server, or `None` if it is not valid,
    /// according to the records in memory. Its text and its clusters are not checked.
    pub fn groups_by_name(&self, name: &str, now: Timestamp) -> Option<Groups> {
        let (record, _) = self.by_name(name, now)?;
        Some(self.groups(&record, None, now))
    }

    /// Returns the record of a token and what it inherits, or `None` if the token is not valid,
    /// according to the records in memory. Its text and its clusters are not checked.
    fn by_name(&self, name: &str, now: Timestamp) -> Option<(Arc<TokenFacts>, Lineage)> {
        let record = self.record(name).filter(|_| (self.parts.confirmed)())?;
        let mut lineage = Lineage::default();
        let checked = self.check_record(name, &record, now, &mut lineage);
        checked.ok().map(|_| (record, lineage))
    }

    /// Returns the record of a token, according to the records in memory.
    fn record(&self, name: &str) -> Option<Arc<TokenFacts>> {
        let tokens = self.parts.tokens.cache();
        tokens.derived(ObjectKey::cluster(name), TokenFacts::of)
    }

    /// Checks that the user of a token may still access the cluster. All users may reach the
    /// cluster `local`, which is this server itself. Returns the limits of the user's grants, one of
    /// which must permit a request.
    ///
    /// # Errors
    /// [`Refusal::NoAccess`], and [`Refusal::AccessUnknown`] if the authorizer fails.
    pub async fn check_access(
        &self,
        token: &ValidToken,
        cluster: &str,
    ) -> Result<Vec<Arc<Ceiling>>, Refusal> {
        if cluster == LOCAL {
            return Ok(Vec::new());
        }
        let checked = self.access(token, cluster);
        let checked = tokio::time::timeout(ACCESS_TIMEOUT, checked).await;
        checked.unwrap_or(Err(Refusal::AccessUnknown))
    }

    async fn access(
        &self,
        token: &ValidToken,
        cluster: &str,
    ) -> Result<Vec<Arc<Ceiling>>, Refusal> {
        let is_admin = !token.record.groups.is_empty();
        let verb = if is_admin { "delete" } else { "get" };
        let wanted = Attributes::resource(verb, management::GROUP, Cluster::PLURAL).object(cluster);
        let owner = &token.groups.owner;
        let unknown = |error: &(dyn std::error::Error + 'static)| {
            tracing::error!(error, cluster, "the access of a user cannot be checked");
            Refusal::AccessUnknown
        };
        let decision = self.parts.authorizer.authorize(owner, &wanted).await;
        let is_allowed = decision.map_err(|error| unknown(&error))?.is_allowed();
        let limits = &self.parts.grants;
        if is_admin {
            let is_allowed = is_allowed || limits.permits_admin_downloads(owner, cluster);
            return is_allowed.then(Vec::new).ok_or(Refusal::NoAccess);
        }
        if !is_allowed {
            return Err(Refusal::NoAccess);
        }
        let ceilings = limits.ceilings(owner, cluster).await;
        ceilings.map_err(|error| unknown(&error))
    }

    /// Checks that a kubeconfig belongs to this very user, is not older than an administrator
    /// permits, and that the tokens that it was created with are valid.
    ///
    /// # Errors
    /// [`Refusal::NoUser`], [`Refusal::TooOld`] and [`Refusal::NoParent`].
    pub fn check_origin(&self, record: &Kubeconfig, now: Timestamp) -> Result<(), Refusal> {
        let status = &record.status;
        let user = self.parts.users.find(&status.user_name);
        let user = user.filter(|user| user.enabled).ok_or(Refusal::NoUser)?;
        if status.user_uid.as_ref().is_some_and(|uid| *uid != user.uid) {
            return Err(Refusal::NoUser);
        }
        let created = record.metadata.creation_timestamp.as_ref();
        if !NotBefore::of(&self.parts.settings).permits_record(created.map(|time| time.0)) {
            return Err(Refusal::TooOld);
        }
        match &status.parent_token {
            Some(parent) => self.check_parent(parent, now, &mut Lineage::default()),
            None => Ok(()),
        }
    }

    /// Checks that a token is valid and may be the parent of another one.
    ///
    /// # Errors
    /// [`Refusal::NoParent`].
    pub fn check_as_parent(&self, token: &TokenReference, now: Timestamp) -> Result<(), Refusal> {
        self.check_parent(token, now, &mut Lineage::default())
    }

    /// Returns whether limits apply to everything that descends from a token, or the token is not
    /// valid, according to the records in memory.
    pub fn is_limited(&self, token: &TokenReference, now: Timestamp) -> bool {
        let mut lineage = Lineage::default();
        let checked = self.check_parent(token, now, &mut lineage);
        checked.is_err() || !lineage.ceilings.is_empty()
    }

    /// Returns the only `iss` of valid tokens.
    pub fn issuer(&self) -> &str {
        self.parts.verifier.issuer()
    }

    /// Checks everything except the right of the user. If another replica may have minted the token
    /// just now, retries after a read of the store.
    async fn check_settled(
        &self,
        bearer: &str,
        cluster: &str,
        now: Timestamp,
    ) -> Result<ValidToken, Refusal> {
        let verified = self.parts.verifier.verify(bearer, now)?;
        let is_young = now.as_second() - verified.claims().iat < YOUNG_SECS;
        match self.check_records(verified.clone(), cluster, now) {
            Err(
                Refusal::NoRecord
                | Refusal::NoKubeconfig
                | Refusal::NoParent
                | Refusal::OtherCluster,
            ) if is_young => {
                let (tokens, kubeconfigs) = (&self.parts.tokens, &self.parts.kubeconfigs);
                let clusters = self.parts.clusters.store().latest();
                // If the store does not answer, the records in memory decide.
                let _ = join3(
                    tokens.store().latest(),
                    kubeconfigs.store().latest(),
                    clusters,
                )
                .await;
                self.check_records(verified, cluster, now)
            }
            Ok(token) if is_young && token.has_lost_groups() => {
                let logins = self.parts.logins.registry();
                let _ = logins.store().latest().await;
                self.check_records(verified, cluster, now)
            }
            answer => answer,
        }
    }

    /// Checks everything that is not in the token itself.
    fn check_records(
        &self,
        verified: Verified,
        cluster: &str,
        now: Timestamp,
    ) -> Result<ValidToken, Refusal> {
        let claims = verified.claims();
        if !claims.is_for_cluster(cluster) {
            return Err(Refusal::OtherCluster);
        }
        if !(self.parts.confirmed)() {
            return Err(Refusal::Unconfirmed);
        }
        let record = self.record(&claims.jti).ok_or(Refusal::NoRecord)?;
        record.check_claims(claims)?;
        if !NotBefore::of(&self.parts.settings).permits_issue(claims.iat) {
            return Err(Refusal::TooOld);
        }
        let facts = self
            .parts
            .clusters
            .cache()
            .derived(ObjectKey::cluster(cluster), ClusterFacts::of);
        record.check_cluster(cluster, facts.as_deref())?;
        let mut lineage = Lineage::default();
        let user = self.check_record(&claims.jti, &record, now, &mut lineage)?;
        let at = facts.as_ref().filter(|_| cluster != LOCAL);
        let groups = self.groups(&record, at, now);
        Ok(ValidToken {
            verified,
            record,
            user,
            lineage,
            groups,
            granted: Vec::new(),
        })
    }

    /// Returns the groups of a record at a cluster, or at this server, that its user still has.
    fn groups(
        &self,
        record: &TokenFacts,
        cluster: Option<&Arc<ClusterFacts>>,
        now: Timestamp,
    ) -> Groups {
        let (user, source) = (&record.owner.name, &record.groups_source);
        let logins = &self.parts.logins;
        let login = match source.is_empty() {
            true => None,
            false => logins.recent(user, source, now),
        };
        let basis = GroupBasis {
            login,
            cluster: cluster.cloned(),
            terms: logins.terms(),
            grants: self.parts.grants.grants().policy(),
        };
        let groups = record.groups_at(basis, logins);
        groups.at_age(record.created.map(|created| now.duration_since(created)))
    }

    /// Checks a record, its kubeconfig, its user and the tokens that it descends from, and adds them
    /// to `lineage`.
    fn check_record(
        &self,
        name: &str,
        record: &TokenFacts,
        now: Timestamp,
        lineage: &mut Lineage,
    ) -> Result<Arc<UserFacts>, Refusal> {
        record.check_state(now)?;
        lineage.ceilings.extend(record.ceiling.clone());
        if !NotBefore::of(&self.parts.settings).permits_record(record.created) {
            return Err(Refusal::TooOld);
        }
        let user = self.parts.users.find(&record.owner.name);
        let user = user.ok_or(Refusal::NoUser)?;
        record.check_user(&user)?;
        let mut checked = None;
        if !record.kubeconfig.is_empty() {
            let owner = ObjectKey::cluster(&record.kubeconfig);
            let owner = self
                .parts
                .kubeconfigs
                .cache()
                .derived(owner, KubeconfigFacts::of);
            let owner = owner.filter(|owner| owner.stands_behind(name, record));
            let owner = owner.ok_or(Refusal::NoKubeconfig)?;
            if let Some(parent) = &owner.parent {
                self.check_parent(parent, now, lineage)?;
                checked = Some(parent.clone());
            }
        }
        if let Some(parent) = &record.parent
            && checked.as_ref() != Some(parent)
        {
            self.check_parent(parent, now, lineage)?;
        }
        Ok(user)
    }

    fn check_parent(
        &self,
        parent: &TokenReference,
        now: Timestamp,
        lineage: &mut Lineage,
    ) -> Result<(), Refusal> {
        if lineage.names.len() >= 2 * MAX_ANCESTORS {
            return Err(Refusal::NoParent);
        }
        let record = self.record(&parent.name);
        let record = record.filter(|record| record.is(parent));
        let record = record.ok_or(Refusal::NoParent)?;
        lineage.names.push(parent.name.clone());
        lineage.names.push(record.kubeconfig.clone());
        let checked = self.check_record(&parent.name, &record, now, lineage);
        checked.map(drop).map_err(|_| Refusal::NoParent)
    }
}

/// Two rings are equal if they are the same snapshot.
impl PartialEq for Terms {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.keys, &other.keys)
            && self.not_before == other.not_before
            && self.groups == other.groups
    }
}
