//! OpenAPI documents, for `kubectl explain`, validation, `kubectl apply` and code generators.
//!
//! Version 2 is one document for the whole server, in JSON and in the protobuf encoding that
//! client-go requires. Version 3 is one document for each group version, and an index of them. All
//! are computed from the descriptions of the served kinds:
//!
//! ```text
//! Description ─┬─ definitions (schemas by name) ─┬─ swagger ── protobuf
//!              └─ operations  (paths, verbs)    ─┴─ version3
//! ```
//!
//! The documents match those of `k8s.io/apiserver` and `k8s.io/kube-openapi`, with two differences:
//! the descriptions of parameters are worded differently, and encodings that this server does not
//! support (protobuf, CBOR) are not listed. The bytes are stable across restarts, so the aggregator
//! of the host downloads them once.
//!
//! `OpenApi` holds encoded bytes. The handlers do negotiation, headers and compression.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::description::Description;
use crate::document::Document;
use crate::openapi::definitions::Definitions;

mod action;
mod definitions;
mod operations;
mod parameters;
mod protobuf;
mod swagger;
mod version3;

/// The name of the only security scheme in the documents.
const BEARER_TOKEN: &str = "BearerToken";

/// All OpenAPI documents of a server.
#[derive(Clone, Debug)]
pub struct OpenApi {
    /// `/openapi/v2` in JSON: Swagger 2.0.
    pub v2: Document,
    /// `/openapi/v2` in protobuf (`openapi.v2.Document` of gnostic), under the same tag.
    pub v2_protobuf: Document,
    /// `/openapi/v3`: the URL of each document of version 3, with its hash.
    pub v3_index: Document,
    /// `/openapi/v3/KEY` in JSON: OpenAPI 3.0, by key, e.g. `apis/wardle.example.com/v1` or
    /// `api/v1`.
    pub v3: BTreeMap<String, Document>,
}

impl OpenApi {
    /// Computes every document.
    pub fn build(descriptions: &[&Description]) -> Self {
        let definitions = Definitions::collect(descriptions);
        let operations = operations::of_server(descriptions, &definitions);
        let swagger = swagger::document(&operations, &definitions);
        let v2 = Document::json(&swagger);
        let v2_protobuf = v2.encoded_as(protobuf::encode(&swagger));
        let v3: BTreeMap<_, _> = group_versions(descriptions)
            .into_iter()
            .map(|(path, kinds)| {
                let operations = operations::of_version(&kinds, &definitions);
                let content = version3::document(&operations, &definitions);
                (
                    path.trim_start_matches('/').to_owned(),
                    Document::json(&content),
                )
            })
            .collect();
        Self {
            v2,
            v2_protobuf,
            v3_index: Document::json(&index(&v3)),
            v3,
        }
    }
}

/// Groups the kinds by the path of their group version.
fn group_versions<'a>(descriptions: &[&'a Description]) -> BTreeMap<String, Vec<&'a Description>> {
    let mut versions: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for &description in descriptions {
        versions
            .entry(description.path())
            .or_default()
            .push(description);
    }
    versions
}

/// Returns the index of version 3. Each URL contains the hash of its document, so that clients can
/// cache the document indefinitely.
fn index(documents: &BTreeMap<String, Document>) -> Value {
    let paths: Map<_, _> = documents
        .iter()
        .map(|(key, document)| {
            let url = format!("/openapi/v3/{key}?hash={}", document.hash());
            (key.clone(), json!({ "serverRelativeURL": url }))
        })
        .collect();
    json!({ "paths": paths })
}

/// Returns the `info` object of each document. The version is `unversioned` because versions belong
/// to the API groups.
fn info() -> Value {
    json!({ "title": "Kubernetes extension API server", "version": "unversioned" })
}

/// Returns the bearer token scheme, which is the same in both versions.
fn bearer_token() -> Value {
    json!({
        "description": "Bearer Token authentication",
        "in": "header",
        "name": "authorization",
        "type": "apiKey",
    })
}

/// Returns the description of a status code.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        _ => "Unauthorized",
    }
}

#[cfg(test)]
mod tests;
