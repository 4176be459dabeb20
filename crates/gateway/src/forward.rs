//! Forwarding of one request to a cluster.

mod upgrade;

use std::sync::Arc;

use apiserver::request_info::RequestInfo;
use apiserver::server::Peer;
use auth::Identity;
use auth::user::ANONYMOUS;
use axum::body::Body;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use hyper::upgrade::OnUpgrade;
use machinery::meta::GroupResource;
use machinery::status::Status;
use tokens::token_record::EXTRA_TOKEN;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::answer_headers;
use crate::caller::{Caller, CallerAuthenticator, InFlight, check_extra_keys};
use crate::ceiling::{self, Passed};
use crate::cluster_request::{ClusterRequest, RequestKind};
use crate::redirect::Origin;
use crate::relay::Relayed;
use crate::request_headers;
use crate::status::{
    forbidden_because, looped, respond, unacceptable, unavailable_and_logged, with_connection_close,
};
use crate::tunnel;
use crate::unread::Unread;
use crate::upstream::Upstreams;
use crate::via::Via;

use upgrade::Upgrade;

/// Forwards requests to clusters.
pub(crate) struct Forwarder {
    pub(crate) callers: CallerAuthenticator,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) access: Access,
    /// Accounts for answers that clients do not read.
    pub(crate) unread: Arc<Unread>,
    pub(crate) via: Via,
}

/// The properties of a request that are needed after it was forwarded.
struct Received {
    cluster: Arc<str>,
    info: Arc<RequestInfo>,
    peer: Option<Peer>,
    is_multiplexed: bool,
    /// The client's side of a requested upgrade.
    upgrade: Option<OnUpgrade>,
}

impl Forwarder {
    /// Answers a request and writes it to the audit log.
    pub(crate) async fn answer(&self, mut request: ClusterRequest) -> Response<Body> {
        let received = Received::of(&request);
        let (user, answered) = match self.admit(&mut request).await {
            Ok(caller) => {
                let user = caller.user.name.clone();
                (Some(user), self.forward(request, caller).await)
            }
            Err(status) => (None, Err(status)),
        };
        let response = answered.unwrap_or_else(|status| respond(&status));
        received.finish(user, response)
    }

    /// Checks the request and authenticates its caller.
    async fn admit(&self, request: &mut ClusterRequest) -> Result<Caller, Status> {
        check_message(request)?;
        if self.via.is_in(request.inner.headers()) {
            return Err(looped(&request.cluster));
        }
        self.callers.authenticate(request).await
    }

    /// Sends the request while the caller's credential is valid.
    async fn forward(
        &self,
        request: ClusterRequest,
        caller: Caller,
    ) -> Result<Response<Body>, Status> {
        if caller.user.name != ANONYMOUS
            && let Some(peer) = &request.peer
        {
            peer.authenticated();
        }
        if let RequestKind::Upgrade(protocol) = request.kind
            && protocol.is_cross_site(&request.inner)
        {
            let text = "cross-origin requests are not allowed";
            return Err(forbidden_because(text));
        }
        let ended = caller.in_flight.session.ended().clone();
        tokio::select! {
            biased;
            () = ended.cancelled() => Err(Status::unauthorized()),
            answered = self.send_within_ceilings(request, caller) => answered,
        }
    }

    /// Sends the request if it passes the ceilings of the caller's token, with the groups of the
    /// grants whose ceilings it passes.
    async fn send_within_ceilings(
        &self,
        request: ClusterRequest,
        mut caller: Caller,
    ) -> Result<Response<Body>, Status> {
        if caller.ceilings.is_empty() && caller.granted.is_empty() {
            return self.send(request, caller).await;
        }
        // Boxed, since few requests need it and it would enlarge the future of all.
        match Box::pin(ceiling::check(request, &mut caller)).await? {
            Passed::Forward(request) => self.send(request, caller).await,
            Passed::Respond(response) => Ok(response),
            Passed::Rules(request, limit) => {
                let answer = Box::pin(self.send(request, caller)).await?;
                Ok(Box::pin(limit.apply(answer)).await)
            }
        }
    }

    /// Sends the request to the cluster and returns the cleaned answer.
    async fn send(
        &self,
        request: ClusterRequest,
        caller: Caller,
    ) -> Result<Response<Body>, Status> {
        let is_multiplexed = request.is_multiplexed();
        let ClusterRequest {
            cluster,
            path,
            kind,
            entry_point,
            peer,
            mut inner,
            ..
        } = request;
        let Caller {
            user,
            upstream,
            in_flight,
            ceilings: _,
            granted: _,
        } = caller;
        let user = self
            .impersonated_identity(&cluster, user, inner.headers())
            .await?;
        let client = hyper::upgrade::on(&mut inner);
        let ended = in_flight.session.ended().clone();
        let failed = |error| unavailable_and_logged(&cluster, &error);
        let outbound = self.outbound(inner, path.clone(), user, ended.clone())?;
        let origin = Origin {
            cluster: &cluster,
            authority: upstream.authority(),
            base_path: upstream.base_path(),
            asked: &path,
            by_name: entry_point.is_name(),
        };
        if let RequestKind::Upgrade(protocol) = kind {
            let upgrade = Upgrade {
                protocol,
                client,
                upstream: &upstream,
                origin: &origin,
            };
            // Boxed, since few requests need it and it would enlarge the future of all.
            let answer = Box::pin(upgrade.begin(outbound)).await.map_err(failed)?;
            self.probe_if_forbidden(&cluster, answer.status());
            return Ok(upgrade.finish(answer, in_flight));
        }
        let InFlight { session, slot } = in_flight;
        let turn = self.unread.admit(slot.user()).await.map_err(failed)?;
        let head = (!kind.is_long()).then(|| self.upstreams.head_deadline());
        let mut answer = upstream.send(outbound, head).await.map_err(failed)?;
        let code = answer.status();
        self.probe_if_forbidden(&cluster, code);
        answer_headers::clean(code, answer.headers_mut(), &origin)
            .map_err(|why| unacceptable(&cluster, why))?;
        let reader = peer.filter(|_| !is_multiplexed);
        Ok(answer.map(|body| {
            let trailers = answer_headers::clean_trailers;
            let body = self.unread.follow(&cluster, body, slot, turn, reader);
            Body::new(Relayed::answer(body, session, ended, trailers))
        }))
    }

