//! Whether a token counts: the one answer that every door asks for.
//!
//! A token counts if and only if
//!
//! * its signature, issuer and times hold, and it was minted for the cluster that it is used on,
//! * its own record exists, is enabled and says so too,
//! * the kubeconfig that owns it exists, names it or has a file without tokens, is not suspended and is not being deleted,
//! * its user exists and is enabled,
//! * it was not issued before the time that an administrator may have set ([`NotBefore`]),
//! * and, where other replicas write too, the store has confirmed lately that all this is so.
//!
//! Everything is read from memory: no door waits for the store, and a delete counts as soon as the watch cache of the process has it, which
//! is before the client that deleted is told. What is decoded of a record is kept with that very state of it, so nothing can be stale.
//!
//! One case asks the store: a token that was signed moments ago and whose records are not here yet. Another replica may have minted it,
//! and its user may be faster than the watch. Only bearers of signed tokens can cause that, and only while those are young.

mod facts;
mod not_before;

use std::sync::Arc;

use api::ext::{Kubeconfig, Token};
use apiserver::registry::Registry;
use auth::UserInfo;
use auth::user::ALL_AUTHENTICATED;
use futures_util::future::join;
use jiff::Timestamp;

use self::facts::{KubeconfigFacts, TokenFacts};
use crate::authenticator::EXTRA_TOKEN;
use crate::jwt::{Refusal as JwtRefusal, Verified, Verifier};
use crate::key_ring::KeyRing;
use crate::user_directory::{UserDirectory, UserFacts};

pub use self::not_before::{NotBefore, ReadNotBefore};

/// A token younger than this may have been minted by another replica a moment ago, in seconds.
const YOUNG_SECS: i64 = 30;

/// Decides whether tokens count.
pub struct Validity {
    verifier: Arc<Verifier>,
    tokens: Registry<Token>,
    kubeconfigs: Registry<Kubeconfig>,
    users: Arc<UserDirectory>,
    confirmed: Confirmed,
    not_before: ReadNotBefore,
}

/// Whether what is in memory was compared with the store lately.
pub type Confirmed = Arc<dyn Fn() -> bool + Send + Sync>;

/// Why a token does not count: for the log only, the client learns nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The text itself proves nothing.
    #[error("the token proves nothing")]
    Unproven(#[from] JwtRefusal),
    /// It was not minted for this cluster.
    #[error("the token was not minted for this cluster")]
    OtherCluster,
    /// It has no record any more.
    #[error("the token has no record")]
    NoRecord,
    /// Its record is disabled.
    #[error("the token is disabled")]
    Disabled,
    /// Its record says that it has expired.
    #[error("the token has expired")]
    Expired,
    /// The kubeconfig that it belongs to is gone, suspended, or does not name it.
    #[error("the kubeconfig of the token does not stand behind it")]
    NoKubeconfig,
    /// The store does not answer: nobody knows whether the token was taken back.
    #[error("the records have not been confirmed by the store for too long")]
    Unconfirmed,
    /// It was issued before the time that an administrator has set.
    #[error("the token was issued before the setting auth-token-not-before permits")]
    TooOld,
    /// Its user does not exist or is disabled.
    #[error("the user of the token does not exist or is disabled")]
    NoUser,
}

/// What all tokens depend on beside their records: the signing keys, and the earliest time of issue.
/// When these change, a token that was valid before may be no longer.
#[derive(Clone)]
pub struct Terms {
    keys: Arc<KeyRing>,
    not_before: NotBefore,
}

/// A token that counted when it was checked.
#[derive(Clone, Debug)]
pub struct ValidToken {
    verified: Verified,
    record: Arc<TokenFacts>,
    user: Arc<UserFacts>,
}

impl Validity {
    /// Over these records.
    pub fn new(
        verifier: Arc<Verifier>,
        tokens: Registry<Token>,
        kubeconfigs: Registry<Kubeconfig>,
        users: Arc<UserDirectory>,
    ) -> Self {
        Self {
            verifier,
            tokens,
            kubeconfigs,
            users,
            confirmed: Arc::new(|| true),
            not_before: Arc::new(|| NotBefore::Any),
        }
    }

    /// No token counts unless this says so: for replicas, to which a watch must tell what others did.
    #[must_use]
    pub fn while_confirmed(self, confirmed: Confirmed) -> Self {
        Self { confirmed, ..self }
    }

    /// Refuses tokens that were issued before this.
    #[must_use]
    pub fn not_before(self, not_before: ReadNotBefore) -> Self {
        Self { not_before, ..self }
    }

