//! The paths that name no resource: discovery, OpenAPI, health, metrics and version.

use axum::body::Body;
use http::header::{ACCEPT, CACHE_CONTROL, VARY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use machinery::media_type::{self, DiscoveryVersion, Encoding, Offer, Transform};
use serde_json::json;

use crate::discovery::{AggregatedVersion, Discovery};
use crate::document::Document;
use crate::openapi::OpenApi;
use crate::request_context::RequestContext;
use crate::respond;
use crate::state::ServerState;

/// Handles a request for a path that names no resource.
pub(super) async fn answer(
    state: &ServerState,
    cx: &RequestContext,
    request: Request<Body>,
) -> Response<Body> {
    let path = cx.info.path.as_str();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return respond::page_not_found();
    }
    let unreadable = || {
        state
            .endpoints
            .iter()
            .filter_map(|kind| kind.broken())
            .sum()
    };
    if let Some(response) = state.health.answer(path, &cx.query, unreadable).await {
        return response;
    }
    match path {
        "/version" | "/version/" => version(state),
        "/metrics" => metrics(state),
        "/" => index(state),
        _ => document(state, path, request.headers()).unwrap_or_else(respond::page_not_found),
    }
}

fn version(state: &ServerState) -> Response<Body> {
    // Strings always have a JSON form.
    let json = serde_json::to_vec_pretty(&state.version).unwrap_or_default();
    respond::bytes(StatusCode::OK, "application/json", json)
}

fn metrics(state: &ServerState) -> Response<Body> {
    for kind in state.endpoints.iter() {
        if let Some(broken) = kind.broken() {
            state.metrics.set_broken(kind.description(), broken);
        }
    }
    match state.metrics.encode() {
        Ok(text) => respond::bytes(
            StatusCode::OK,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text,
        ),
        Err(_) => respond::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be encoded",
        ),
    }
}

/// Returns `/`: the list of all paths.
fn index(state: &ServerState) -> Response<Body> {
    let documents = state.endpoints.documents();
    let mut paths: Vec<String> = documents.discovery.paths().map(str::to_owned).collect();
    paths.extend(
        documents
            .openapi
            .v3
            .keys()
            .map(|key| format!("/openapi/v3/{key}")),
    );
    paths.extend(
        [
            "/healthz",
            "/livez",
            "/metrics",
            "/openapi/v2",
            "/openapi/v3",
            "/readyz",
            "/version",
        ]
        .map(str::to_owned),
    );
    paths.extend(state.mounts.iter().map(|mount| mount.path.clone()));
    paths.sort();
    // Strings always have a JSON form.
    let json = serde_json::to_vec_pretty(&json!({ "paths": paths })).unwrap_or_default();
    respond::bytes(StatusCode::OK, "application/json", json)
}

/// Returns a discovery or OpenAPI document.
fn document(state: &ServerState, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let documents = state.endpoints.documents();
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    if let Some(key) = path.strip_prefix("/openapi/v3/") {
        return documents
            .openapi
            .v3
            .get(key)
            .map(|document| tagged(document, "application/json", headers));
    }
    match path {
        "/openapi/v3" => Some(tagged(
            &documents.openapi.v3_index,
            "application/json",
            headers,
        )),
        "/openapi/v2" => Some(openapi_v2(&documents.openapi, accept, headers)),
        _ => {
            let path = path
                .strip_suffix('/')
                .filter(|path| !path.is_empty())
                .unwrap_or(path);
            discovery(&documents.discovery, path, accept, headers)
        }
    }
}

fn openapi_v2(openapi: &OpenApi, accept: Option<&str>, headers: &HeaderMap) -> Response<Body> {
    const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    let accept = accept.unwrap_or("*/*");
    let wants = |name: &str| {
        accept
            .split(',')
            .any(|clause| clause.split(';').next().unwrap_or_default().trim() == name)
    };
    if wants("application/json") || wants("*/*") || wants("application/*") {
        return tagged(&openapi.v2, "application/json", headers);
    }
    if wants(PROTOBUF) || wants("application/com.github.proto-openapi.spec.v2@v1.0+protobuf") {
        return tagged(&openapi.v2_protobuf, PROTOBUF, headers);
    }
    respond::bytes(StatusCode::NOT_ACCEPTABLE, "text/plain", Body::empty())
}

fn discovery(
    discovery: &Discovery,
    path: &str,
    accept: Option<&str>,
    headers: &HeaderMap,
) -> Option<Response<Body>> {
    discovery.document(path)?;
    let offer = if matches!(path, "/api" | "/apis") {
        Offer::DISCOVERY
    } else {
        Offer::PLAIN
    };
    let negotiated = match media_type::negotiate(accept, &offer) {
        Ok(negotiated) => negotiated,
        Err(error) => return Some(respond::status(error.into())),
    };
    let document = match negotiated.transform {
        Transform::AggregatedDiscovery {
            version: DiscoveryVersion::V2,
        } => discovery.aggregated(AggregatedVersion::V2, path)?,
        Transform::AggregatedDiscovery {
            version: DiscoveryVersion::V2beta1,
        } => discovery.aggregated(AggregatedVersion::V2Beta1, path)?,
        _ => discovery.document(path)?,
    };
    if negotiated.encoding == Encoding::Yaml {
        let yaml = respond::yaml(&document.bytes).map(|bytes| document.encoded_as(bytes));
        return Some(yaml.map_or_else(respond::status, |document| {
            tagged(&document, negotiated.content_type(), headers)
        }));
    }
    Some(tagged(document, negotiated.content_type(), headers))
}

/// Returns a document with its entity tag, or 304 if the client already has this version.
fn tagged(document: &Document, media_type: &'static str, headers: &HeaderMap) -> Response<Body> {
    let mut response = document.response(media_type, headers);
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept"));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}
