//! The options of each verb, parsed from the query (or, for deletes, the body) and validated.
//!
//! Text that cannot be read is a 400; values and combinations that make no sense are a 422 of kind
//! `ListOptions`, `CreateOptions`, …, by the rules of `machinery::validation`.

mod delete;
mod list;
mod write;

pub(crate) use delete::{DeleteOptions, Preconditions, Propagation};
pub(crate) use list::{ListOptions, VersionMatch};
pub(crate) use write::{WriteKind, WriteOptions, manager_of};

use machinery::field;
use machinery::meta::GroupKind;
use machinery::status::Status;

/// What a client wrote as `resourceVersion`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum RequestedVersion {
    /// Nothing: the newest state.
    #[default]
    Unset,
    /// `0`: any state that the server has at hand.
    Any,
    /// This version.
    At(u64),
}

impl RequestedVersion {
    /// Reads the parameter's text.
    ///
    /// # Errors
    /// 400 where it is not a version of ours.
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

/// The 422 for options of this kind.
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
