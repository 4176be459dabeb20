//! Forwarding of one request to a cluster.

use std::sync::Arc;

use apiserver::request_info::RequestInfo;
use apiserver::server::Peer;
use auth::Identity;
use auth::identity::is_spelling_of;
use auth::user::{ANONYMOUS, RESERVED_PREFIX};
use axum::body::Body;
use http::header::{CONNECTION, HeaderValue, VIA};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use machinery::meta::GroupResource;
use machinery::status::{Reason, Status};
use tokens::authenticator::EXTRA_TOKEN;
use tokio_util::sync::CancellationToken;

use crate::answer_headers::{self, Unacceptable};
use crate::bearer;
use crate::edge::{Recognised, Unrecognised};
use crate::gateway::Gateway;
use crate::redirect::Origin;
use crate::relay::Relayed;
use crate::request_headers;
use crate::sessions::{NewSession, Session};
use crate::status::{looped, respond, unavailable};
use crate::tunnel::{self, Protocol};
use crate::upstream::{Slot, Upstream, UpstreamError};

/// Subresources whose answer may begin late and take long (kube-apiserver
/// `--long-running-request-regexp`).
const LONG_RUNNING: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

/// An authenticated caller, and what the request holds while it is in flight.
struct Caller {
    user: Identity,
    session: Session,
    upstream: Arc<Upstream>,
    place: Slot,
}

/// The resources that a tunnel holds until it ends.
type Hold = (Session, Slot);

/// Marks a request that came in by a host name of the cluster, where paths begin at the root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByName;

impl Gateway {
    /// Answers a request to a cluster and writes it to the audit log.
    pub(crate) async fn answer(
        &self,
        id: &str,
        path: PathAndQuery,
        request: Request<Body>,
    ) -> Response<Body> {
        let info = RequestInfo::parse(
            request.method(),
            path.path(),
            path.query().unwrap_or_default(),
        )
        .unwrap_or_default();
        let connection = request.extensions().get::<Peer>().cloned();
        let peer = connection.as_ref().map(|peer| peer.address);
        let is_http2 = request.version() == Version::HTTP_2;
        let upgrade = Protocol::wanted(&request)
            .and_then(|_| request.extensions().get::<OnUpgrade>().cloned());
        let mut user = None;
        let mut response = match self.forward((id, path), (&info, request), &mut user).await {
            Ok(response) => response,
            Err(status) => respond(&status),
        };
        if let Some(upgrade) = upgrade
            && response.status() != StatusCode::SWITCHING_PROTOCOLS
        {
            tokio::spawn(tunnel::decline(upgrade));
            response = closing(response);
        }
        // Close HTTP/2 connections of unauthenticated clients, as the rest of the server does: they
        // limit rapid-reset attacks (CVE-2023-44487).
        let is_unknown = match user.as_deref() {
            None => response.status() == StatusCode::UNAUTHORIZED,
            Some(user) => user == ANONYMOUS,
        };
        if let Some(connection) = connection
            && is_http2
            && is_unknown
        {
            connection.end_connection();
        }
        let (user, peer) = (user.unwrap_or_default(), peer.map(tracing::field::display));
        let (verb, path, code) = (&info.verb, &info.path, response.status().as_u16());
        if info.is_read_only() && response.status().is_success() {
            tracing::debug!(target: "audit", ?user, cluster = id, verb, ?path, peer, code, "request");
        } else {
            tracing::info!(target: "audit", ?user, cluster = id, verb, ?path, peer, code, "request");
        }
        response
    }

    async fn forward(
        &self,
        (id, path): (&str, PathAndQuery),
        (info, mut request): (&RequestInfo, Request<Body>),
        who: &mut Option<String>,
    ) -> Result<Response<Body>, Status> {
        check_message(&request)?;
        if self.has_been_here(request.headers()) {
            return Err(looped(id));
        }
        let protocol = Protocol::wanted(&request);
        let is_long = protocol.is_some() || is_long_running(info);
        let caller = self.caller(id, (&mut request, protocol), is_long).await?;
        *who = Some(caller.user.name.clone());
        if caller.user.name != ANONYMOUS
            && let Some(peer) = request.extensions().get::<Peer>()
        {
            peer.authenticated();
        }
        if protocol.is_some_and(|protocol| protocol.is_cross_site(&request)) {
            let text = "cross-origin requests are not allowed";
            return Err(refused(text));
        }
        let ended = caller.session.ended().clone();
        tokio::select! {
            biased;
            () = ended.cancelled() => Err(Status::unauthorized()),
            answered = self.send((id, path), (request, protocol), caller, is_long) => answered,
        }
    }

