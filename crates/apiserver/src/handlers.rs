//! The handlers behind the filters: one for each verb, and those of the documents.
//!
//! A handler is an adapter: it parses options and body, calls `write`, the registry or the cache,
//! and encodes the result in the requested representation.

mod create;
mod delete;
mod delete_collection;
mod documents;
mod get;
mod list;
mod list_body;
mod object_body;
mod patch;
mod review;
mod selection;
mod subresource;
mod update;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use http::{Method, Request, Response};
use machinery::meta::{GroupResource, ObjectKey};
use machinery::schema::Schema;
use machinery::status::Status;
use machinery::validation;
use tower::ServiceExt;

pub(crate) use review::ReviewEndpoint;

use crate::description::{Description, STATUS, Scope, Verb};
use crate::endpoints::Endpoint;
use crate::mount::MountedRequest;
use crate::options::WriteOptions;
use crate::request_context::RequestContext;
use crate::request_info::ResourceInfo;
use crate::resource::Resource;
use crate::respond::{self, StatusForm};
use crate::state::ServerState;
use crate::write::{Ownership, Part};

/// Handles a request that passed all filters.
pub(crate) async fn dispatch(
    state: &ServerState,
    cx: RequestContext,
    request: Request<Body>,
) -> Response<Body> {
    if let Some(mount) = state.mount(&cx.info.path) {
        let service = mount.service.clone();
        return match service.oneshot(MountedRequest { cx, request }).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
    }
    let compress = !cx.info.is_long_running() && respond::accepts_gzip(request.headers());
    let failure = StatusForm::of(&request, &cx);
    let mut response = match &cx.info.resource {
        None => documents::answer(state, &cx, request).await,
        Some(resource) => match find(state, resource) {
            None => respond::page_not_found(),
            Some(endpoint) => {
                let result = endpoint.handle(cx.clone(), request).await;
                result.unwrap_or_else(|status| failure.respond(&status))
            }
        },
    };
    respond::add_warnings(&mut response, &cx);
    if compress {
        respond::compressed(response).await
    } else {
        response
    }
}

/// Returns the endpoint that a path names, if the path matches the scope of its kind.
fn find<'a>(state: &'a ServerState, resource: &ResourceInfo) -> Option<&'a Arc<dyn Endpoint>> {
    let endpoint = state.endpoints.find(resource)?;
    let description = endpoint.description();
    let is_namespaces = description.group.is_empty() && description.plural == "namespaces";
    let fits = match description.scope {
        Scope::Cluster => resource.namespace.is_empty() || is_namespaces,
        Scope::Namespaced => !resource.namespace.is_empty() || !resource.named_by_path,
    };
    let is_known = description.has_subresource(&resource.subresource);
    (fits && resource.trailing.is_empty() && is_known).then_some(endpoint)
}

/// Returns the verb of a request if the kind supports it and the path fits the verb. Objects are
/// created in a collection and changed by name.
///
/// # Errors
/// 405 for other verbs; 400 for a namespace or name that is not a valid path segment.
fn served_verb(
    description: &Description,
    cx: &RequestContext,
    method: &Method,
) -> Result<Verb, Status> {
    let unsupported = || {
        let resource = GroupResource::new(description.group, description.plural);
        Status::method_not_allowed(&resource, &cx.info.verb)
    };
    let target = cx.info.resource.as_ref().ok_or_else(unsupported)?;
    let verbs = match description.subresource(&target.subresource) {
        Some(subresource) => subresource.verbs,
        None => description.verbs,
    };
    let verb = verbs
        .iter()
        .copied()
        .find(|verb| verb.as_str() == cx.info.verb);
    let verb = verb.ok_or_else(unsupported)?;
    let across_namespaces = description.scope == Scope::Namespaced && target.namespace.is_empty();
    let fits = match verb {
        Verb::List => true,
        // A path can ask for a watch with any method.
        Verb::Watch => matches!(*method, Method::GET | Method::HEAD),
        Verb::Create if !target.subresource.is_empty() => target.named_by_path,
        Verb::Create | Verb::DeleteCollection => !target.named_by_path && !across_namespaces,
        Verb::Get | Verb::Update | Verb::Patch | Verb::Delete => target.named_by_path,
    };
    if !fits {
        return Err(unsupported());
    }
    check_segment("Namespace", &target.namespace)?;
    if target.named_by_path {
        check_segment("Name", &target.name)?;
    }
    Ok(verb)
}

