//! Failures of API requests in general (apimachinery `pkg/api/errors/errors.go`).

use crate::field;
use crate::meta::{GroupKind, GroupResource};
use crate::quote::quote;

use super::{Cause, Details, Reason, Status};

impl Status {
    /// 400: the text says what is wrong with the request.
    #[must_use]
    pub fn bad_request(text: impl Into<String>) -> Status {
        Status::failure(Reason::BadRequest, text)
    }

    /// 401, the same for every way of not being known.
    #[must_use]
    pub fn unauthorized() -> Status {
        Status::failure(Reason::Unauthorized, "Unauthorized")
    }

    /// 403: the text says why. Without a name for requests that name none, with an empty resource
    /// for paths.
    #[must_use]
    pub fn forbidden(resource: &GroupResource, name: &str, text: &str) -> Status {
        let message = match (resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {text}"),
            (false, true) => format!("{resource} is forbidden: {text}"),
            (false, false) => format!("{resource} {} is forbidden: {text}", quote(name)),
        };
        Status::failure(Reason::Forbidden, message).with_details(about(resource, name))
    }

    /// 404: no object of this name.
    #[must_use]
    pub fn not_found(resource: &GroupResource, name: &str) -> Status {
        let message = format!("{resource} {} not found", quote(name));
        Status::failure(Reason::NotFound, message).with_details(about(resource, name))
    }

    /// 405: the resource has no such verb.
    #[must_use]
    pub fn method_not_allowed(resource: &GroupResource, verb: &str) -> Status {
        let kind = quote(&resource.to_string());
        let message = format!("{verb} is not supported on resources of kind {kind}");
        Status::failure(Reason::MethodNotAllowed, message).with_details(about(resource, ""))
    }

    /// 406: none of these media types was accepted by the client (apiserver
    /// `negotiation/errors.go`).
    #[must_use]
    pub fn not_acceptable(media_types: &[&str]) -> Status {
        let message = format!(
            "only the following media types are accepted: {}",
            media_types.join(", ")
        );
        Status::failure(Reason::NotAcceptable, message)
    }

    /// 409: an object of this name exists.
    #[must_use]
    pub fn already_exists(resource: &GroupResource, name: &str) -> Status {
        let message = format!("{resource} {} already exists", quote(name));
        Status::failure(Reason::AlreadyExists, message).with_details(about(resource, name))
    }

    /// 409: an object of this name exists and is being deleted, so that a retry may succeed.
    #[must_use]
    pub fn already_exists_terminating(resource: &GroupResource, name: &str) -> Status {
        Status::already_exists(resource, name).with_message_prefix("object is being deleted: ")
    }

    /// 409: every generated name was taken; `name` is the last one. Asks for a retry after a
    /// second.
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

    /// 409: the text says what contradicts the stored object.
    #[must_use]
    pub fn conflict(resource: &GroupResource, name: &str, text: &str) -> Status {
        let message = format!(
            "Operation cannot be fulfilled on {resource} {}: {text}",
            quote(name)
        );
        Status::failure(Reason::Conflict, message).with_details(about(resource, name))
    }

    /// 409: fields of an applied configuration belong to other managers; one cause each.
    #[must_use]
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<Cause>) -> Status {
        Status::failure(Reason::Conflict, message).with_details(Details {
            causes,
            ..Details::default()
        })
    }

    /// 410: gone, and no newer place is known.
    #[must_use]
    pub fn gone(text: impl Into<String>) -> Status {
        Status::failure(Reason::Gone, text)
    }

    /// 410: the version or token is no longer kept; the text says which.
    #[must_use]
    pub fn expired(text: impl Into<String>) -> Status {
        Status::failure(Reason::Expired, text)
    }

    /// 413: the body has more than `limit` bytes.
    #[must_use]
    pub fn request_entity_too_large(limit: usize) -> Status {
        Status::request_too_large(&format!("limit is {limit}"))
    }

    /// 413: a limit other than that of the body's length was exceeded; the text says which.
    #[must_use]
    pub fn request_too_large(text: &str) -> Status {
        let message = format!("Request entity too large: {text}");
        Status::failure(Reason::RequestEntityTooLarge, message)
    }

    /// 415: the body is in none of these media types (apiserver `negotiation/errors.go`).
    #[must_use]
    pub fn unsupported_media_type(media_types: &[&str]) -> Status {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            media_types.join(", ")
        );
        Status::failure(Reason::UnsupportedMediaType, message)
    }

    /// 422: the object or the options are not valid; one cause for each error.
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

    /// 422: a patch that cannot be applied to the object; the cause is not disclosed.
    #[must_use]
    pub fn inapplicable_patch() -> Status {
        let message = "the server rejected our request due to an error in our request";
        Status::failure(Reason::Invalid, message).with_details(Details::default())
    }

    /// 429: come back in `retry_secs`.
    #[must_use]
    pub fn too_many_requests(text: impl Into<String>, retry_secs: u32) -> Status {
        Status::failure(Reason::TooManyRequests, text).with_retry_after(retry_secs)
    }

    /// 500: the server is at fault. Clients see the text: no paths, hosts, SQL or secrets.
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

    /// 500: not done in time; nothing was changed and the client should try again.
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

    /// 503: the server cannot answer now.
    #[must_use]
    pub fn service_unavailable(text: impl Into<String>, retry_secs: Option<u32>) -> Status {
        let status = Status::failure(Reason::ServiceUnavailable, text);
        match retry_secs {
            Some(seconds) => status.with_retry_after(seconds),
            None => status,
        }
    }

    /// 504: not done in time, but it may still be.
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