    /// Authenticates the caller and takes a place for the request.
    ///
    /// An invalid credential is always the same 401: no token, an invalid token, a token for
    /// another cluster, or a cluster that does not exist.
    async fn caller(
        &self,
        id: &str,
        (request, protocol): (&mut Request<Body>, Option<Protocol>),
        is_long: bool,
    ) -> Result<Caller, Status> {
        if let Some(recognised) = request.extensions_mut().remove() {
            return self.recognised(id, recognised, is_long);
        }
        let is_websocket = protocol == Some(Protocol::WebSocket);
        let sent = bearer::take(request.headers_mut(), is_websocket);
        let sent = sent.ok_or_else(Status::unauthorized)?;
        let (token, epoch) = self.sessions.check(sent.expose(), id).await?;
        let user = Identity::check(token.identity());
        let user = user.map_err(|error| refused(&error.to_string()))?;
        let user = forwardable(user)?;
        let entered = self.upstreams.enter(id, &user.name);
        let (upstream, place) = entered.map_err(|error| failed(id, &error))?;
        let entry = NewSession {
            cluster: id.into(),
            token,
            is_long: is_long || self.parts.stop.is_cancelled(),
        };
        let session = self.sessions.enter(entry, epoch);
        Ok(Caller {
            user,
            session: session.ok_or_else(Status::unauthorized)?,
            upstream,
            place,
        })
    }

    /// Admits a caller that the cluster's own authentication has recognised.
    fn recognised(
        &self,
        id: &str,
        recognised: Recognised,
        is_long: bool,
    ) -> Result<Caller, Status> {
        let user = recognised.user.map_err(Unrecognised::status)?;
        let user = forwardable(user)?;
        check_extra(user.extra.keys())?;
        let by = recognised.by.as_deref();
        if let Some(group) = by.and_then(|by| by.reserved_group(&user)) {
            let text = format!("{group:?} is a reserved group: only this server adds users to it");
            return Err(refused(&text));
        }
        // Not to be mixed up with a user of our tokens who has the same name.
        let share = format!("{} (recognised at {id})", user.name);
        let entered = self.upstreams.enter(id, &share);
        let (upstream, place) = entered.map_err(|error| failed(id, &error))?;
        let is_long = is_long || self.parts.stop.is_cancelled();
        let session = self.sessions.enter_without_token(id, is_long);
        // A change of the configuration in the meantime has not ended this session.
        if self.edge.configured(id) != recognised.by {
            return Err(Status::unauthorized());
        }
        Ok(Caller {
            user,
            session,
            upstream,
            place,
        })
    }

    /// Sends the request to the cluster and returns the cleaned answer.
    async fn send(
        &self,
        (id, path): (&str, PathAndQuery),
        (mut request, protocol): (Request<Body>, Option<Protocol>),
        caller: Caller,
        is_long: bool,
    ) -> Result<Response<Body>, Status> {
        let user = self.acting_as(id, caller.user, request.headers()).await?;
        let client = hyper::upgrade::on(&mut request);
        let ended = caller.session.ended().clone();
        let by_name = request.extensions().get::<ByName>().is_some();
        let is_alone = request.version() < Version::HTTP_2;
        let peer = request.extensions().get::<Peer>();
        let reader = peer.filter(|_| is_alone).cloned();
        let asked = path.clone();
        let onward = self.onward(request, (path, user), ended.clone())?;
        let (upstream, session, place) = (caller.upstream, caller.session, caller.place);
        let origin = Origin {
            cluster: id,
            authority: upstream.authority(),
            base_path: upstream.base_path(),
            asked: &asked,
            by_name,
        };
        if let Some(protocol) = protocol {
            // Boxed, since few requests need it and it would enlarge the future of all.
            let answer = Box::pin(upgrade(&upstream, onward, protocol)).await;
            let answer = answer.map_err(|error| failed(id, &error))?;
            self.note_refusal(id, answer.status());
            let cut = upstream.is_cut();
            let hold = (session, place);
            return Ok(tunnelled((&origin, cut), (client, protocol), answer, hold));
        }
        let admitted = self.unread.admit(place.user());
        admitted.map_err(|error| failed(id, &error))?;
        let head = (!is_long).then_some(self.parts.options.head);
        let mut answer = upstream
            .send(onward, head)
            .await
            .map_err(|error| failed(id, &error))?;
        let code = answer.status();
        self.note_refusal(id, code);
        let cleaned = answer_headers::clean(code, answer.headers_mut(), &origin);
        cleaned.map_err(|why| unacceptable(id, why))?;
        Ok(answer.map(|body| {
            let trailers = answer_headers::clean_trailers;
            let body = self.unread.follow(id, body, place, reader);
            Body::new(Relayed::answer(body, session, ended, trailers))
        }))
    }

