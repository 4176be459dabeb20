//! Subresources that a kind handles itself.

use axum::body::Body;
use http::{Request, Response};
use machinery::status::Status;

use super::Call;
use crate::description::Verb;
use crate::resource::Resource;
use crate::write::{self, Target};

/// Finds the object and passes the request to the kind.
pub(super) async fn handle<R: Resource>(
    call: Call<'_, R>,
    verb: Verb,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let target = call.target()?;
    let registry = call.resource.registry();
    let visibility = call.resource.visibility(call.cx, verb).await?;
    let named = Target {
        key: target.key(),
        visibility: &visibility,
    };
    let stored = write::live(&**call.resource, named).await?;
    let object = registry.decode(&stored)?;
    call.resource
        .subresource(call.cx, &target.subresource, object, request)
        .await
}
