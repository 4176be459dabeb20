//! PUT of one object.

use axum::body::Body;
use http::{Request, Response, StatusCode};
use machinery::meta::{Metadata, MetadataExt, ObjectMeta};
use machinery::status::{Reason, Status};

use super::object_body::{self, BodyEncoding, Decoding};
use super::{Call, create};
use crate::description::Verb;
use crate::options::{WriteKind, WriteOptions};
use crate::request_body;
use crate::request_info::ResourceInfo;
use crate::resource::Resource;
use crate::respond::Representation;
use crate::write::{self, Candidate, Target};

pub(super) async fn handle<R: Resource>(
    call: Call<'_, R>,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let representation = Representation::of_object(&request, call.cx)?;
    let encoding = BodyEncoding::of(request.headers(), call.resource.protobuf())?;
    let body = request_body::take(request.into_body()).await?;
    let options = WriteOptions::parse(&call.cx.query, WriteKind::Update, &call.cx.user_agent)?;
    let target = call.target()?;
    let description = call.resource.registry().description();
    let decoding = Decoding {
        description,
        schema: call.schema,
        validation: options.validation,
        cx: call.cx,
    };
    let mut object: R::Object = decoding.object(&body, encoding)?;
    check_place(object.metadata(), target)?;
    object_body::settle_namespace(&mut object, description, &target.namespace)?;
    let visibility = call.resource.visibility(call.cx, Verb::Update).await?;
    let written = Target {
        key: target.key(),
        visibility: &visibility,
    };
    let by = call.ownership(&options);
    let make = |_: &R::Object, _: &_| {
        Ok(Candidate {
            object: object.clone(),
            applied: false,
        })
    };
    match write::update(&**call.resource, call.cx, written, &by, make).await {
        Err(status)
            if status.reason == Reason::NotFound
                && call.creates(call.resource.creates_on_update()) =>
        {
            let candidate = Candidate {
                object,
                applied: false,
            };
            let created = create::instead(&call, candidate, &by).await?;
            representation.written(call.resource, StatusCode::CREATED, &created)
        }
        updated => representation.written(call.resource, StatusCode::OK, &updated?),
    }
}

/// Checks that the object has the name of the path, and no other namespace.
fn check_place(metadata: &ObjectMeta, target: &ResourceInfo) -> Result<(), Status> {
    let name = metadata.name();
    if name != target.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    let namespace = metadata.namespace();
    if !namespace.is_empty() && namespace != target.namespace {
        return Err(Status::bad_request(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the request ({})",
            target.namespace
        )));
    }
    Ok(())
}