    /// Has a cluster that answered 403 probed again: either the user lacks a permission there, or
    /// the gateway has lost its permission to impersonate.
    fn note_refusal(&self, cluster: &str, code: StatusCode) {
        if code == StatusCode::FORBIDDEN {
            self.upstreams.request_probe(cluster);
        }
    }

    /// Returns the caller, or the identity that the caller impersonates, if the cluster permits it.
    /// Either way the identity names the caller's token, because objects that it creates at a host
    /// of this server are bound by that token.
    async fn acting_as(
        &self,
        id: &str,
        user: Identity,
        headers: &HeaderMap,
    ) -> Result<Identity, Status> {
        let wanted = request_headers::requested_impersonation(headers);
        if !wanted.is_requested() {
            return Ok(user);
        }
        check_extra(wanted.extra.keys())?;
        let access = self.access.impersonated(id, &user, wanted);
        let acting = Box::pin(access).await?;
        tracing::info!(target: "audit", user = ?user.name, cluster = id, impersonated = ?acting.name, "impersonation");
        Ok(acting.with_extra_of(&user, EXTRA_TOKEN))
    }

    /// Returns the request as it is sent to the cluster.
    fn onward(
        &self,
        request: Request<Body>,
        (path, user): (PathAndQuery, Identity),
        ended: CancellationToken,
    ) -> Result<Request<Body>, Status> {
        let (parts, body) = request.into_parts();
        let body = match body.is_end_stream() {
            true => Body::empty(),
            false => {
                let trailers = request_headers::clean_trailers;
                Body::new(Relayed::request(body, ended, trailers))
            }
        };
        let mut headers = request_headers::clean(&parts.headers);
        headers.append(VIA, self.via.clone());
        request_headers::impersonate(&mut headers, user).map_err(|error| {
            refused(&format!(
                "the user cannot be sent in Impersonate-* headers: {error}"
            ))
        })?;
        let mut onward = Request::new(body);
        *onward.method_mut() = parts.method;
        *onward.uri_mut() = Uri::from(path);
        *onward.headers_mut() = headers;
        Ok(onward)
    }

    fn has_been_here(&self, headers: &HeaderMap) -> bool {
        let mut passed = headers.get_all(VIA).iter();
        passed.any(|via| via.to_str().is_ok_and(|via| via.contains(&self.name)))
    }
}

/// Rejects requests that must not reach a cluster: methods for proxies (`CONNECT`), methods that
/// echo headers (`TRACE`), and upgrades with a body.
fn check_message(request: &Request<Body>) -> Result<(), Status> {
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        let method = request.method().as_str().to_ascii_lowercase();
        return Err(Status::method_not_allowed(
            &GroupResource::default(),
            &method,
        ));
    }
    let is_upgrade = Protocol::wanted(request).is_some();
    if is_upgrade && !(tunnel::may_begin(request.method()) && request.body().is_end_stream()) {
        return Err(Status::bad_request(
            "a request with a body cannot be upgraded",
        ));
    }
    Ok(())
}

/// Returns the identity as it is sent to the cluster. Rejects names that Kubernetes reserves, and
/// removes reserved groups, which the cluster adds itself.
fn forwardable(user: Identity) -> Result<Identity, Status> {
    if let Some(reserved) = user.reserved_identity() {
        let text = format!("{reserved:?} is reserved by Kubernetes");
        return Err(refused(&text));
    }
    Ok(user.with_groups(|group| !group.starts_with(RESERVED_PREFIX)))
}

