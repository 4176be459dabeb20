//! Failures due to versions, tokens and preconditions (apiserver `pkg/storage`,
//! `pkg/registry/rest`).

use crate::meta::{GroupKind, GroupResource};

use super::{Cause, Reason, Status};

impl Status {
    /// Creates a 410: the exact version of a list is no longer kept.
    #[must_use]
    pub fn expired_list() -> Status {
        Status::expired("The resourceVersion for the provided list is too old.")
    }

    /// Creates a 410: the version after which a watch should start is no longer kept. `oldest` is
    /// the first version that is possible.
    #[must_use]
    pub fn expired_watch(requested: u64, oldest: u64) -> Status {
        Status::expired(format!("too old resource version: {requested} ({oldest})"))
    }

    /// Creates a 410: the version of a continue token is no longer kept. `token` resumes after the
    /// same key, but the list is inconsistent.
    #[must_use]
    pub fn expired_continue(token: impl Into<String>) -> Status {
        let message = "The provided continue parameter is too old to display a consistent list \
                       result. You can start a new list without the continue parameter, or use \
                       the continue token in this response to retrieve the remainder of the \
                       results. Continuing with the provided token results in an inconsistent \
                       list - objects that were created, modified, or deleted between the time \
                       the first chunk was returned and now may show up in the list.";
        Status::expired(message).with_continue(token)
    }

    /// Creates a 400: this server did not create the continue token. `why` is for people.
    #[must_use]
    pub fn invalid_continue(why: &str) -> Status {
        Status::bad_request(format!("invalid continue token: {why}"))
    }

    /// Creates a 400: the request has both a continue token and a version.
    #[must_use]
    pub fn continue_with_version() -> Status {
        Status::bad_request("specifying resource version is not allowed when using continue")
    }

    /// Creates a 429: the cache is not filled yet.
    #[must_use]
    pub fn storage_initializing(retry_secs: u32) -> Status {
        Status::too_many_requests("storage is (re)initializing", retry_secs)
    }

    /// Creates a 500: a stored object cannot be decoded or decrypted.
    #[must_use]
    pub fn store_read_error(text: impl Into<String>) -> Status {
        Status::failure(Reason::StoreReadError, text)
    }

    /// Creates a 504: the requested version is in the future.
    #[must_use]
    pub fn too_large_resource_version(requested: u64, current: u64, retry_secs: u32) -> Status {
        let text = format!("Too large resource version: {requested}, current: {current}");
        let mut status = Status::timeout(&text, retry_secs);
        status.details.get_or_insert_default().causes = vec![Cause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        }];
        status
    }

    /// Creates a 409: the object changed since the client read it.
    #[must_use]
    pub fn object_modified(resource: &GroupResource, name: &str) -> Status {
        let text = "the object has been modified; please apply your changes to the latest version \
                    and try again";
        Status::conflict(resource, name, text)
    }

    /// Creates a 409: a delete requires another uid. As upstream, the details name the kind.
    #[must_use]
    pub fn uid_precondition(kind: &GroupKind, name: &str, wanted: &str, found: &str) -> Status {
        let text = format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({found}). \
             The object might have been deleted and then recreated"
        );
        Status::conflict(&as_resource(kind), name, &text)
    }

    /// Creates a 409: a delete requires another version. As upstream, the details name the kind.
    #[must_use]
    pub fn version_precondition(kind: &GroupKind, name: &str, wanted: &str, found: &str) -> Status {
        let text = format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion \
             in record ({found}). The object might have been modified"
        );
        Status::conflict(&as_resource(kind), name, &text)
    }
}

/// Returns the text for [`Status::conflict`] if an update has the uid of another object. `key` is
/// the object's storage key.
#[must_use]
pub fn uid_mismatch(key: &str, wanted: &str, found: &str) -> String {
    format!(
        "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, \
         AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object \
         meta: {found}"
    )
}

fn as_resource(kind: &GroupKind) -> GroupResource {
    GroupResource {
        group: kind.group.clone(),
        resource: kind.kind.clone(),
    }
}
