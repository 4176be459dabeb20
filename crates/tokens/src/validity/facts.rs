//! The facts of records that a check of a token needs. They are decoded once for each state of a
//! record.

use std::sync::Arc;

use api::ext::{Kubeconfig, Token, TokenReference};
use api::management::Cluster;
use api::management::cluster::LOCAL;
use auth::user::ALL_AUTHENTICATED;
use auth::{Ceiling, UserInfo};
use grants::{GrantPolicy, Labels};
use jiff::Timestamp;
use machinery::meta::{Metadata, ObjectMeta};
use management::access::ceiling_of;
use management::group_filter::GroupMapping;
use parking_lot::Mutex;
use signing::jwt::Claims;

use super::{Groups, Refusal};
use crate::cluster_scope::{ClusterId, ClusterScope, is_older};
use crate::logins::{GroupTerms, LoginFacts, Logins};
use crate::user_directory::UserFacts;

/// The facts of a token's record.
#[derive(Debug)]
pub(super) struct TokenFacts {
    /// The owner, with the groups of the login that created the token.
    pub(super) owner: Arc<UserInfo>,
    /// The groups of the login that created the token.
    pub(super) login_groups: Vec<String>,
    /// The source of those groups. Empty if no login can confirm them.
    pub(super) groups_source: String,
    /// The groups that the token adds its bearer to.
    pub(super) groups: Vec<String>,
    pub(super) kubeconfig: String,
    /// The uid of the kubeconfig, for a token that was exchanged for a login.
    kubeconfig_uid: Option<String>,
    pub(super) parent: Option<TokenReference>,
    /// The limits of the token, or `None` if its record sets none.
    pub(super) ceiling: Option<Arc<Ceiling>>,
    uid: Option<String>,
    /// The uid of the user's object, or `None` in records of older servers.
    user_uid: Option<String>,
    scope: ClusterScope,
    /// The creation time, or `None` if the record does not state it.
    pub(super) created: Option<Timestamp>,
    enabled: bool,
    /// The expiry, or `None` for a token that does not expire.
    pub(super) expires: Option<Timestamp>,
    being_deleted: bool,
    /// The groups of the last check.
    checked_groups: Mutex<Option<CheckedGroups>>,
}

/// The groups of a token, and what they were computed from.
#[derive(Debug)]
struct CheckedGroups {
    basis: GroupBasis,
    groups: Groups,
}

/// The objects and settings that the groups of a token depend on, in addition to its record.
#[derive(Debug)]
pub(super) struct GroupBasis {
    /// The last logins of the user, if the one from the source of the groups still counts.
    pub(super) login: Option<Arc<LoginFacts>>,
    /// The cluster, or `None` for this server.
    pub(super) cluster: Option<Arc<ClusterFacts>>,
    pub(super) terms: GroupTerms,
    pub(super) grants: Arc<GrantPolicy>,
}

/// The facts of a kubeconfig.
pub(super) struct KubeconfigFacts {
    user: String,
    pub(super) parent: Option<TokenReference>,
    /// The names of the tokens in the file, sorted.
    tokens: Vec<String>,
    uid: Option<String>,
    exchanged: bool,
    suspended: bool,
    being_deleted: bool,
}

/// The facts of a cluster.
#[derive(Debug)]
pub(super) struct ClusterFacts {
    name: String,
    labels: Labels,
    uid: String,
    created: Option<Timestamp>,
    being_deleted: bool,
    /// The groups that users carry into the cluster.
    groups: GroupMapping,
}

impl TokenFacts {
    pub(super) fn of(token: &Token) -> Self {
        let (spec, status) = (&token.spec, &token.status);
        Self {
            owner: Arc::new(owner(&spec.user_id, &status.groups)),
            login_groups: status.groups.clone(),
            groups_source: status.groups_source.clone(),
            groups: spec.groups.clone(),
            kubeconfig: spec.kubeconfig_name.clone(),
            kubeconfig_uid: owner_uid(token),
            parent: status.parent_token.clone(),
            ceiling: spec
                .access
                .as_ref()
                .map(|access| Arc::new(ceiling_of(access))),
            uid: token.metadata().uid.clone(),
            user_uid: status.user_uid.clone(),
            scope: ClusterScope::of(token),
            created: created(token.metadata()),
            enabled: spec.is_enabled(),
            expires: token.expires_at(),
            being_deleted: token.metadata().deletion_timestamp.is_some(),
            checked_groups: Mutex::default(),
        }
    }

    /// Returns the groups of the login that created the token which its user still has. Computes
    /// them only if the basis has changed since the last call.
    pub(super) fn groups_at(&self, basis: GroupBasis, logins: &Logins) -> Groups {
        let mut checked = self.checked_groups.lock();
        if let Some(checked) = checked.as_ref().filter(|last| last.basis == basis) {
            return checked.groups.clone();
        }
        let (name, all) = (&self.owner.name, &self.login_groups);
        let login = basis.login.as_ref();
        // Groups without a source are those of an impersonated user, which no login confirms.
        let confirmed = login.map_or_else(Vec::new, |it| it.still_has(&self.groups_source, all));
        let mut carried = logins.carried(&confirmed);
        let mut granted = Vec::new();
        if let Some(cluster) = &basis.cluster {
            let user = owner(name, &confirmed);
            carried = cluster.groups.apply(&carried);
            granted = basis.grants.groups(&user, &cluster.name, &cluster.labels);
            for granted in &mut granted {
                granted
                    .groups
                    .retain(|group| !cluster.groups.is_admin_group(group));
            }
        }
        let is_unchanged = self.groups_source.is_empty() || confirmed.len() == all.len();
        let groups = Groups {
            owner: match is_unchanged {
                true => Arc::clone(&self.owner),
                false => Arc::new(owner(name, &confirmed)),
            },
            carried: carried.into(),
            granted: granted.into(),
        };
        let checked = checked.insert(CheckedGroups { basis, groups });
        checked.groups.clone()
    }