/// Rejects the extra key that names the token of a request, in any spelling: only the gateway sets
/// it.
fn check_extra<'k>(keys: impl IntoIterator<Item = &'k String>) -> Result<(), Status> {
    let mut keys = keys.into_iter();
    match keys.find(|key| is_spelling_of(EXTRA_TOKEN, key)) {
        Some(key) => Err(refused(&format!(
            "{key:?} is a reserved extra key: only this server sets it"
        ))),
        None => Ok(()),
    }
}

fn refused(why: &str) -> Status {
    Status::forbidden(&GroupResource::default(), "", why)
}

fn is_long_running(info: &RequestInfo) -> bool {
    let subresource = info
        .resource
        .as_ref()
        .map(|named| named.subresource.as_str());
    info.is_long_running() || subresource.is_some_and(|name| LONG_RUNNING.contains(&name))
}

/// Returns 502 for an answer that must not reach the client.
fn unacceptable(cluster: &str, why: Unacceptable) -> Status {
    tracing::warn!(cluster, ?why, "a response of a cluster was not forwarded");
    let message = match why {
        Unacceptable::Redirect => format!(
            "cluster {cluster:?} redirects to an address outside the cluster: a redirect must stay below the address of the cluster"
        ),
        Unacceptable::Framing => {
            format!("cluster {cluster:?} responded with two lengths that contradict each other")
        }
        Unacceptable::Informational => {
            format!("cluster {cluster:?} upgraded the connection without a request to do so")
        }
    };
    Status {
        code: StatusCode::BAD_GATEWAY.as_u16(),
        ..Status::failure(Reason::ServiceUnavailable, message)
    }
}

async fn upgrade(
    upstream: &Upstream,
    mut request: Request<Body>,
    protocol: Protocol,
) -> Result<Response<Incoming>, UpstreamError> {
    protocol.ask(request.headers_mut());
    upstream.begin_upgrade(request).await
}

/// Returns the answer to an upgrade request, and starts the tunnel if the cluster agreed.
fn tunnelled(
    (origin, cut): (&Origin<'_>, CancellationToken),
    (client, protocol): (OnUpgrade, Protocol),
    answer: Response<Incoming>,
    hold: Hold,
) -> Response<Body> {
    let is_agreed = protocol.is_agreed(&answer);
    let mut headers = answer.headers().clone();
    let code = answer.status();
    let ended = hold.0.ended().clone();
    if !is_agreed {
        // Includes a 101 to another protocol, after which no HTTP answer would follow.
        if let Err(why) = answer_headers::clean(code, &mut headers, origin) {
            return closing(respond(&unacceptable(origin.cluster, why)));
        }
        let trailers = answer_headers::clean_trailers;
        let body = Relayed::answer(answer.into_body(), hold, ended, trailers);
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = code;
        *response.headers_mut() = headers;
        return closing(response);
    }
    answer_headers::clean_upgrade(&mut headers);
    let ends = [ended, cut];
    tokio::spawn(async move {
        tunnel::join(client, answer, ends).await;
        drop(hold);
    });
    protocol.ask(&mut headers);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    *response.headers_mut() = headers;
    response
}

/// Adds `Connection: close`, so that the server reads nothing more from the client.
fn closing(mut response: Response<Body>) -> Response<Body> {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// Returns the error for the user. The log also has its cause.
fn failed(cluster: &str, error: &UpstreamError) -> Status {
    if let UpstreamError::RequestBody(_) = error {
        return unavailable(cluster, error);
    }
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(cluster, %error, cause, "a request to a cluster failed");
    unavailable(cluster, error)
}

#[cfg(test)]
mod tests {
    use auth::UserInfo;

    use super::*;

    fn told(user: UserInfo) -> Result<UserInfo, String> {
        let forwarded = forwardable(Identity::check(user).unwrap());
        let forwarded = forwarded.map(Identity::into_user);
        forwarded.map_err(|status| status.message)
    }

    #[test]
    fn reserved_names_and_groups_do_not_go_downstream() {
        let user = |name: &str, groups: &[&str]| UserInfo {
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..UserInfo::named(name)
        };
        let everybody = "system:authenticated";
        assert_eq!(told(user("alice", &[everybody])), Ok(user("alice", &[])));
        assert_eq!(
            told(user("alice", &["dev", everybody])),
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
            assert_eq!(told(reserved), Err(text));
        }
    }
}
