//! What the filters protect: one handler for each verb, and the documents.
//!
//! Handlers adapt: they read options and body, call what does the work (`write`, the registry, the
//! cache) and put the result into the representation asked for.

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
mod update;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use http::{Request, Response};
use machinery::meta::GroupResource;
use machinery::schema::Schema;
use machinery::status::Status;
use machinery::validation;
use tower::ServiceExt;

pub(crate) use review::ReviewEndpoint;

use crate::description::{Description, Scope, Verb};
use crate::generic_server::{Endpoint, Parts};
use crate::options::WriteOptions;
use crate::request_context::RequestContext;
use crate::request_info::ResourceInfo;
use crate::resource::Resource;
use crate::respond::{self, StatusForm};
use crate::write::Ownership;

/// Answers a request that passed all filters.
pub(crate) async fn dispatch(parts: &Parts, request: Request<Body>) -> Response<Body> {
    let Some(cx) = request.extensions().get::<RequestContext>().cloned() else {
        return respond::missing_context();
    };
    if let Some(mounted) = parts.mounted(&cx.info.path) {
        return match mounted.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
    }
    let compress = !cx.info.is_long_running() && respond::accepts_gzip(request.headers());
    let failure = StatusForm::of(&request, &cx);
    let mut response = match &cx.info.resource {
        None => documents::answer(parts, &cx, request).await,
        Some(resource) => match find(parts, resource) {
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

/// The kind that a path names, if the path has the form of its scope.
fn find<'a>(parts: &'a Parts, resource: &ResourceInfo) -> Option<&'a Arc<dyn Endpoint>> {
    let endpoint = parts.endpoints.find(resource)?;
    let description = endpoint.description();
    let is_namespaces = description.group.is_empty() && description.plural == "namespaces";
    let fits = match description.scope {
        Scope::Cluster => resource.namespace.is_empty() || is_namespaces,
        Scope::Namespaced => !resource.namespace.is_empty() || !resource.named_by_path,
    };
    (fits && resource.trailing.is_empty() && resource.subresource.is_empty()).then_some(endpoint)
}

/// The verb of a request, if the kind knows it and the path is one for it: objects are created in a
/// collection and changed by name.
///
/// # Errors
/// 405 for other verbs; 400 for names that cannot be a segment of a path (A139).
fn served_verb(description: &Description, cx: &RequestContext) -> Result<Verb, Status> {
    let unsupported = || {
        let resource = GroupResource::new(description.group, description.plural);
        Status::method_not_allowed(&resource, &cx.info.verb)
    };
    let target = cx.info.resource.as_ref().ok_or_else(unsupported)?;
    let verb = description
        .verbs
        .iter()
        .copied()
        .find(|verb| verb.as_str() == cx.info.verb);
    let verb = verb.ok_or_else(unsupported)?;
    let across_namespaces = description.scope == Scope::Namespaced && target.namespace.is_empty();
    let fits = match verb {
        Verb::List | Verb::Watch => true,
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

/// A stored kind behind the verbs.
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
        Some(self.resource.registry().broken())
    }

    fn stored_bytes(&self, namespace: &str, name: &str) -> usize {
        let registry = self.resource.registry();
        let view = registry.collection().view();
        let stored = view.get(&registry.key(namespace, name));
        stored.map_or(0, |object| object.json().len())
    }

    async fn handle(
        &self,
        cx: RequestContext,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let verb = served_verb(self.description(), &cx)?;
        let call = Call {
            resource: &self.resource,
            schema: &self.schema,
            cx: &cx,
        };
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

/// A request on its way through a handler.
pub(crate) struct Call<'a, R> {
    /// The kind.
    pub(crate) resource: &'a Arc<R>,
    /// Its schema.
    pub(crate) schema: &'a Arc<Schema>,
    /// The request.
    pub(crate) cx: &'a RequestContext,
}

impl<R> Call<'_, R> {
    /// On whose behalf the request writes.
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
        }
    }

    /// What the path names.
    ///
    /// # Errors
    /// Never for a request that was dispatched.
    fn target(&self) -> Result<&ResourceInfo, Status> {
        self.cx
            .info
            .resource
            .as_ref()
            .ok_or_else(|| Status::internal("no resource in the request"))
    }
}
