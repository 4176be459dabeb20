//! The identity that a kubeconfig or token is created with, and the bounds that follow from it.
//!
//! A login may mint anything that its user may have. A token may mint too, but nothing that
//! outlives it or reaches further. The new record names the token as its parent, and ends with it.
//! Its lifetime and its clusters, which are compared by name and uid, are within those of the
//! parent. So deleting a kubeconfig also ends everything that was minted with its tokens.
//!
//! ```text
//! login ─▶ kubeconfig A ─▶ token of A ─▶ kubeconfig B (parent: token of A) ─▶ token of B ─▶ …
//! ```
//!
//! The token of a request is taken from the identity that was authenticated, before any
//! impersonation. This server's own authenticators put its name there. A host's kube-apiserver does
//! so if it uses TokenReview or verifies the token itself. If the gateway impersonates a user at a
//! host on behalf of a token, the user of the request is not that of the token; the token restricts
//! the request all the same.

use std::sync::Arc;

use api::ext::{KubeconfigStatus, Token, TokenReference, TokenStatus};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use auth::user::CREDENTIAL_ID;
use auth::{Login, UserInfo};
use jiff::{SignedDuration, Timestamp};
use machinery::meta::{GroupResource, Metadata, ObjectKey};
use machinery::status::Status;
use management::settings::Settings;

use crate::cluster_scope::{ClusterId, ClusterScope};
use crate::logins::{Logins, login_groups};
use crate::token_record::{EXTRA_TOKEN, is_unique_name};
use crate::user_directory::UserDirectory;
use crate::validity::{MAX_ANCESTORS, Validity};

/// Determines the origin of requests.
pub struct Origins {
    /// The records of tokens.
    pub tokens: Registry<Token>,
    /// The users.
    pub users: Arc<UserDirectory>,
    /// The last logins of the users.
    pub logins: Arc<Logins>,
    /// Decides whether the token of a request is valid.
    pub validity: Arc<Validity>,
    /// The settings, which say whether a token may mint.
    pub settings: Settings,
}

/// The identity that a record is created with.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The uid of the user's object. Empty if there is no such object.
    pub user_uid: String,
    /// The groups of the login, without the group of all authenticated users.
    pub groups: Vec<String>,
    /// The source of the login ([`auth::Login::source`]). Empty for an impersonated user.
    pub groups_source: String,
    /// The token that authenticated the request or that the request names, or `None` for a login.
    pub parent: Option<Parent>,
}

/// The token that a record descends from, and the bounds that follow from it.
#[derive(Clone, Debug)]
pub struct Parent {
    reference: TokenReference,
    /// True if the request names the token. Otherwise the token authenticated the request.
    is_named: bool,
    clusters: ClusterScope,
    groups: Vec<String>,
    /// The end of the token's life, or `None` for a token that does not expire.
    expires: Option<Timestamp>,
    /// True if limits apply to the token, which only this server enforces.
    is_limited: bool,
}

impl Origins {
    /// Returns the origin of a request to create a record of this resource.
    ///
    /// # Errors
    /// 403 if the request was authenticated by a token that may not mint.
    pub async fn of(
        &self,
        cx: &RequestContext,
        resource: &GroupResource,
    ) -> Result<Origin, Status> {
        let user = self.users.find(&cx.user.name).unwrap_or_default();
        let user_uid = user.uid.clone();
        let groups = login_groups(&cx.user);
        let is_impersonated = cx.user != cx.authenticated;
        let Some(name) = token_of(&cx.authenticated) else {
            let login = login_of(cx);
            return Ok(Origin {
                user_uid,
                groups,
                groups_source: login.map(|login| login.source.clone()).unwrap_or_default(),
                parent: None,
            });
        };
        let refused = |why: &str| Err(Status::forbidden(resource, "", why));
        if !self.settings.mint_with_token()? {
            return refused(
                "a token of a kubeconfig may not create this object: log in instead (setting kubeconfig-mint-with-token)",
            );
        }
        let token = self.tokens.store().get(ObjectKey::cluster(name)).await?;
        let Some(token) = token else {
            return refused("the token of this request has no record");
        };
        let (reference, now) = (reference(&token), cx.clock.now());
        if self.validity.check_as_parent(&reference, now).is_err() {
            return refused(&format!(
                "the token of this request is not valid, or descends from {MAX_ANCESTORS} others"
            ));
        }
        let current = self.validity.groups_by_name(name, now);
        let current = current.map(|groups| groups.of_login()).unwrap_or_default();
        let is_other = is_impersonated || cx.user.name != token.spec.user_id;
        let (groups, groups_source) = match is_other {
            true => (common(groups, &current), String::new()),
            false => (current, token.status.groups_source.clone()),
        };
        Ok(Origin {
            user_uid,
            groups,
            groups_source,
            parent: Some(Parent {
                is_limited: self.validity.is_limited(&reference, now),
                ..Parent::of(&token)
            }),
        })
    }

