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
    "Whether to indent the answer. By default only browsers, curl and wget get it indented.",
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
    "Ask a watch for events of type BOOKMARK, which carry a resource version and no change. \
     When they come is up to the server. Ignored unless watching.",
);
const CONTINUE: &Parameter = &query(
    "continue",
    "string",
    "Resume a list that was cut off by a limit: the token in the metadata of the part before, \
     together with otherwise equal parameters. A token lives for some minutes; after that the \
     answer is 410 with a token that continues at the newest state instead. Not for watches.",
);
const DRY_RUN: &Parameter = &query(
    "dryRun",
    "string",
    "`All`: do everything but store the result. No other value is valid.",
);
const FIELD_MANAGER: &Parameter = &query(
    "fieldManager",
    "string",
    "Who makes this change, for the record of managed fields: at most 128 printable characters. \
     Required to apply; else it is derived from the user agent.",
);
const FIELD_SELECTOR: &Parameter = &query(
    "fieldSelector",
    "string",
    "Only objects with these fields, e.g. `metadata.name=one`. By default all objects.",
);
const FIELD_VALIDATION: &Parameter = &query(
    "fieldValidation",
    "string",
    "What to do about unknown and duplicate fields of the body. `Ignore`: drop them, the last \
     duplicate wins. `Warn`: the same, and say so in warning headers; this is the default. \
     `Strict`: refuse the request and name them all.",
);
const FORCE: &Parameter = &query(
    "force",
    "boolean",
    "Take over fields that others manage. Only for apply, which else answers 409.",
);
const GRACE_PERIOD_SECONDS: &Parameter = &query(
    "gracePeriodSeconds",
    "integer",
    "How many seconds to wait before deletion; zero is at once. By default up to the type.",
);
const LABEL_SELECTOR: &Parameter = &query(
    "labelSelector",
    "string",
    "Only objects with these labels, e.g. `a=b,c in (d,e),!f`. By default all objects.",
);
const LIMIT: &Parameter = &query(
    "limit",
    "integer",
    "At most this many objects. Where there are more, the metadata of the answer has a token to \
     continue with; all parts show the state at the time of the first. Not for watches.",
);
const ORPHAN_DEPENDENTS: &Parameter = &query(
    "orphanDependents",
    "boolean",
    "Deprecated: use `propagationPolicy`. Whether to keep the objects that this one owns.",
);
const PROPAGATION_POLICY: &Parameter = &query(
    "propagationPolicy",
    "string",
    "What becomes of the objects that this one owns. `Orphan`: they stay. `Background`: they \
     are deleted afterwards. `Foreground`: they are deleted first.",
);
const RESOURCE_VERSION: &Parameter = &query(
    "resourceVersion",
    "string",
    "Which state to answer from: unset is the newest, `0` any, another value one at least as \
     new. A watch starts after it.",
);
const RESOURCE_VERSION_MATCH: &Parameter = &query(
    "resourceVersionMatch",
    "string",
    "How to read `resourceVersion`: `Exact` or `NotOlderThan`.",
);
const SEND_INITIAL_EVENTS: &Parameter = &query(
    "sendInitialEvents",
    "boolean",
    "Start a watch with one event for each existing object, then a bookmark with the annotation \
     `k8s.io/initial-events-end`. Needs `resourceVersionMatch=NotOlderThan`.",
);
const TIMEOUT_SECONDS: &Parameter = &query(
    "timeoutSeconds",
    "integer",
    "End the request after this many seconds, whatever happens.",
);
const WATCH: &Parameter = &query(
    "watch",
    "boolean",
    "Answer with a stream of changes (added, modified, deleted) instead of a list.",
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
