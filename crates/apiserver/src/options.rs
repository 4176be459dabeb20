//! The options of each verb, parsed from the query (or, for deletes, the body) and validated.
//!
//! Malformed text is a 400. Invalid values and combinations are a 422 of kind `ListOptions`,
//! `CreateOptions`, …, by the rules of `machinery::validation`.

mod delete;
mod list;
mod write;

pub(crate) use delete::{DeleteOptions, Preconditions, Propagation};
pub(crate) use list::{ListOptions, VersionMatch};
pub(crate) use write::{WriteKind, WriteOptions, manager_of};

use machinery::field;
use machinery::meta::GroupKind;
use machinery::status::Status;
use storage::Revision;

/// The `resourceVersion` that a client requested.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum RequestedVersion {
    /// Not set: the newest state.
    #[default]
    Unset,
    /// `0`: any state that the server has cached.
    Any,
    /// The state at this version.
    At(Revision),
}

impl RequestedVersion {
    /// Parses the text of the parameter.
    ///
    /// # Errors
    /// 400 if it is not an unsigned integer.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Status> {
        match text {
            None | Some("") => Ok(Self::Unset),
            Some("0") => Ok(Self::Any),
            Some(text) => text.parse().map(Self::At).map_err(|_| {
                Status::bad_request(format!(
                    "Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
                ))
            }),
        }
    }
}

/// Returns the 422 for options of this kind if there are errors.
fn invalid(kind: &'static str, errors: &[field::Error]) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(
        &GroupKind::new("meta.k8s.io", kind),
        "",
        errors,
    ))
}
