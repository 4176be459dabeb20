//! Subresources that a kind handles itself.

use axum::body::Body;
use http::{Request, Response};
use machinery::status::Status;

use super::Call;
use crate::description::Verb;
use crate::resource::Resource;

/// Finds the object and passes the request to the kind.
pub(super) async fn handle<R: Resource>(
    call: Call<'_, R>,
    verb: Verb,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let target = call.target()?;
    let registry = call.resource.registry();
    let not_found = || Status::not_found(registry.group_resource(), &target.name);
    let visibility = call.resource.visibility(call.cx, verb).await?;
    let stored = registry.find(target.key()).await?;
    let stored = stored.ok_or_else(not_found)?;
    if !visibility.admits(&stored).await? {
        return Err(not_found());
    }
    let object = registry.decode(&stored)?;
    call.resource
        .subresource(call.cx, &target.subresource, object, request)
        .await
}