    /// Returns the origin of a request to create a record that descends from a token of the caller.
    /// An empty name stands for no token.
    ///
    /// # Errors
    /// As for [`Origins::of`], and 400 if the caller has no such token or it is not valid.
    pub async fn of_token(
        &self,
        cx: &RequestContext,
        resource: &GroupResource,
        name: &str,
    ) -> Result<Origin, Status> {
        let origin = self.of(cx, resource).await?;
        if name.is_empty() || origin.reference().is_some_and(|parent| parent.name == name) {
            return Ok(origin);
        }
        if origin.parent.is_some() {
            let text = format!(
                "the token of this request cannot name another token, {name}: log in instead"
            );
            return Err(Status::forbidden(resource, "", &text));
        }
        let refused = |why: &str| Err(Status::bad_request(format!("spec.tokenName: {why}")));
        let token = self.tokens.store().get(ObjectKey::cluster(name)).await?;
        let own = token.filter(|token| token.spec.user_id == cx.user.name);
        let Some(token) = own else {
            return refused(&format!("you have no token {name}"));
        };
        let (reference, now) = (reference(&token), cx.clock.now());
        if self.validity.check_as_parent(&reference, now).is_err() {
            return refused(&format!(
                "token {name} is not valid, or descends from {MAX_ANCESTORS} others"
            ));
        }
        let groups = self.validity.groups_by_name(name, now);
        Ok(Origin {
            groups: groups.map(|groups| groups.of_login()).unwrap_or_default(),
            groups_source: token.status.groups_source.clone(),
            parent: Some(Parent {
                is_named: true,
                is_limited: self.validity.is_limited(&reference, now),
                ..Parent::of(&token)
            }),
            ..origin
        })
    }

    /// Records the login of a request that creates a record, before the record is stored.
    ///
    /// # Errors
    /// 503 if the store is unavailable.
    pub async fn record_login(&self, cx: &RequestContext) -> Result<(), Status> {
        match login_of(cx) {
            Some(login) if token_of(&cx.authenticated).is_none() => {
                self.logins.record(&cx.user, login, cx.clock.now()).await
            }
            _ => Ok(()),
        }
    }
}

/// Returns the login of a user who is not impersonated.
fn login_of(cx: &RequestContext) -> Option<&Login> {
    let login = cx.login.as_deref();
    login.filter(|_| cx.user == cx.authenticated)
}

impl Origin {
    /// Writes the origin into the status of a token.
    pub fn describe(&self, status: &mut TokenStatus) {
        status.user_uid = Some(self.user_uid.clone());
        status.groups.clone_from(&self.groups);
        status.groups_source = self.source();
        status.parent_token = self.reference();
    }

    /// Writes the origin into the status of a kubeconfig.
    pub fn describe_kubeconfig(&self, status: &mut KubeconfigStatus) {
        status.user_uid = Some(self.user_uid.clone());
        status.groups.clone_from(&self.groups);
        status.groups_source = self.source();
        status.parent_token = self.reference();
    }

    /// Returns whether a record may reach this cluster object.
    pub fn may_reach(&self, cluster: ClusterId<'_>) -> bool {
        let parent = self.parent.as_ref();
        parent.is_none_or(|parent| parent.clusters.covers(cluster))
    }

    /// Checks that a record may reach a cluster of this name. Except for the cluster `local`, the
    /// caller must also check the object of the cluster.
    ///
    /// # Errors
    /// 403 if it may not.
    pub fn check_name(&self, cluster: &str, resource: &GroupResource) -> Result<(), Status> {
        if self.names(cluster) {
            return Ok(());
        }
        let (token, hint) = (self.token(), self.hint());
        let text = format!("{token} is not for cluster {cluster}{hint}");
        Err(Status::forbidden(resource, "", &text))
    }

    /// Checks that a record may reach this cluster object.
    ///
    /// # Errors
    /// 403 if it may not.
    pub fn check_cluster(
        &self,
        cluster: ClusterId<'_>,
        resource: &GroupResource,
    ) -> Result<(), Status> {
        self.check_name(cluster.name, resource)?;
        if self.may_reach(cluster) {
            return Ok(());
        }
        let (token, hint) = (self.token(), self.hint());
        let text = format!(
            "{token} is for an earlier cluster {}, which was deleted{hint}",
            cluster.name
        );
        Err(Status::forbidden(resource, "", &text))
    }