    /// Has a cluster that answered 403 probed again: either the user lacks a permission there, or
    /// the gateway has lost its permission to impersonate.
    fn probe_if_forbidden(&self, cluster: &str, code: StatusCode) {
        if code == StatusCode::FORBIDDEN {
            self.upstreams.request_probe(cluster);
        }
    }

    /// Returns the caller, or the identity that the caller impersonates, if the cluster permits it.
    /// Either way the identity names the caller's token, because objects that it creates at a host
    /// of this server are bound by that token.
    async fn impersonated_identity(
        &self,
        cluster: &str,
        user: Identity,
        headers: &HeaderMap,
    ) -> Result<Identity, Status> {
        let requested = request_headers::requested_impersonation(headers);
        if !requested.is_requested() {
            return Ok(user);
        }
        check_extra_keys(requested.extra.keys())?;
        let checked = self.access.impersonated(cluster, &user, requested);
        let acting = Box::pin(checked).await?;
        tracing::info!(target: "audit", user = ?user.name, cluster, impersonated = ?acting.name, "impersonation");
        Ok(acting.with_extra_of(&user, EXTRA_TOKEN))
    }

    /// Returns the request as it is sent to the cluster.
    fn outbound(
        &self,
        request: Request<Body>,
        path: PathAndQuery,
        user: Identity,
        ended: CancellationToken,
    ) -> Result<Request<Body>, Status> {
        let (parts, sent) = request.into_parts();
        let body = match sent.is_end_stream() {
            true => Body::empty(),
            false => {
                let trailers = request_headers::clean_trailers;
                Body::new(Relayed::request(sent, ended, trailers))
            }
        };
        let mut headers = request_headers::clean(&parts.headers);
        self.via.append_to(&mut headers);
        request_headers::impersonate(&mut headers, user).map_err(|error| {
            forbidden_because(&format!(
                "the user cannot be sent in Impersonate-* headers: {error}"
            ))
        })?;
        let mut outbound = Request::new(body);
        *outbound.method_mut() = parts.method;
        *outbound.uri_mut() = Uri::from(path);
        *outbound.headers_mut() = headers;
        Ok(outbound)
    }
}

impl Received {
    fn of(request: &ClusterRequest) -> Self {
        let upgrade = match request.kind {
            RequestKind::Upgrade(_) => request.inner.extensions().get::<OnUpgrade>().cloned(),
            RequestKind::Short | RequestKind::LongRunning => None,
        };
        Self {
            cluster: Arc::clone(&request.cluster),
            info: Arc::clone(&request.info),
            peer: request.peer.clone(),
            is_multiplexed: request.is_multiplexed(),
            upgrade,
        }
    }

    /// Closes the client's connection after the response if necessary, and writes the audit log.
    fn finish(self, user: Option<String>, mut response: Response<Body>) -> Response<Body> {
        if let Some(upgrade) = self.upgrade
            && response.status() != StatusCode::SWITCHING_PROTOCOLS
        {
            tokio::spawn(tunnel::decline(upgrade));
            response = with_connection_close(response);
        }
        // Close HTTP/2 connections of unauthenticated clients, as the rest of the server does: they
        // limit rapid-reset attacks (CVE-2023-44487).
        let is_unauthenticated = match user.as_deref() {
            None => response.status() == StatusCode::UNAUTHORIZED,
            Some(user) => user == ANONYMOUS,
        };
        if let Some(peer) = &self.peer
            && self.is_multiplexed
            && is_unauthenticated
        {
            peer.end_connection();
        }
        let (user, cluster) = (user.unwrap_or_default(), &*self.cluster);
        let peer = self.peer.map(|peer| tracing::field::display(peer.address));
        let (verb, path, code) = (&self.info.verb, &self.info.path, response.status().as_u16());
        if self.info.is_read_only() && response.status().is_success() {
            tracing::debug!(target: "audit", ?user, cluster, verb, ?path, peer, code, "request");
        } else {
            tracing::info!(target: "audit", ?user, cluster, verb, ?path, peer, code, "request");
        }
        response
    }
}

/// Rejects requests that must not reach a cluster: methods for proxies (`CONNECT`), methods that
/// echo headers (`TRACE`), and upgrades with a body.
fn check_message(request: &ClusterRequest) -> Result<(), Status> {
    let method = request.inner.method();
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(Status::method_not_allowed(
            &GroupResource::default(),
            &method.as_str().to_ascii_lowercase(),
        ));
    }
    let is_upgrade = matches!(request.kind, RequestKind::Upgrade(_));
    if is_upgrade && !(tunnel::may_begin(method) && request.inner.body().is_end_stream()) {
        return Err(Status::bad_request(
            "a request with a body cannot be upgraded",
        ));
    }
    Ok(())
}
