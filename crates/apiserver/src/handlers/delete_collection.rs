//! DELETE of a collection: deletes every selected object as if by name.

use std::sync::Arc;

use axum::body::Body;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use machinery::meta::Metadata;
use machinery::status::Status;

use super::list::{self, Page};
use super::selection::Selection;
use super::{Call, delete, list_body};
use crate::description::Verb;
use crate::options::{DeleteOptions, ListOptions};
use crate::resource::{Resource, Visibility};
use crate::respond::Representation;
use crate::stored_object::StoredObject;
use crate::write::{self, Target};

/// The maximum number of concurrent deletes. The store commits concurrent deletes together.
const PARALLEL: usize = 64;

pub(super) async fn handle<R: Resource>(
    call: Call<'_, R>,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let representation = Representation::of_list(&request, call.cx)?;
    let list_options = ListOptions::for_list(&call.cx.query)?;
    let options = delete::options(&call, request).await?;
    let selection = Selection::of(&call, Verb::DeleteCollection, &list_options).await?;
    let page = list::page(&call, &selection, &list_options).await?;
    let (call_ref, options_ref, visibility_ref) = (&call, &options, selection.visibility());
    let results: Vec<_> = stream::iter(page.items)
        .map(|object| async move {
            let result = delete_one(call_ref, &object, visibility_ref, options_ref).await;
            (object, result)
        })
        .buffered(PARALLEL)
        .collect()
        .await;
    let mut items: Vec<Arc<StoredObject>> = Vec::new();
    let mut failures = Vec::new();
    for (object, result) in results {
        match result {
            Ok(()) => items.push(object),
            // Another client has deleted the object in the meantime, which is the requested result.
            Err(status) if status.code == 404 => {}
            Err(status) => failures.push(status),
        }
    }
    match failures.into_iter().next() {
        Some(first) => Err(first),
        None => list_body::respond(
            &call,
            &representation,
            Page {
                items,
                metadata: page.metadata,
            },
        ),
    }
}

async fn delete_one<R: Resource>(
    call: &Call<'_, R>,
    object: &StoredObject,
    visibility: &Visibility,
    options: &DeleteOptions,
) -> Result<(), Status> {
    let decoded = call.resource.registry().decode(object)?;
    let target = Target {
        key: decoded.metadata().into(),
        visibility,
    };
    let deleted = write::delete(&**call.resource, call.cx, target, options).await;
    deleted.map(|_| ())
}
