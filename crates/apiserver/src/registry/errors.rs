//! What clients see of a failing store: never more than they need, never what lies behind
//! (BEHAVIOUR §P).

use machinery::meta::GroupResource;
use machinery::status::{Reason, Status};
use storage::Error;

/// Seconds after which a client may try a store again that did not answer.
const RETRY_SECS: u32 = 1;

/// The status for a failure of the store while an object of this name was served.
pub(crate) fn status_of(error: Error, resource: &GroupResource, kind: &str, name: &str) -> Status {
    let kind = kind.to_lowercase();
    match error {
        Error::Exists => Status::already_exists(resource, name),
        Error::Conflict { .. } => Status::object_modified(resource, name),
        Error::Compacted { .. } => Status::expired_list(),
        Error::FutureRevision { requested, current } => {
            Status::too_large_resource_version(requested.get(), current.get(), RETRY_SECS)
        }
        Error::TooLarge { .. } => Status::failure(
            Reason::RequestEntityTooLarge,
            format!("{kind} {name:?} is too large to be stored"),
        ),
        Error::Unavailable(source) => {
            tracing::error!(error = %source, %resource, "the store is unavailable");
            Status::service_unavailable(
                format!("backing store unavailable for {kind} {name}"),
                Some(RETRY_SECS),
            )
        }
        other => {
            tracing::error!(error = %other, %resource, "the store failed");
            Status::internal(format!("error accessing backing object for {kind} {name}"))
        }
    }
}
