//! GET of one object.

use axum::body::Body;
use http::{Request, Response, StatusCode};
use machinery::status::Status;

use super::Call;
use crate::description::Verb;
use crate::options::RequestedVersion;
use crate::resource::Resource;
use crate::respond::Representation;

pub(super) async fn handle<R: Resource>(
    call: Call<'_, R>,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let representation = Representation::of_object(&request, call.cx)?;
    if call.cx.query.flag("export") {
        return Err(Status::bad_request(
            "the export parameter, deprecated since v1.14, is no longer supported",
        ));
    }
    let target = call.target()?;
    let registry = call.resource.registry();
    let not_found = || Status::not_found(registry.group_resource(), &target.name);
    let visibility = call.resource.visibility(call.cx, Verb::Get).await?;
    let view = match RequestedVersion::parse(call.cx.query.value("resourceVersion"))? {
        RequestedVersion::Unset => registry.store().latest().await?,
        RequestedVersion::Any => registry.cache().view(),
        RequestedVersion::At(version) => registry.store().not_older_than(version).await?,
    };
    let key = registry.key(target.key());
    let object = view.get(&key).ok_or_else(not_found)?;
    if !visibility.admits(object).await? {
        return Err(not_found());
    }
    if object.broken().is_some() {
        registry.decode(object)?;
    }
    let personal = call.resource.personal(call.cx, object);
    let object = personal.as_ref().unwrap_or(object);
    representation.object(call.resource, StatusCode::OK, object)
}
