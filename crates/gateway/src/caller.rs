//! Authenticates the caller of a request and admits the request to its cluster.
//!
//! At the unmanaged name of a cluster, the authentication of the cluster decides
//! ([`edge`](crate::edge)). At all other endpoints the caller has a token that this server issued.
//!
//! An invalid credential is always the same 401: no token, an invalid token, a token for another
//! cluster, or a cluster that does not exist.

use std::sync::Arc;

use auth::identity::is_spelling_of;
use auth::user::RESERVED_PREFIX;
use auth::{Ceiling, Ceilings, Identity};
use grants::GrantedGroups;
use machinery::status::Status;
use tokens::token_record::EXTRA_TOKEN;
use tokio_util::sync::CancellationToken;

use crate::bearer::{self, SentToken};
use crate::cluster_request::{ClusterRequest, EntryPoint};
use crate::edge::{Edge, EdgeRejection};
use crate::sessions::{NewSession, Session, Sessions};
use crate::status::{forbidden_because, unavailable_and_logged};
use crate::upstream::{Slot, Upstream, Upstreams};

/// Authenticates callers.
pub(crate) struct CallerAuthenticator {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) edge: Arc<Edge>,
    pub(crate) upstreams: Arc<Upstreams>,
    /// Cancelled when the server stops. Requests that arrive later end as watches do.
    pub(crate) stop: CancellationToken,
}

/// An authenticated caller, and the resources of the request.
pub(crate) struct Caller {
    /// The user, with the groups for all requests.
    pub(crate) user: Identity,
    /// The groups of the user for some requests only.
    pub(crate) granted: Vec<GrantedGroups>,
    /// The limits of the caller that a request must pass.
    pub(crate) ceilings: Ceilings,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) in_flight: InFlight,
}

impl Caller {
    /// Adds the groups of the grants whose limits `permits` accepts.
    ///
    /// # Errors
    /// 403 for a group that must not be sent to a cluster.
    pub(crate) fn add_granted_groups(
        &mut self,
        permits: impl Fn(&Ceiling) -> bool,
    ) -> Result<(), Status> {
        let mut user = (*self.user).clone();
        for granted in &self.granted {
            if granted.ceiling.as_deref().is_none_or(&permits) {
                let groups = granted.groups.iter();
                let new: Vec<String> = groups
                    .filter(|group| !user.groups.contains(group))
                    .cloned()
                    .collect();
                user.groups.extend(new);
            }
        }
        let user = Identity::check(user).map_err(|error| forbidden_because(&error.to_string()))?;
        self.user = forwardable(user)?;
        Ok(())
    }
}

/// The resources that a request holds until its answer or its tunnel ends.
pub(crate) struct InFlight {
    /// Ends the request when the caller's credential ends.
    pub(crate) session: Session,
    /// The user's share of the requests to the cluster.
    pub(crate) slot: Slot,
}

impl CallerAuthenticator {
    /// Takes the credential out of the request, authenticates the caller and takes a slot for the
    /// request.
    ///
    /// # Errors
    /// 401 for an invalid credential, 403 for an identity that must not be sent to a cluster, and
    /// the reason why the cluster does not take the request.
    pub(crate) async fn authenticate(
        &self,
        request: &mut ClusterRequest,
    ) -> Result<Caller, Status> {
        let token = bearer::take(request.inner.headers_mut(), request.kind.is_websocket());
        let is_long = request.kind.is_long();
        match request.entry_point {
            EntryPoint::Path | EntryPoint::ManagedName => {
                let token = token.ok_or_else(Status::unauthorized)?;
                self.by_token(&request.cluster, token, is_long).await
            }
            EntryPoint::UnmanagedName => {
                // Boxed, since few requests need it and it would enlarge the future of all.
                Box::pin(self.by_edge(&request.cluster, token, is_long)).await
            }
        }
    }

    /// Authenticates the caller by a token that this server issued.
    async fn by_token(
        &self,
        cluster: &str,
        token: SentToken,
        is_long: bool,
    ) -> Result<Caller, Status> {
        let (token, epoch) = self.sessions.check(token.expose(), cluster).await?;
        let user = Identity::check(token.identity())
            .map_err(|error| forbidden_because(&error.to_string()))?;
        let user = forwardable(user)?;
        let (upstream, slot) = self.enter(cluster, &user.name)?;
        let ceilings = token.ceilings();
        let granted = token.granted_groups().to_vec();
        let new = NewSession {
            cluster: cluster.into(),
            token,
            is_long: is_long || self.stop.is_cancelled(),
        };
        let session = self.sessions.enter(new, epoch);
        Ok(Caller {
            user,
            granted,
            ceilings,
            upstream,
            in_flight: InFlight {
                session: session.ok_or_else(Status::unauthorized)?,
                slot,
            },
        })
    }

