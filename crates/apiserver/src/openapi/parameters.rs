//! The query and path parameters of requests.
//!
//! The names matter: kubectl checks the parameters of `PATCH` for `fieldValidation`, `dryRun` and
//! `fieldManager` to detect what the server supports. Each list is in alphabetical order, as
//! published.

/// A parameter in the path or the query.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    /// `string`, `integer` or `boolean`.
    pub(super) data_type: &'static str,
    pub(super) description: &'static str,
}

/// The location of a parameter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Path,
    Query,
}

impl Place {
    /// Returns the value of `in`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
        }
    }
}

/// The parameter of every path of one object.
pub(super) const NAME: &Parameter = &Parameter {
    name: "name",
    place: Place::Path,
    data_type: "string",
    description: "Name of the object.",
};

/// The parameter of every path inside a namespace.
pub(super) const NAMESPACE: &Parameter = &Parameter {
    name: "namespace",
    place: Place::Path,
    data_type: "string",
    description: "Namespace of the object, for teams and projects that share a cluster.",
};

/// The parameter of every path with an action on a kind.
pub(super) const PRETTY: &Parameter = &query(
    "pretty",
    "string",
    "Whether to indent the response. Defaults to true for browsers, curl and wget, and to false for other clients.",
);

/// The parameters of create and replace.
pub(super) const WRITE: &[&Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];

/// The parameters of patch.
pub(super) const PATCH: &[&Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];

/// The parameters of the deletion of one object.
pub(super) const DELETE: &[&Parameter] = &[
    DRY_RUN,
    GRACE_PERIOD_SECONDS,
    ORPHAN_DEPENDENTS,
    PROPAGATION_POLICY,
];

/// The parameters of the deletion of a collection.
pub(super) const DELETE_COLLECTION: &[&Parameter] = &[
    CONTINUE,
    DRY_RUN,
    FIELD_SELECTOR,
    GRACE_PERIOD_SECONDS,
    LABEL_SELECTOR,
    LIMIT,
    ORPHAN_DEPENDENTS,
    PROPAGATION_POLICY,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    SEND_INITIAL_EVENTS,
    TIMEOUT_SECONDS,
];

/// The parameters of lists and watches.
pub(super) const LIST: &[&Parameter] = &[
    ALLOW_WATCH_BOOKMARKS,
    CONTINUE,
    FIELD_SELECTOR,
    LABEL_SELECTOR,
    LIMIT,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    SEND_INITIAL_EVENTS,
    TIMEOUT_SECONDS,
    WATCH,
];

const ALLOW_WATCH_BOOKMARKS: &Parameter = &query(
    "allowWatchBookmarks",
    "boolean",
    "Requests watch events of type BOOKMARK, which carry a resource version and no change. The server decides when to send them. Ignored if the request is not a watch.",
);
const CONTINUE: &Parameter = &query(
    "continue",
    "string",
    "Continues a list that was truncated by `limit`: the token from the metadata of the previous page, with all other parameters unchanged. A token expires after some minutes; the response is then 410 with a token that continues from the newest state instead. Not supported for watches.",
);
const DRY_RUN: &Parameter = &query(
    "dryRun",
    "string",
    "`All`: process the request completely, but do not store the result. No other value is valid.",
);
const FIELD_MANAGER: &Parameter = &query(
    "fieldManager",
    "string",
    "Name of the actor that makes this change, recorded in `metadata.managedFields`. At most 128 printable characters. Required for apply requests; otherwise defaults to a value derived from the user agent.",
);
const FIELD_SELECTOR: &Parameter = &query(
    "fieldSelector",
    "string",
    "Restricts the objects by their fields, e.g. `metadata.name=one`. Defaults to all objects.",
);
const FIELD_VALIDATION: &Parameter = &query(
    "fieldValidation",
    "string",
    "How to handle unknown and duplicate fields in the request body. `Ignore`: drop them; the last duplicate is used. `Warn`: the same, with a warning header for each; this is the default. `Strict`: reject the request with an error that lists all of them.",
);
const FORCE: &Parameter = &query(
    "force",
    "boolean",
    "Take over fields that other managers own. Only for apply requests, which otherwise fail with 409 on a conflict.",
);
const GRACE_PERIOD_SECONDS: &Parameter = &query(
    "gracePeriodSeconds",
    "integer",
    "Number of seconds to wait before the object is deleted; zero deletes it immediately. The default depends on the type.",
);
const LABEL_SELECTOR: &Parameter = &query(
    "labelSelector",
    "string",
    "Restricts the objects by their labels, e.g. `a=b,c in (d,e),!f`. Defaults to all objects.",
);
const LIMIT: &Parameter = &query(
    "limit",
    "integer",
    "Maximum number of objects in the response. If there are more, the metadata of the response has a token to continue with; all pages show the state at the time of the first. Not supported for watches.",
);
const ORPHAN_DEPENDENTS: &Parameter = &query(
    "orphanDependents",
    "boolean",
    "Deprecated: use `propagationPolicy`. Whether to keep the objects that this object owns.",
);
const PROPAGATION_POLICY: &Parameter = &query(
    "propagationPolicy",
    "string",
    "How the objects that this object owns are garbage collected. `Orphan`: they are kept. `Background`: they are deleted afterwards. `Foreground`: they are deleted first.",
);
const RESOURCE_VERSION: &Parameter = &query(
    "resourceVersion",
    "string",
    "The state to respond with. Unset: the newest. `0`: any. Another value: one that is at least as new. A watch starts after this version.",
);
const RESOURCE_VERSION_MATCH: &Parameter = &query(
    "resourceVersionMatch",
    "string",
    "How `resourceVersion` is applied: `Exact` or `NotOlderThan`.",
);
const SEND_INITIAL_EVENTS: &Parameter = &query(
    "sendInitialEvents",
    "boolean",
    "Starts a watch with one event for each existing object, followed by a bookmark with the annotation `k8s.io/initial-events-end`. Requires `resourceVersionMatch=NotOlderThan`.",
);
const TIMEOUT_SECONDS: &Parameter = &query(
    "timeoutSeconds",
    "integer",
    "Maximum duration of the request in seconds, regardless of activity.",
);
const WATCH: &Parameter = &query(
    "watch",
    "boolean",
    "Watch for changes: respond with a stream of added, modified and deleted objects instead of a list.",
);

const fn query(
    name: &'static str,
    data_type: &'static str,
    description: &'static str,
) -> Parameter {
    Parameter {
        name,
        place: Place::Query,
        data_type,
        description,
    }
}