    /// Checks that the record agrees with the claims. The server signs claims that come from the
    /// record, so a difference means that the token was not signed by this server.
    pub(super) fn check_claims(&self, claims: &Claims) -> Result<(), Refusal> {
        // The groups of the login and of grants follow those of the record. They are only for a
        // cluster that verifies the token itself.
        let same_groups = claims.groups.starts_with(&self.groups);
        let same = self.owner.name == claims.sub && same_groups;
        same.then_some(()).ok_or(Refusal::NoRecord)
    }

    /// Checks the state of the record itself.
    pub(super) fn check_state(&self, now: Timestamp) -> Result<(), Refusal> {
        match self {
            _ if self.being_deleted => Err(Refusal::NoRecord),
            _ if !self.enabled => Err(Refusal::Disabled),
            _ if self.expires.is_some_and(|expires| expires <= now) => Err(Refusal::Expired),
            _ => Ok(()),
        }
    }

    /// Checks that the token is for this cluster, and for this very object of that name. The
    /// cluster `local` is always this server itself, so its object is not compared.
    pub(super) fn check_cluster(
        &self,
        name: &str,
        cluster: Option<&ClusterFacts>,
    ) -> Result<(), Refusal> {
        if !self.scope.names(name) {
            return Err(Refusal::OtherCluster);
        }
        if name == LOCAL {
            return Ok(());
        }
        let cluster = cluster.filter(|cluster| !cluster.being_deleted);
        let covered = cluster.is_some_and(|cluster| {
            self.scope.covers(ClusterId {
                name,
                uid: &cluster.uid,
                created: cluster.created,
            })
        });
        covered.then_some(()).ok_or(Refusal::OtherCluster)
    }

    /// Checks that the user is the one that the token was minted for, and not a later one of the
    /// same name.
    pub(super) fn check_user(&self, user: &UserFacts) -> Result<(), Refusal> {
        let same = match &self.user_uid {
            Some(uid) => *uid == user.uid,
            // Records of older servers have no uids.
            None => is_older(user.created, self.created),
        };
        (same && user.enabled).then_some(()).ok_or(Refusal::NoUser)
    }

    /// Returns whether this is the token that a reference identifies.
    pub(super) fn is(&self, reference: &TokenReference) -> bool {
        self.uid.as_ref() == Some(&reference.uid)
    }
}

impl KubeconfigFacts {
    pub(super) fn of(kubeconfig: &Kubeconfig) -> Self {
        let mut tokens = kubeconfig.status.tokens.clone();
        tokens.sort();
        Self {
            user: kubeconfig.status.user_name.clone(),
            parent: kubeconfig.status.parent_token.clone(),
            tokens,
            uid: kubeconfig.metadata().uid.clone(),
            exchanged: kubeconfig.spec.is_exchanged(),
            suspended: kubeconfig.spec.is_suspended(),
            being_deleted: kubeconfig.metadata().deletion_timestamp.is_some(),
        }
    }

    /// Returns whether the kubeconfig vouches for the token of this name. A kubeconfig lists the
    /// tokens in its file. If its file holds none, it vouches for tokens that were created for it
    /// later, but not for those of another kubeconfig that had the same name.
    pub(super) fn stands_behind(&self, name: &str, token: &TokenFacts) -> bool {
        let tokens = &self.tokens;
        let is_listed = tokens
            .binary_search_by(|listed| listed.as_str().cmp(name))
            .is_ok();
        let is_made_for_it =
            self.exchanged && self.uid.is_some() && self.uid == token.kubeconfig_uid;
        !self.being_deleted
            && !self.suspended
            && self.user == token.owner.name
            && (is_listed || is_made_for_it)
    }
}

impl ClusterFacts {
    pub(super) fn of(cluster: &Cluster) -> Self {
        Self {
            name: cluster.id().to_owned(),
            labels: cluster.metadata.labels.clone().unwrap_or_default(),
            uid: cluster.metadata.uid.clone().unwrap_or_default(),
            created: created(&cluster.metadata),
            being_deleted: cluster.is_being_deleted(),
            groups: GroupMapping::of(cluster),
        }
    }
}

/// Two are equal if they come from the same states of the records.
impl PartialEq for GroupBasis {
    fn eq(&self, other: &Self) -> bool {
        is_same(&self.cluster, &other.cluster)
            && is_same(&self.login, &other.login)
            && Arc::ptr_eq(&self.grants, &other.grants)
            && self.terms == other.terms
    }
}

fn is_same<T>(one: &Option<Arc<T>>, other: &Option<Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// Returns the owner of a record as a user with these groups of a login, and the group of all
/// authenticated users, which the record omits.
pub(crate) fn owner(name: &str, groups: &[String]) -> UserInfo {
    let all = [ALL_AUTHENTICATED.to_owned()];
    UserInfo {
        groups: groups.iter().cloned().chain(all).collect(),
        ..UserInfo::named(name)
    }
}

fn created(metadata: &ObjectMeta) -> Option<Timestamp> {
    metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// Returns the uid of the kubeconfig that owns a token.
fn owner_uid(token: &Token) -> Option<String> {
    let owners = token.metadata().owner_references.as_deref();
    let mut owners = owners.unwrap_or_default().iter();
    let owner = owners
        .find(|owner| owner.kind == Kubeconfig::KIND && owner.name == token.spec.kubeconfig_name);
    owner.map(|owner| owner.uid.clone())
}
