//! Whether a token counts: the one answer that every door asks for.
//!
//! A token counts if and only if
//!
//! * its signature, issuer and times hold, and it was minted for the cluster that it is used on,
//! * its own record exists, is enabled and says so too,
//! * the kubeconfig that owns it exists, names it, is not suspended and is not being deleted,
//! * its user exists and is enabled.
//!
//! Everything is read from memory: no door waits for the store, and a delete counts as soon as the watch cache of the process has it, which
//! is before the client that deleted is told.

use std::sync::Arc;

use api::ext::{Kubeconfig, Token};
use api::management::User;
use apiserver::registry::Registry;
use jiff::Timestamp;
use machinery::meta::Metadata;

use crate::jwt::{Claims, Refusal as JwtRefusal, Verifier};

/// Decides whether tokens count.
pub struct Validity {
    verifier: Arc<Verifier>,
    tokens: Registry<Token>,
    kubeconfigs: Registry<Kubeconfig>,
    users: Registry<User>,
}

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
    /// Its user does not exist or is disabled.
    #[error("the user of the token does not exist or is disabled")]
    NoUser,
}

/// A token that counts.
#[derive(Clone, Debug)]
pub struct ValidToken {
    /// The user whom it speaks for.
    pub user: String,
    /// The name of its record.
    pub name: String,
    /// The kubeconfig that it belongs to; empty if to none.
    pub kubeconfig: String,
    /// When it ends.
    pub expires: Timestamp,
}

impl Validity {
    /// Over these records.
    pub fn new(
        verifier: Arc<Verifier>,
        tokens: Registry<Token>,
        kubeconfigs: Registry<Kubeconfig>,
        users: Registry<User>,
    ) -> Self {
        Self {
            verifier,
            tokens,
            kubeconfigs,
            users,
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
        let claims = self.verifier.verify(bearer, now)?;
        if !claims.is_for_cluster(cluster) {
            return Err(Refusal::OtherCluster);
        }
        let token = self
            .tokens
            .cached("", &claims.jti)
            .ok_or(Refusal::NoRecord)?;
        check_record(&token, &claims, cluster, now)?;
        self.check_kubeconfig(&token, &claims.jti)?;
        self.check_user(&token.spec.user_id)?;
        Ok(ValidToken {
            user: token.spec.user_id,
            name: claims.jti.clone(),
            kubeconfig: token.spec.kubeconfig_name,
            expires: claims.expires(),
        })
    }

    fn check_kubeconfig(&self, token: &Token, name: &str) -> Result<(), Refusal> {
        if token.spec.kubeconfig_name.is_empty() {
            return Ok(());
        }
        let owner = self.kubeconfigs.cached("", &token.spec.kubeconfig_name);
        let stands = owner.is_some_and(|owner| {
            owner.metadata().deletion_timestamp.is_none()
                && !owner.spec.is_suspended()
                && owner.status.user_name == token.spec.user_id
                && owner.status.tokens.iter().any(|named| named == name)
        });
        if stands {
            Ok(())
        } else {
            Err(Refusal::NoKubeconfig)
        }
    }

    fn check_user(&self, name: &str) -> Result<(), Refusal> {
        match find_user(&self.users, name) {
            Some(user) if user.is_enabled() => Ok(()),
            _ => Err(Refusal::NoUser),
        }
    }
}

/// The user object of a name: the one called so, or else the one of which it is a principal (B16).
pub fn find_user(users: &Registry<User>, name: &str) -> Option<User> {
    if name.is_empty() || name.contains(':') {
        return None;
    }
    let by_name = || {
        users
            .all_cached()
            .into_iter()
            .find(|user| user.answers_to(name))
    };
    users.cached("", name).or_else(by_name)
}

fn check_record(
    token: &Token,
    claims: &Claims,
    cluster: &str,
    now: Timestamp,
) -> Result<(), Refusal> {
    if token.metadata().deletion_timestamp.is_some() || token.spec.user_id != claims.sub {
        return Err(Refusal::NoRecord);
    }
    if !token.spec.is_enabled() {
        return Err(Refusal::Disabled);
    }
    if token.is_expired(now) {
        return Err(Refusal::Expired);
    }
    if !token.spec.is_bound_to(cluster) {
        return Err(Refusal::OtherCluster);
    }
    Ok(())
}
