//! The actions at a path, and their names and descriptions in OpenAPI.
//!
//! An action is a verb at one type of path: a `watch` of one object and a `watch` of a collection
//! are two actions. The names are those of `k8s.io/apiserver` `pkg/endpoints/installer.go`; client
//! generators derive method names from them.

use crate::description::Verb;
use crate::openapi::parameters::{self, Parameter};

/// An action of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    List,
    Create,
    DeleteCollection,
    Read,
    Replace,
    Patch,
    Delete,
    /// Watch of one object, at the deprecated `/watch` prefix.
    Watch,
    /// Watch of a collection, at the deprecated `/watch` prefix.
    WatchList,
}

/// The request, response and description of an action.
pub(super) struct Profile {
    /// The HTTP method in lower case.
    pub(super) method: &'static str,
    /// The verb that the resource must support.
    pub(super) verb: Verb,
    /// `x-kubernetes-action`.
    pub(super) name: &'static str,
    /// The start of the operation id.
    pub(super) id_prefix: &'static str,
    /// The part of the operation id after the group version.
    pub(super) id_infix: &'static str,
    /// The part of the operation id after the kind.
    pub(super) id_suffix: &'static str,
    /// The start of the description, up to the kind.
    pub(super) description: &'static str,
    pub(super) parameters: &'static [&'static Parameter],
    pub(super) request: Content,
    pub(super) answer: Content,
    /// The status codes of a successful response.
    pub(super) statuses: &'static [u16],
}

/// The content of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Content {
    Nothing,
    Object,
    List,
    Patch,
    DeleteOptions,
    Status,
    Event,
}

impl Action {
    /// Returns the profile of an action.
    pub(super) fn profile(self) -> &'static Profile {
        match self {
            Self::List => LIST,
            Self::Create => CREATE,
            Self::DeleteCollection => DELETE_COLLECTION,
            Self::Read => READ,
            Self::Replace => REPLACE,
            Self::Patch => PATCH,
            Self::Delete => DELETE,
            Self::Watch => WATCH,
            Self::WatchList => WATCH_LIST,
        }
    }
}

const LIST: &Profile = &Profile {
    method: "get",
    verb: Verb::List,
    name: "list",
    id_prefix: "list",
    id_infix: "",
    id_suffix: "",
    description: "List or watch objects of kind",
    parameters: parameters::LIST,
    request: Content::Nothing,
    answer: Content::List,
    statuses: &[200],
};
const CREATE: &Profile = &Profile {
    method: "post",
    verb: Verb::Create,
    name: "post",
    id_prefix: "create",
    id_infix: "",
    id_suffix: "",
    description: "Create an object of kind",
    parameters: parameters::WRITE,
    request: Content::Object,
    answer: Content::Object,
    statuses: &[200, 201, 202],
};
const DELETE_COLLECTION: &Profile = &Profile {
    method: "delete",
    verb: Verb::DeleteCollection,
    name: "deletecollection",
    id_prefix: "delete",
    id_infix: "Collection",
    id_suffix: "",
    description: "Delete all or selected objects of kind",
    parameters: parameters::DELETE_COLLECTION,
    request: Content::DeleteOptions,
    answer: Content::Status,
    statuses: &[200],
};
const READ: &Profile = &Profile {
    method: "get",
    verb: Verb::Get,
    name: "get",
    id_prefix: "read",
    id_infix: "",
    id_suffix: "",
    description: "Read one object of kind",
    parameters: &[],
    request: Content::Nothing,
    answer: Content::Object,
    statuses: &[200],
};
const REPLACE: &Profile = &Profile {
    method: "put",
    verb: Verb::Update,
    name: "put",
    id_prefix: "replace",
    id_infix: "",
    id_suffix: "",
    description: "Replace one object of kind",
    parameters: parameters::WRITE,
    request: Content::Object,
    answer: Content::Object,
    statuses: &[200, 201],
};
const PATCH: &Profile = &Profile {
    method: "patch",
    verb: Verb::Patch,
    name: "patch",
    id_prefix: "patch",
    id_infix: "",
    id_suffix: "",
    description: "Partially update one object of kind",
    parameters: parameters::PATCH,
    request: Content::Patch,
    answer: Content::Object,
    statuses: &[200, 201],
};
const DELETE: &Profile = &Profile {
    method: "delete",
    verb: Verb::Delete,
    name: "delete",
    id_prefix: "delete",
    id_infix: "",
    id_suffix: "",
    description: "Delete one object of kind",
    parameters: parameters::DELETE,
    request: Content::DeleteOptions,
    answer: Content::Status,
    statuses: &[200, 202],
};
const WATCH: &Profile = &Profile {
    method: "get",
    verb: Verb::Watch,
    name: "watch",
    id_prefix: "watch",
    id_infix: "",
    id_suffix: "",
    description: "Deprecated: use a list with `watch` and a field selector instead. Watch one object of kind",
    parameters: parameters::LIST,
    request: Content::Nothing,
    answer: Content::Event,
    statuses: &[200],
};
const WATCH_LIST: &Profile = &Profile {
    name: "watchlist",
    id_suffix: "List",
    description: "Deprecated: use a list with `watch` instead. Watch objects of kind",
    ..*WATCH
};
