//! What is served at the moment, and the documents about it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use axum::body::Body;
use http::{Request, Response};
use machinery::status::Status;

use crate::description::Description;
use crate::discovery::{Discovery, GroupPriorities};
use crate::openapi::OpenApi;
use crate::request_context::RequestContext;
use crate::request_info::ResourceInfo;

/// A served kind, whatever the type of its objects.
#[async_trait]
pub(crate) trait Endpoint: Send + Sync {
    /// What the kind is.
    fn description(&self) -> &Description;

    /// Whether it is served at the moment.
    fn enabled(&self) -> bool;

    /// Whether requests other than reads change something. Those of most reviews do not.
    fn changes_state(&self) -> bool;

    /// The number of its stored objects that cannot be read now; `None` for a kind that is not stored.
    fn broken(&self) -> Option<usize>;

    /// Returns the size in bytes of one of its stored objects; 0 if there is none.
    fn stored_bytes(&self, namespace: &str, name: &str) -> usize;

    /// Answers a request for it that was authorised.
    async fn handle(
        &self,
        cx: RequestContext,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status>;
}

/// The served kinds, and the documents that describe those enabled.
pub(crate) struct Endpoints {
    all: Vec<Arc<dyn Endpoint>>,
    documents: ArcSwap<Documents>,
}

/// Discovery and OpenAPI of one set of enabled kinds.
pub(crate) struct Documents {
    enabled: Vec<bool>,
    /// Discovery, plain and aggregated.
    pub(crate) discovery: Discovery,
    /// OpenAPI, both versions.
    pub(crate) openapi: OpenApi,
}

impl Endpoints {
    /// All kinds, whether they are enabled or not.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<dyn Endpoint>> {
        self.all.iter()
    }

    pub(super) fn new(all: Vec<Arc<dyn Endpoint>>) -> Self {
        Self {
            documents: ArcSwap::from_pointee(Documents::of(&all, &enabled(&all))),
            all,
        }
    }

    /// The enabled kind that a path names.
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

    /// Whether a path names something that is served, subresource included.
    pub(crate) fn serves(&self, resource: &ResourceInfo) -> bool {
        let known = |endpoint: &Arc<dyn Endpoint>| {
            let subresources = endpoint.description().subresources;
            resource.subresource.is_empty()
                || subresources
                    .iter()
                    .any(|known| known.name == resource.subresource)
        };
        self.find(resource).is_some_and(known)
    }

    /// The documents about what is enabled now. They are made anew only when that changes, so their
    /// ETags last.
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
