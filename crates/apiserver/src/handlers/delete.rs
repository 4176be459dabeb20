//! DELETE of one object.

use axum::body::Body;
use http::{Request, Response, StatusCode};
use machinery::decode::protobuf::meta::DELETE_OPTIONS;
use machinery::meta::{Metadata, MetadataExt};
use machinery::status::{Details, Status};

use super::Call;
use super::object_body::BodyEncoding;
use crate::description::Verb;
use crate::options::DeleteOptions;
use crate::request_body;
use crate::resource::Resource;
use crate::respond::{Representation, StatusForm};
use crate::write::{self, Deleted, Target};

pub(super) async fn handle<R: Resource>(
    call: Call<'_, R>,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let representation = Representation::of_object(&request, call.cx)?;
    let form = StatusForm::of(&request, call.cx);
    let options = options(&call, request).await?;
    let target = call.target()?;
    let visibility = call.resource.visibility(call.cx, Verb::Delete).await?;
    let written = Target {
        key: target.key(),
        visibility: &visibility,
    };
    if write::delete_broken(&**call.resource, written, &options).await? {
        return Ok(form.respond(&gone(&call, &target.name, "")));
    }
    let deleted = write::delete(&**call.resource, call.cx, written, &options).await?;
    if !deleted.finished || call.resource.returns_deleted() {
        let accepted = !deleted.finished && options.accepted_when_unfinished;
        let code = if accepted {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        };
        return representation.written(call.resource, code, &deleted.object);
    }
    Ok(form.respond(&success(&call, &deleted)))
}

/// Reads the delete options from the body or, if it is empty, from the query.
///
/// # Errors
/// 400, 413, 415 and 422 for an invalid body or invalid options.
pub(super) async fn options<R: Resource>(
    call: &Call<'_, R>,
    request: Request<Body>,
) -> Result<DeleteOptions, Status> {
    let protobuf = call.resource.protobuf().map(|_| &DELETE_OPTIONS);
    let encoding = BodyEncoding::of(request.headers(), protobuf)?;
    let body = request_body::take(request.into_body()).await?;
    if body.is_empty() {
        return DeleteOptions::parse(None, &call.cx.query);
    }
    let decoded = encoding.decode(&body, "DeleteOptions")?;
    DeleteOptions::parse(Some(decoded.value), &call.cx.query)
}

fn success<R: Resource>(call: &Call<'_, R>, deleted: &Deleted<R::Object>) -> Status {
    let metadata = deleted.object.metadata();
    let uid = metadata.uid();
    gone(call, metadata.name(), uid)
}

fn gone<R: Resource>(call: &Call<'_, R>, name: &str, uid: &str) -> Status {
    let description = call.resource.registry().description();
    Status::success(Details {
        name: name.to_owned(),
        group: description.group.to_owned(),
        kind: description.plural.to_owned(),
        uid: uid.to_owned(),
        ..Details::default()
    })
}
