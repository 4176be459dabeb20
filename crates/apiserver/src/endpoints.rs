//! The kinds that are currently served, and the documents that describe them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use axum::body::Body;
use http::{Request, Response};
use machinery::meta::ObjectKey;
use machinery::status::Status;

use crate::description::Description;
use crate::discovery::{Discovery, GroupPriorities};
use crate::openapi::OpenApi;
use crate::request_context::RequestContext;
use crate::request_info::ResourceInfo;

/// A served kind, independent of the type of its objects.
#[async_trait]
pub(crate) trait Endpoint: Send + Sync {
    /// Returns the description of the kind.
    fn description(&self) -> &Description;

    /// Returns whether the kind is currently served.
    fn enabled(&self) -> bool;

    /// Returns whether requests other than reads change state. Those of most reviews do not.
    fn changes_state(&self) -> bool;

    /// Returns the number of its stored objects that cannot be read; `None` for a kind that is not
    /// stored.
    fn broken(&self) -> Option<usize>;

    /// Returns the size of one of its stored objects in bytes; 0 if the object does not exist.
    fn stored_bytes(&self, key: ObjectKey<'_>) -> usize;

    /// Handles an authorised request for the kind.
    async fn handle(
        &self,
        cx: RequestContext,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status>;
}

/// The kinds of the server, and the documents that describe the enabled ones.
pub(crate) struct Endpoints {
    all: Vec<Arc<dyn Endpoint>>,
    documents: ArcSwap<Documents>,
}

/// The discovery and OpenAPI documents of one set of enabled kinds.
pub(crate) struct Documents {
    enabled: Vec<bool>,
    /// The plain and the aggregated discovery documents.
    pub(crate) discovery: Discovery,
    /// The OpenAPI documents of both versions.
    pub(crate) openapi: OpenApi,
}

impl Endpoints {
    /// Returns all kinds, enabled or not.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<dyn Endpoint>> {
        self.all.iter()
    }

    pub(super) fn new(all: Vec<Arc<dyn Endpoint>>) -> Self {
        Self {
            documents: ArcSwap::from_pointee(Documents::of(&all, &enabled(&all))),
            all,
        }
    }

    /// Returns the enabled kind that a path names.
    pub(crate) fn find(&self, resource: &ResourceInfo) -> Option<&Arc<dyn Endpoint>> {
        let named = |endpoint: &&Arc<dyn Endpoint>| {
            let kind = endpoint.description();
            kind.plural == resource.resource
                && kind.group == resource.group
                && kind.version == resource.version
        };
        self.all
            .iter()
            .find(named)
            .filter(|endpoint| endpoint.enabled())
    }

    /// Returns whether a path names an enabled kind and, if it has one, a known subresource.
    pub(crate) fn serves(&self, resource: &ResourceInfo) -> bool {
        let description = self.find(resource).map(|endpoint| endpoint.description());
        description.is_some_and(|it| it.has_subresource(&resource.subresource))
    }

    /// Returns the documents for the kinds that are currently enabled. They are computed again only
    /// when that set changes, so their ETags are stable.
    pub(crate) fn documents(&self) -> Arc<Documents> {
        let documents = self.documents.load_full();
        let enabled = enabled(&self.all);
        if documents.enabled == enabled {
            return documents;
        }
        let documents = Arc::new(Documents::of(&self.all, &enabled));
        self.documents.store(Arc::clone(&documents));
        documents
    }
}

impl Documents {
    fn of(all: &[Arc<dyn Endpoint>], enabled: &[bool]) -> Self {
        let served = all.iter().zip(enabled).filter(|(_, enabled)| **enabled);
        let served: Vec<&Description> =
            served.map(|(endpoint, _)| endpoint.description()).collect();
        Self {
            enabled: enabled.to_vec(),
            discovery: Discovery::build(&served, &GroupPriorities::default()),
            openapi: OpenApi::build(&served),
        }
    }
}

fn enabled(all: &[Arc<dyn Endpoint>]) -> Vec<bool> {
    all.iter().map(|endpoint| endpoint.enabled()).collect()
}
