//! The status that clients get for an error of the store. It never reveals details of the store;
//! the cause is only logged.

use machinery::meta::GroupResource;
use machinery::status::{Reason, Status};
use storage::Error;

/// The reason why a conditional write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The object changed since it was read. The caller reads it again and retries.
    #[error("the object has been modified")]
    Conflict,
    /// Any other failure.
    #[error("{}", .0.message)]
    Status(Status),
}

impl From<Status> for WriteError {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// The number of seconds after which a client may retry when the store is unavailable.
const RETRY_SECS: u32 = 1;

/// Returns the status for an error of the store while it served an object of this name.
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
        Error::Denied(source) => {
            tracing::error!(error = %source, %resource, "the store denied the request");
            Status::forbidden(resource, name, "backing store denied the request")
        }
        Error::Immutable => Status::forbidden(
            resource,
            name,
            "its stored record is immutable and can only be deleted",
        ),
        Error::Unavailable(source) => {
            tracing::error!(error = %source, %resource, "the store is unavailable");
            Status::service_unavailable(
                format!("backing store unavailable for {kind} {name}"),
                Some(RETRY_SECS),
            )
        }
        Error::Full => {
            tracing::error!(%resource, "the disk of the store is full");
            Status::service_unavailable(
                format!(
                    "backing store unavailable for {kind} {name}: disk full: only deletions are stored until there is free space"
                ),
                Some(RETRY_SECS),
            )
        }
        Error::Corrupt { key, source } => {
            let key = key.as_ref().map(tracing::field::display);
            tracing::error!(error = %source, key, %resource, "the store returned damaged data");
            inaccessible(&kind, name)
        }
        other => {
            tracing::error!(error = %other, %resource, "the store failed");
            inaccessible(&kind, name)
        }
    }
}

fn inaccessible(kind: &str, name: &str) -> Status {
    Status::internal(format!("error accessing backing object for {kind} {name}"))
}

#[cfg(test)]
mod tests {
    use machinery::meta::GroupResource;
    use storage::Error;

    use super::status_of;

    #[track_caller]
    fn check(error: Error, code: u16, message: &str) {
        let resource = GroupResource::new("wardle.example.com", "flunders");
        let status = status_of(error, &resource, "Flunder", "a");
        assert_eq!(
            (status.http_code(), status.message.as_str()),
            (code, message)
        );
    }

    #[test]
    fn what_lies_behind_is_not_named() {
        let cause = || std::sync::Arc::new(std::io::Error::other("secrets \"x\" in /var/lib"));
        check(
            Error::Denied(cause()),
            403,
            "flunders.wardle.example.com \"a\" is forbidden: backing store denied the request",
        );
        check(
            Error::Immutable,
            403,
            "flunders.wardle.example.com \"a\" is forbidden: its stored record is immutable and can only be deleted",
        );
        check(
            Error::Unavailable(cause()),
            503,
            "backing store unavailable for flunder a",
        );
        check(
            Error::Full,
            503,
            "backing store unavailable for flunder a: disk full: only deletions are stored until there is free space",
        );
        check(
            Error::Corrupt {
                key: None,
                source: cause(),
            },
            500,
            "Internal error occurred: error accessing backing object for flunder a",
        );
    }
}
