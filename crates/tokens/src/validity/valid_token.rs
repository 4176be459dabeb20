//! A valid token, and the groups and limits that it had at its check.

use std::sync::Arc;

use auth::user::ALL_AUTHENTICATED;
use auth::{Ceiling, Ceilings, UserInfo};
use grants::GrantedGroups;
use jiff::{SignedDuration, Timestamp};
use signing::jwt::Verified;

use super::facts::TokenFacts;
use crate::logins::login_groups;
use crate::token_record::EXTRA_TOKEN;
use crate::user_directory::UserFacts;

/// A token that was valid when it was checked.
#[derive(Clone, Debug)]
pub struct ValidToken {
    pub(super) verified: Verified,
    pub(super) record: Arc<TokenFacts>,
    pub(super) user: Arc<UserFacts>,
    pub(super) lineage: Lineage,
    pub(super) groups: Groups,
    /// The limits of the grants by which the user may get the cluster, one of which must permit a
    /// request.
    pub(super) granted: Vec<Arc<Ceiling>>,
}

/// The tokens that a token descends from, and the limits that it inherits.
#[derive(Clone, Debug, Default)]
pub(super) struct Lineage {
    /// The names of those tokens and of their kubeconfigs, in pairs.
    pub(super) names: Vec<String>,
    /// The limits of the token and of those tokens.
    pub(super) ceilings: Vec<Arc<Ceiling>>,
}

/// The groups of a token at the time of its check.
#[derive(Clone, Debug)]
pub struct Groups {
    /// The owner, with all groups of the login that the user still has.
    pub(super) owner: Arc<UserInfo>,
    /// The groups of the login that the token carries, by their names in the cluster, and those of
    /// grants without limits.
    pub(super) carried: Arc<[String]>,
    /// The groups of grants that limit the requests for which the user has them.
    pub(super) granted: Arc<[GrantedGroups]>,
}

/// Two are equal if the token gives the same rights.
impl PartialEq for Groups {
    fn eq(&self, other: &Self) -> bool {
        self.owner.groups == other.owner.groups
            && self.carried == other.carried
            && self.granted == other.granted
    }
}

impl Groups {
    /// Returns the groups of a token of this age. Those of grants end with the lifetime that the
    /// grant permits, also in a token that lives longer by another permission. A token of unknown age
    /// is too old.
    pub(super) fn at_age(self, age: Option<SignedDuration>) -> Self {
        if self.granted.is_empty() {
            return self;
        }
        let counts = |granted: &&GrantedGroups| {
            granted
                .max_ttl
                .is_none_or(|max| age.is_some_and(|age| age < max))
        };
        let (open, limited): (Vec<_>, Vec<_>) = self
            .granted
            .iter()
            .filter(counts)
            .cloned()
            .partition(|granted| granted.ceiling.is_none());
        let mut carried = self.carried.to_vec();
        for group in open.into_iter().flat_map(|granted| granted.groups) {
            if !carried.contains(&group) {
                carried.push(group);
            }
        }
        Self {
            owner: self.owner,
            carried: carried.into(),
            granted: limited.into(),
        }
    }

    /// Returns the groups of the login that the user still has, without that of all authenticated
    /// users.
    pub(crate) fn of_login(&self) -> Vec<String> {
        login_groups(&self.owner)
    }
}

impl ValidToken {
    /// Returns the name of the user that the token authenticates.
    pub fn user(&self) -> &str {
        &self.record.owner.name
    }

    /// Returns the uid of the user's object. Empty if there is no object.
    pub fn uid(&self) -> &str {
        &self.user.uid
    }

    /// Returns the name of the token's record.
    pub fn name(&self) -> &str {
        &self.verified.claims().jti
    }

    /// Returns the name of the kubeconfig that the token belongs to. Empty without one.
    pub fn kubeconfig(&self) -> &str {
        &self.record.kubeconfig
    }

    /// Returns whether the token ends with the token or kubeconfig of one of these names.
    pub fn depends_on(&self, is_named: impl Fn(&str) -> bool) -> bool {
        let own = [self.name(), self.kubeconfig()];
        let ancestors = self.lineage.names.iter().map(String::as_str);
        own.into_iter().chain(ancestors).any(is_named)
    }

    /// Returns whether the user no longer has a group of the login that created the token.
    pub(super) fn has_lost_groups(&self) -> bool {
        self.groups.owner.groups.len() < self.record.owner.groups.len()
    }

    /// Returns the groups of the login that created the token which the user still has.
    pub fn carried_groups(&self) -> &[String] {
        &self.groups.carried
    }

    /// Returns the groups that the bearer has for some requests only, in addition to those of
    /// [`ValidToken::identity`].
    pub fn granted_groups(&self) -> &[GrantedGroups] {
        &self.groups.granted
    }

    /// Returns the limits that a request must pass.
    pub fn ceilings(&self) -> Ceilings {
        Ceilings {
            all: self.lineage.ceilings.clone(),
            any: self.granted.clone(),
        }
    }

    /// Returns whether the limits of the user's grants are these.
    pub fn is_granted(&self, ceilings: &[Arc<Ceiling>]) -> bool {
        self.granted == ceilings
    }

    /// Returns the end of the token's life.
    pub fn expires(&self) -> Timestamp {
        self.verified.claims().expires()
    }

    /// Returns the identity of the bearer at a cluster for all requests. Every entry point uses the
    /// same one. The gateway adds the groups of limited grants to single requests.
    pub fn identity(&self) -> UserInfo {
        let groups = self.record.groups.iter().chain(self.groups.carried.iter());
        let groups = groups.map(String::as_str);
        let groups = [ALL_AUTHENTICATED].into_iter().chain(groups);
        UserInfo {
            name: self.user().to_owned(),
            uid: self.uid().to_owned(),
            groups: groups.map(str::to_owned).collect(),
            extra: [(EXTRA_TOKEN.to_owned(), vec![self.name().to_owned()])].into(),
        }
    }
}
