//! Failures of API requests in general (apimachinery `pkg/api/errors/errors.go`).

use crate::field;
use crate::meta::{GroupKind, GroupResource};
use crate::quote::quote;

use super::{Cause, Details, Reason, Status};

impl Status {
    /// Creates a 400: the request is invalid for the reason in the text.
    #[must_use]
    pub fn bad_request(text: impl Into<String>) -> Status {
        Status::failure(Reason::BadRequest, text)
    }

    /// Creates a 401, which is the same for every failed authentication.
    #[must_use]
    pub fn unauthorized() -> Status {
        Status::failure(Reason::Unauthorized, "Unauthorized")
    }

    /// Creates a 403 for the reason in the text. The name is empty if the request has none, and the
    /// resource is empty for paths.
    #[must_use]
    pub fn forbidden(resource: &GroupResource, name: &str, text: &str) -> Status {
        let message = match (resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {text}"),
            (false, true) => format!("{resource} is forbidden: {text}"),
            (false, false) => format!("{resource} {} is forbidden: {text}", quote(name)),
        };
        Status::failure(Reason::Forbidden, message).with_details(about(resource, name))
    }

    /// Creates a 404: no object has this name.
    #[must_use]
    pub fn not_found(resource: &GroupResource, name: &str) -> Status {
        let message = format!("{resource} {} not found", quote(name));
        Status::failure(Reason::NotFound, message).with_details(about(resource, name))
    }

    /// Creates a 405: the resource does not have this verb.
    #[must_use]
    pub fn method_not_allowed(resource: &GroupResource, verb: &str) -> Status {
        let kind = quote(&resource.to_string());
        let message = format!("{verb} is not supported on resources of kind {kind}");
        Status::failure(Reason::MethodNotAllowed, message).with_details(about(resource, ""))
    }

    /// Creates a 406: the client did not accept any of these media types (apiserver
    /// `negotiation/errors.go`).
    #[must_use]
    pub fn not_acceptable(media_types: &[&str]) -> Status {
        let message = format!(
            "only the following media types are accepted: {}",
            media_types.join(", ")
        );
        Status::failure(Reason::NotAcceptable, message)
    }

    /// Creates a 409: an object of this name exists.
    #[must_use]
    pub fn already_exists(resource: &GroupResource, name: &str) -> Status {
        let message = format!("{resource} {} already exists", quote(name));
        Status::failure(Reason::AlreadyExists, message).with_details(about(resource, name))
    }

    /// Creates a 409: an object of this name exists and is being deleted, so that a retry may
    /// succeed.
    #[must_use]
    pub fn already_exists_terminating(resource: &GroupResource, name: &str) -> Status {
        Status::already_exists(resource, name).with_message_prefix("object is being deleted: ")
    }

    /// Creates a 409: every generated name was taken. `name` is the last one. The client should
    /// retry after a second.
    #[must_use]
    pub fn generate_name_conflict(resource: &GroupResource, name: &str) -> Status {
        let message = format!(
            "{resource} {} already exists, the server was not able to generate a unique name for \
             the object",
            quote(name)
        );
        Status::failure(Reason::AlreadyExists, message)
            .with_details(about(resource, name))
            .with_retry_after(1)
    }

    /// Creates a 409: the request contradicts the stored object, as the text explains.
    #[must_use]
    pub fn conflict(resource: &GroupResource, name: &str, text: &str) -> Status {
        let message = format!(
            "Operation cannot be fulfilled on {resource} {}: {text}",
            quote(name)
        );
        Status::failure(Reason::Conflict, message).with_details(about(resource, name))
    }