fn check_segment(what: &str, name: &str) -> Result<(), Status> {
    let problems = validation::path_segment_name(name);
    if problems.is_empty() {
        return Ok(());
    }
    Err(Status::bad_request(format!(
        "{what} parameter invalid: {name:?}: {}",
        problems.join(";")
    )))
}

/// The endpoint of a stored kind.
pub(crate) struct StoredEndpoint<R> {
    resource: Arc<R>,
    schema: Arc<Schema>,
}

impl<R: Resource> StoredEndpoint<R> {
    pub(crate) fn new(resource: R, schema: Arc<Schema>) -> Self {
        Self {
            resource: Arc::new(resource),
            schema,
        }
    }
}

#[async_trait]
impl<R: Resource> Endpoint for StoredEndpoint<R> {
    fn description(&self) -> &Description {
        self.resource.registry().description()
    }

    fn enabled(&self) -> bool {
        self.resource.enabled()
    }

    fn changes_state(&self) -> bool {
        true
    }

    fn broken(&self) -> Option<usize> {
        Some(self.resource.registry().cache().broken())
    }

    fn stored_bytes(&self, key: ObjectKey<'_>) -> usize {
        let registry = self.resource.registry();
        let view = registry.cache().view();
        let stored = view.get(&registry.key(key));
        stored.map_or(0, |object| object.json().len())
    }

    async fn handle(
        &self,
        cx: RequestContext,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let verb = served_verb(self.description(), &cx, request.method())?;
        let mut call = Call {
            resource: &self.resource,
            schema: &self.schema,
            cx: &cx,
            part: Part::Object,
        };
        match call.target()?.subresource.as_str() {
            "" => {}
            STATUS => call.part = Part::Status,
            _ => return subresource::handle(call, verb, request).await,
        }
        match verb {
            Verb::Get => get::handle(call, request).await,
            Verb::List => list::handle(call, request).await,
            Verb::Watch => watch::handle(call, request).await,
            Verb::Create => create::handle(call, request).await,
            Verb::Update => update::handle(call, request).await,
            Verb::Patch => patch::handle(call, request).await,
            Verb::Delete => delete::handle(call, request).await,
            Verb::DeleteCollection => delete_collection::handle(call, request).await,
        }
    }
}

/// The arguments of a verb handler.
pub(crate) struct Call<'a, R> {
    /// The served kind.
    pub(crate) resource: &'a Arc<R>,
    /// The schema of the kind.
    pub(crate) schema: &'a Arc<Schema>,
    /// The context of the request.
    pub(crate) cx: &'a RequestContext,
    /// The part of the object that the request reads or writes.
    pub(crate) part: Part,
}

impl<R> Call<'_, R> {
    /// Returns the field ownership that the write of this request uses.
    fn ownership<'o>(&'o self, options: &'o WriteOptions) -> Ownership<'o>
    where
        R: Resource,
    {
        Ownership {
            schema: self.schema,
            manager: &options.manager,
            api_version: self.resource.registry().api_version(),
            time: self.cx.clock.now(),
            dry_run: options.dry_run,
            part: self.part,
        }
    }

    /// Returns whether a write to an object that does not exist creates it.
    fn creates(&self, allowed: bool) -> bool {
        allowed && self.part == Part::Object
    }

    /// Returns the resource that the path names.
    ///
    /// # Errors
    /// 500 if the path names no resource, which does not happen for a dispatched request.
    fn target(&self) -> Result<&ResourceInfo, Status> {
        self.cx
            .info
            .resource
            .as_ref()
            .ok_or_else(|| Status::internal("no resource in the request"))
    }
}