    /// Checks that a record may put its user into these groups.
    ///
    /// # Errors
    /// 403, naming the first group that is not allowed.
    pub fn check_groups(&self, groups: &[String], resource: &GroupResource) -> Result<(), Status> {
        let Some(parent) = &self.parent else {
            return Ok(());
        };
        match groups.iter().find(|group| !parent.groups.contains(group)) {
            Some(group) => {
                let (token, hint) = (self.token(), self.hint());
                let text = format!("{token} is not for group {group}{hint}");
                Err(Status::forbidden(resource, "", &text))
            }
            None => Ok(()),
        }
    }

    /// Returns the token that the record descends from, as the subject of an error.
    pub fn token(&self) -> String {
        let named = self.parent.as_ref().filter(|parent| parent.is_named);
        named.map_or_else(
            || "the token of this request".to_owned(),
            |parent| format!("token {}", parent.reference.name),
        )
    }

    /// Returns the remedy at the end of an error about the token.
    pub fn hint(&self) -> &'static str {
        match self.parent.as_ref().is_some_and(|parent| parent.is_named) {
            true => "",
            false => ": log in instead",
        }
    }

    /// Returns whether the record may reach a cluster of this name.
    pub fn names(&self, cluster: &str) -> bool {
        let parent = self.parent.as_ref();
        parent.is_none_or(|parent| parent.clusters.names(cluster))
    }

    /// Returns whether the record has limits, which only this server enforces.
    pub fn is_limited(&self) -> bool {
        self.parent.as_ref().is_some_and(|parent| parent.is_limited)
    }

    /// Returns the maximum lifetime of a record, which is zero if the token of the request has
    /// expired, or `None` if the origin sets no limit.
    pub fn max_ttl(&self, now: Timestamp) -> Option<SignedDuration> {
        let expires = self.parent.as_ref()?.expires?;
        Some(expires.duration_since(now).max(SignedDuration::ZERO))
    }

    /// Returns the source of the groups, or an empty string for a login without groups.
    fn source(&self) -> String {
        match self.groups.is_empty() {
            true => String::new(),
            false => self.groups_source.clone(),
        }
    }

    fn reference(&self) -> Option<TokenReference> {
        self.parent.as_ref().map(|parent| parent.reference.clone())
    }
}

impl Parent {
    /// Returns the bounds that the record of a token sets.
    pub fn of(token: &Token) -> Self {
        Self {
            reference: reference(token),
            is_named: false,
            clusters: ClusterScope::of(token),
            groups: token.spec.groups.clone(),
            expires: token.expires_at(),
            is_limited: token.spec.access.is_some(),
        }
    }
}

/// Returns the name of the minted token that authenticated the user, if there was one. A
/// kube-apiserver that verifies a token itself names it in [`CREDENTIAL_ID`], after `JTI=`.
pub(crate) fn token_of(user: &UserInfo) -> Option<&str> {
    let values = |key: &str| user.extra.get(key).into_iter().flatten();
    let credentials = values(CREDENTIAL_ID).filter_map(|id| id.strip_prefix("JTI="));
    let ours = credentials.filter(|name| is_unique_name(name));
    let mut named = values(EXTRA_TOKEN).map(String::as_str).chain(ours);
    named.next()
}

fn reference(token: &Token) -> TokenReference {
    let metadata = token.metadata();
    TokenReference {
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
    }
}

fn common(groups: Vec<String>, others: &[String]) -> Vec<String> {
    let groups = groups.into_iter();
    groups.filter(|group| others.contains(group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(extra: &[(&str, &str)], expected: Option<&str>) {
        let extra = extra.iter();
        let user = UserInfo {
            extra: extra
                .map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()]))
                .collect(),
            ..UserInfo::named("alice")
        };
        assert_eq!(token_of(&user), expected);
    }

    #[test]
    fn the_token_of_a_request_is_named_by_whoever_checked_it() {
        check(&[], None);
        check(&[(EXTRA_TOKEN, "token-abcde")], Some("token-abcde"));
        let minted = "JTI=token-abcdefghij12345";
        check(&[(CREDENTIAL_ID, minted)], Some("token-abcdefghij12345"));
        check(&[(CREDENTIAL_ID, "JTI=token-abcde")], Some("token-abcde"));
        for other in [
            "JTI=e2d1c8a5-4c0e-4b47-9a3f-8d2b0a9f1c11",
            "X509SHA256=token-abcde",
            "JTI=token-abcdef",
            "JTI=token-ab_de",
        ] {
            check(&[(CREDENTIAL_ID, other)], None);
        }
    }
}