    /// Creates a 409: fields of an applied configuration belong to other managers, with one cause
    /// each.
    #[must_use]
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<Cause>) -> Status {
        Status::failure(Reason::Conflict, message).with_details(Details {
            causes,
            ..Details::default()
        })
    }

    /// Creates a 410: the object is gone, and no newer place is known.
    #[must_use]
    pub fn gone(text: impl Into<String>) -> Status {
        Status::failure(Reason::Gone, text)
    }

    /// Creates a 410: the version or token in the text is no longer kept.
    #[must_use]
    pub fn expired(text: impl Into<String>) -> Status {
        Status::failure(Reason::Expired, text)
    }

    /// Creates a 413: the body has more than `limit` bytes.
    #[must_use]
    pub fn request_entity_too_large(limit: usize) -> Status {
        Status::request_too_large(&format!("limit is {limit}"))
    }

    /// Creates a 413: the limit in the text, which is not that of the body's length, was exceeded.
    #[must_use]
    pub fn request_too_large(text: &str) -> Status {
        let message = format!("Request entity too large: {text}");
        Status::failure(Reason::RequestEntityTooLarge, message)
    }

    /// Creates a 415: the body has none of these media types (apiserver `negotiation/errors.go`).
    #[must_use]
    pub fn unsupported_media_type(media_types: &[&str]) -> Status {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            media_types.join(", ")
        );
        Status::failure(Reason::UnsupportedMediaType, message)
    }

    /// Creates a 422: the object or the options are invalid, with one cause for each error.
    #[must_use]
    pub fn invalid(kind: &GroupKind, name: &str, errors: &[field::Error]) -> Status {
        let mut message = format!("{kind} {} is invalid", quote(name));
        if !errors.is_empty() {
            message.push_str(": ");
            message.push_str(&field::aggregate(errors));
        }
        Status::failure(Reason::Invalid, message).with_details(Details {
            name: name.to_owned(),
            group: kind.group.to_string(),
            kind: kind.kind.to_string(),
            causes: errors.iter().map(Cause::from).collect(),
            ..Details::default()
        })
    }

    /// Creates a 422: a patch cannot be applied to the object. The cause is not disclosed.
    #[must_use]
    pub fn inapplicable_patch() -> Status {
        let message = "the server rejected our request due to an error in our request";
        Status::failure(Reason::Invalid, message).with_details(Details::default())
    }

    /// Creates a 429: the client should retry after `retry_secs` seconds.
    #[must_use]
    pub fn too_many_requests(text: impl Into<String>, retry_secs: u32) -> Status {
        Status::failure(Reason::TooManyRequests, text).with_retry_after(retry_secs)
    }

    /// Creates a 500: the server is at fault. Clients see the text, so it must not have paths,
    /// hosts, SQL or secrets.
    #[must_use]
    pub fn internal(text: impl Into<String>) -> Status {
        let text = text.into();
        let message = format!("Internal error occurred: {text}");
        let cause = Cause {
            message: text,
            ..Cause::default()
        };
        Status::failure(Reason::InternalError, message).with_details(Details {
            causes: vec![cause],
            ..Details::default()
        })
    }

    /// Creates a 500: the request was not completed in time. Nothing was changed, and the client
    /// should retry.
    #[must_use]
    pub fn server_timeout(resource: &GroupResource, operation: &str, retry_secs: u32) -> Status {
        let message = format!(
            "The {operation} operation against {resource} could not be completed at this time, \
             please try again."
        );
        Status::failure(Reason::ServerTimeout, message)
            .with_details(about(resource, operation))
            .with_retry_after(retry_secs)
    }

    /// Creates a 503: the server cannot handle the request now.
    #[must_use]
    pub fn service_unavailable(text: impl Into<String>, retry_secs: Option<u32>) -> Status {
        let status = Status::failure(Reason::ServiceUnavailable, text);
        match retry_secs {
            Some(seconds) => status.with_retry_after(seconds),
            None => status,
        }
    }

    /// Creates a 504: the request was not completed in time, but may still be completed.
    #[must_use]
    pub fn timeout(text: &str, retry_secs: u32) -> Status {
        let message = format!("Timeout: {text}");
        Status::failure(Reason::Timeout, message).with_retry_after(retry_secs)
    }
}

impl From<&field::Error> for Cause {
    fn from(error: &field::Error) -> Cause {
        Cause {
            reason: error.kind.reason().into(),
            message: error.body(),
            field: error.path.to_string(),
        }
    }
}

fn about(resource: &GroupResource, name: &str) -> Details {
    Details {
        name: name.to_owned(),
        group: resource.group.to_string(),
        kind: resource.resource.to_string(),
        ..Details::default()
    }
}
