//! What checking a token needs of the three records behind it: decoded once for each of their states, then read from there.

use api::ext::{Kubeconfig, Token};
use jiff::Timestamp;
use machinery::meta::Metadata;

use super::Refusal;
use crate::jwt::Claims;

/// Of the token's own record.
#[derive(Debug)]
pub(super) struct TokenFacts {
    pub(super) user: String,
    pub(super) kubeconfig: String,
    /// The uid of the kubeconfig, where the token was made for it later.
    pub(super) kubeconfig_uid: Option<String>,
    /// `None` where the record does not say.
    pub(super) created: Option<Timestamp>,
    clusters: Vec<String>,
    enabled: bool,
    /// `None` for never.
    expires: Option<Timestamp>,
    being_deleted: bool,
}

/// Of the kubeconfig that owns the token.
pub(super) struct KubeconfigFacts {
    user: String,
    /// Sorted.
    tokens: Vec<String>,
    uid: Option<String>,
    exchanged: bool,
    suspended: bool,
    being_deleted: bool,
}

impl TokenFacts {
    pub(super) fn of(token: &Token) -> Self {
        let spec = &token.spec;
        let single = std::slice::from_ref(&spec.cluster_name);
        let named = [single, &spec.cluster_names].concat();
        Self {
            user: spec.user_id.clone(),
            kubeconfig: spec.kubeconfig_name.clone(),
            kubeconfig_uid: owner_uid(token),
            clusters: named
                .into_iter()
                .filter(|name| spec.is_bound_to(name))
                .collect(),
            created: created(token),
            enabled: spec.is_enabled(),
            expires: token.expires_at(),
            being_deleted: token.metadata().deletion_timestamp.is_some(),
        }
    }

    /// Whether the record lets a token with these claims count on this cluster.
    pub(super) fn allow(
        &self,
        claims: &Claims,
        cluster: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if self.being_deleted || self.user != claims.sub {
            return Err(Refusal::NoRecord);
        }
        if !self.enabled {
            return Err(Refusal::Disabled);
        }
        if self.expires.is_some_and(|expires| expires <= now) {
            return Err(Refusal::Expired);
        }
        if !self.clusters.iter().any(|name| name == cluster) {
            return Err(Refusal::OtherCluster);
        }
        Ok(())
    }
}

fn created(token: &Token) -> Option<Timestamp> {
    let created = token.metadata().creation_timestamp.as_ref();
    created.map(|created| created.0)
}

impl KubeconfigFacts {
    pub(super) fn of(kubeconfig: &Kubeconfig) -> Self {
        let mut tokens = kubeconfig.status.tokens.clone();
        tokens.sort();
        Self {
            user: kubeconfig.status.user_name.clone(),
            tokens,
            uid: kubeconfig.metadata().uid.clone(),
            exchanged: kubeconfig.spec.is_exchanged(),
            suspended: kubeconfig.spec.is_suspended(),
            being_deleted: kubeconfig.metadata().deletion_timestamp.is_some(),
        }
    }

    /// Whether the kubeconfig stands behind this token of this name: it lists those in its file. Where
    /// that holds none, it stands behind those that were made for it later, and not for another
    /// record that had the same name.
    pub(super) fn stands_behind(&self, name: &str, token: &TokenFacts) -> bool {
        let tokens = &self.tokens;
        let is_listed = tokens
            .binary_search_by(|listed| listed.as_str().cmp(name))
            .is_ok();
        let is_made_for_it =
            self.exchanged && self.uid.is_some() && self.uid == token.kubeconfig_uid;
        !self.being_deleted
            && !self.suspended
            && self.user == token.user
            && (is_listed || is_made_for_it)
    }
}

/// The uid of the kubeconfig that owns a token.
fn owner_uid(token: &Token) -> Option<String> {
    let owners = token.metadata().owner_references.as_deref();
    let mut owners = owners.unwrap_or_default().iter();
    let owner = owners
        .find(|owner| owner.kind == Kubeconfig::KIND && owner.name == token.spec.kubeconfig_name);
    owner.map(|owner| owner.uid.clone())
}
