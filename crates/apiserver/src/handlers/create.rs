//! POST to a collection.

use axum::body::Body;
use http::{Request, Response, StatusCode};
use machinery::status::Status;

use super::Call;
use super::object_body::{self, BodyEncoding, Decoding};
use crate::options::{WriteKind, WriteOptions};
use crate::request_body;
use crate::resource::Resource;
use crate::respond::{self, Representation};
use crate::write::{self, Candidate, Ownership};

pub(super) async fn handle<R: Resource>(
    call: Call<'_, R>,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let representation = Representation::of_object(&request, call.cx)?;
    let encoding = BodyEncoding::of(request.headers(), call.resource.protobuf())?;
    let body = request_body::take(request.into_body()).await?;
    let options = WriteOptions::parse(&call.cx.query, WriteKind::Create, &call.cx.user_agent)?;
    let target = call.target()?;
    let description = call.resource.registry().description();
    let decoding = Decoding {
        description,
        schema: call.schema,
        validation: options.validation,
        cx: call.cx,
    };
    let mut object: R::Object = decoding.object(&body, encoding)?;
    object_body::settle_namespace(&mut object, description, &target.namespace)?;
    let by = call.ownership(&options);
    let candidate = Candidate {
        object,
        applied: false,
    };
    let created = write::create(&**call.resource, call.cx, candidate, &by).await?;
    representation.written(call.resource, StatusCode::CREATED, &created)
}

/// Creates an object that an update or apply did not find, if the caller may create it.
///
/// # Errors
/// 403 if the caller may not create it; otherwise, any error of [`write::create`].
pub(super) async fn instead<R: Resource>(
    call: &Call<'_, R>,
    candidate: Candidate<R::Object>,
    by: &Ownership<'_>,
) -> Result<R::Object, Status> {
    let mut attributes = call.cx.attributes();
    attributes.verb = "create".to_owned();
    if !call.cx.may(&attributes).await? {
        return Err(respond::forbidden(&call.cx.user, &attributes, ""));
    }
    write::create(&**call.resource, call.cx, candidate, by).await
}