    /// Returns the terms of now, to be compared with those of another time.
    pub fn terms(&self) -> Terms {
        Terms {
            keys: self.verifier.ring(),
            not_before: (self.not_before)(),
        }
    }

    /// The token, if it counts on this cluster now.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(
        &self,
        bearer: &str,
        cluster: &str,
        now: Timestamp,
    ) -> Result<ValidToken, Refusal> {
        self.check_records(self.verifier.verify(bearer, now)?, cluster, now)
    }

    /// Whether a token that counted on this cluster does so still.
    pub fn still_counts(&self, token: &ValidToken, cluster: &str, now: Timestamp) -> bool {
        let verified = token.verified.clone();
        self.verifier.recheck(&verified, now).is_ok()
            && self.check_records(verified, cluster, now).is_ok()
    }

    /// All that is not in the token itself.
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
        if !(self.confirmed)() {
            return Err(Refusal::Unconfirmed);
        }
        let record = self.tokens.derived(("", &claims.jti), TokenFacts::of);
        let record = record.ok_or(Refusal::NoRecord)?;
        record.allow(claims, cluster, now)?;
        if !(self.not_before)().permits(claims.iat, record.created) {
            return Err(Refusal::TooOld);
        }
        self.check_kubeconfig(&record, &claims.jti)?;
        let user = self.users.find(&record.user);
        let user = user.filter(|user| user.enabled).ok_or(Refusal::NoUser)?;
        Ok(ValidToken {
            verified,
            record,
            user,
        })
    }

    /// As [`Validity::check`], after a look into the store where another replica may have minted the
    /// token just now.
    ///
    /// # Errors
    /// Why it does not count.
    pub async fn check_settled(
        &self,
        bearer: &str,
        cluster: &str,
        now: Timestamp,
    ) -> Result<ValidToken, Refusal> {
        match self.check(bearer, cluster, now) {
            Err(Refusal::NoRecord | Refusal::NoKubeconfig) if self.is_young(bearer, now) => {
                // Where the store does not answer, what is in memory decides.
                let _ = join(self.tokens.latest(), self.kubeconfigs.latest()).await;
                self.check(bearer, cluster, now)
            }
            answer => answer,
        }
    }

    fn is_young(&self, bearer: &str, now: Timestamp) -> bool {
        let verified = self.verifier.verify(bearer, now);
        verified.is_ok_and(|verified| now.as_second() - verified.claims().iat < YOUNG_SECS)
    }

    /// The only `iss` of tokens that count.
    pub fn issuer(&self) -> &str {
        self.verifier.issuer()
    }

    fn check_kubeconfig(&self, record: &TokenFacts, name: &str) -> Result<(), Refusal> {
        if record.kubeconfig.is_empty() {
            return Ok(());
        }
        let owner = ("", record.kubeconfig.as_str());
        let owner = self.kubeconfigs.derived(owner, KubeconfigFacts::of);
        match owner.is_some_and(|owner| owner.stands_behind(name, record)) {
            true => Ok(()),
            false => Err(Refusal::NoKubeconfig),
        }
    }
}

/// Rings are equal where they are the same snapshot.
impl PartialEq for Terms {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.keys, &other.keys) && self.not_before == other.not_before
    }
}

impl ValidToken {
    /// The user whom it speaks for.
    pub fn user(&self) -> &str {
        &self.record.user
    }

    /// The uid of the user's object; empty without one.
    pub fn uid(&self) -> &str {
        &self.user.uid
    }

    /// The name of its record.
    pub fn name(&self) -> &str {
        &self.verified.claims().jti
    }

    /// The kubeconfig that it belongs to; empty if to none.
    pub fn kubeconfig(&self) -> &str {
        &self.record.kubeconfig
    }

    /// When it ends.
    pub fn expires(&self) -> Timestamp {
        self.verified.claims().expires()
    }

    /// Who its bearer is at a cluster: the one identity that every door hands on.
    pub fn identity(&self) -> UserInfo {
        let groups = self.verified.claims().groups.iter().map(String::as_str);
        let groups = [ALL_AUTHENTICATED].into_iter().chain(groups);
        UserInfo {
            name: self.user().to_owned(),
            uid: self.uid().to_owned(),
            groups: groups.map(str::to_owned).collect(),
            extra: [(EXTRA_TOKEN.to_owned(), vec![self.name().to_owned()])].into(),
        }
    }
}