    /// Authenticates the caller by the `spec.authentication` of the cluster.
    async fn by_edge(
        &self,
        cluster: &str,
        token: Option<SentToken>,
        is_long: bool,
    ) -> Result<Caller, Status> {
        let authenticated = self.edge.authenticate(cluster, token).await;
        let user = forwardable(authenticated.user.map_err(EdgeRejection::status)?)?;
        check_extra_keys(user.extra.keys())?;
        let configured = authenticated.configured;
        let reserved = configured
            .as_deref()
            .and_then(|configured| configured.reserved_group(&user));
        if let Some(group) = reserved {
            let text = format!("{group:?} is a reserved group: only this server adds users to it");
            return Err(forbidden_because(&text));
        }
        // Not to be mixed up with a user of our tokens who has the same name.
        let share = format!("{} (recognised at {cluster})", user.name);
        let (upstream, slot) = self.enter(cluster, &share)?;
        let is_long = is_long || self.stop.is_cancelled();
        let session = self.sessions.enter_without_token(cluster, is_long);
        // A change of the configuration in the meantime has not ended this session.
        if self.edge.configured(cluster) != configured {
            return Err(Status::unauthorized());
        }
        Ok(Caller {
            user,
            granted: Vec::new(),
            ceilings: Ceilings::default(),
            upstream,
            in_flight: InFlight { session, slot },
        })
    }

    /// Takes a slot at the cluster.
    fn enter(&self, cluster: &str, user: &str) -> Result<(Arc<Upstream>, Slot), Status> {
        let entered = self.upstreams.enter(cluster, user);
        entered.map_err(|error| unavailable_and_logged(cluster, &error))
    }
}

/// Rejects the extra key that names the token of a request, in any spelling: only the gateway sets
/// it.
pub(crate) fn check_extra_keys<'k>(
    keys: impl IntoIterator<Item = &'k String>,
) -> Result<(), Status> {
    let mut keys = keys.into_iter();
    match keys.find(|key| is_spelling_of(EXTRA_TOKEN, key)) {
        Some(key) => Err(forbidden_because(&format!(
            "{key:?} is a reserved extra key: only this server sets it"
        ))),
        None => Ok(()),
    }
}

/// Returns the identity as it is sent to the cluster. Rejects names that Kubernetes reserves, and
/// removes reserved groups, which the cluster adds itself.
fn forwardable(user: Identity) -> Result<Identity, Status> {
    if let Some(reserved) = user.reserved_identity() {
        let text = format!("{reserved:?} is reserved by Kubernetes");
        return Err(forbidden_because(&text));
    }
    Ok(user.with_groups(|group| !group.starts_with(RESERVED_PREFIX)))
}

#[cfg(test)]
mod tests {
    use auth::UserInfo;

    use super::*;

    fn forwarded(user: UserInfo) -> Result<UserInfo, String> {
        let user = forwardable(Identity::check(user).unwrap());
        let user = user.map(Identity::into_user);
        user.map_err(|status| status.message)
    }

    #[test]
    fn reserved_names_and_groups_do_not_go_downstream() {
        let user = |name: &str, groups: &[&str]| UserInfo {
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..UserInfo::named(name)
        };
        let everybody = "system:authenticated";
        assert_eq!(
            forwarded(user("alice", &[everybody])),
            Ok(user("alice", &[]))
        );
        assert_eq!(
            forwarded(user("alice", &["dev", everybody])),
            Ok(user("alice", &["dev"]))
        );
        for (reserved, quoted) in [
            (user("system:admin", &[]), "system:admin"),
            (
                user("system:serviceaccount:a:b", &[]),
                "system:serviceaccount:a:b",
            ),
            (user("alice", &["dev", "system:masters"]), "system:masters"),
        ] {
            let text = format!("forbidden: {quoted:?} is reserved by Kubernetes");
            assert_eq!(forwarded(reserved), Err(text));
        }
    }
}
