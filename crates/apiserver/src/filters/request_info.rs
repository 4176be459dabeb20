//! Parses the request info, assigns the audit ID, and sets the headers of every response.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use http::header::{CACHE_CONTROL, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response};
use machinery::status::Status;

use super::Next;
use crate::query::Query;
use crate::request_context::RequestContext;
use crate::request_info::RequestInfo;
use crate::respond;
use crate::state::ServerState;

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// The maximum length of an `Audit-ID` from a client, in bytes. A longer one is replaced.
const AUDIT_ID_MAX_BYTES: usize = 64;

/// Calls the filters with the context of the request.
pub(super) async fn answer(next: Next<'_>, request: Request<Body>) -> Response<Body> {
    let state = next.state;
    let started = Instant::now();
    let query = request.uri().query().unwrap_or_default();
    let parsed = RequestInfo::parse(request.method(), request.uri().path(), query);
    let Some(info) = parsed else {
        return respond::status(Status::bad_request(
            "the path is not valid percent-encoded UTF-8",
        ));
    };
    let info = Arc::new(info);
    let cx = context(state, Arc::clone(&info), &request);
    let audit_id = Arc::clone(&cx.audit_id);
    let in_flight = state.metrics.in_flight(!info.is_read_only());
    let mut response = next.run(cx, request).await;
    drop(in_flight);
    let served = info
        .resource
        .as_ref()
        .filter(|resource| state.endpoints.serves(resource));
    state
        .metrics
        .observe(&info.verb, served, response.status(), started.elapsed());
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&audit_id) {
        headers.insert(AUDIT_ID, value);
    }
    let cache_control = HeaderValue::from_static("no-cache, private");
    headers.entry(CACHE_CONTROL).or_insert(cache_control);
    response
}

fn context(state: &ServerState, info: Arc<RequestInfo>, request: &Request<Body>) -> RequestContext {
    let header = |name: HeaderName| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let host = match header(HOST) {
        "" => request
            .uri()
            .authority()
            .map(|authority| authority.as_str())
            .unwrap_or_default(),
        host => host,
    };
    let audit_id = match header(AUDIT_ID) {
        sent if !sent.is_empty() && sent.len() <= AUDIT_ID_MAX_BYTES => sent.into(),
        _ => uuid::Uuid::new_v4().to_string().into(),
    };
    RequestContext {
        query: Arc::new(Query::parse(request.uri().query().unwrap_or_default())),
        user: Arc::default(),
        authenticated: Arc::default(),
        login: None,
        audit_id,
        user_agent: header(USER_AGENT).into(),
        host: host.into(),
        authorizer: Arc::clone(&state.authorizer),
        clock: Arc::clone(&state.clock),
        leases: Arc::clone(&state.leases),
        shutdown: state.shutdown.clone(),
        warnings: Arc::default(),
        info,
    }
}
