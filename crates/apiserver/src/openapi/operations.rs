//! The paths of a server and their operations, independent of the version of OpenAPI.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    APIGroup, APIGroupList, APIResourceList, APIVersions, DeleteOptions, Patch, Status, WatchEvent,
};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use k8s_openapi::apimachinery::pkg::version::Info;

use crate::description::{Description, GroupVersionKind, Scope, Subresource, Verb};
use crate::openapi::action::{Action, Content};
use crate::openapi::definitions::{Definitions, list_name, meta_name};
use crate::openapi::parameters::{self, Parameter};

/// A path and its operations.
pub(super) struct PathItem {
    pub(super) path: String,
    /// The parameters of every operation.
    pub(super) parameters: Vec<&'static Parameter>,
    pub(super) operations: Vec<Operation>,
}

/// An operation at a path.
pub(super) struct Operation {
    /// The HTTP method in lower case.
    pub(super) method: &'static str,
    /// The operation id, which is unique in a document.
    pub(super) id: String,
    /// The group version. Generators split clients by it.
    pub(super) tag: String,
    pub(super) description: String,
    /// The parameters in addition to those of the path.
    pub(super) parameters: &'static [&'static Parameter],
    pub(super) request: Option<Request>,
    pub(super) answer: SchemaName,
    /// The status codes of a successful response.
    pub(super) statuses: &'static [u16],
    /// The media types of the response.
    pub(super) produces: &'static [&'static str],
    /// The action and its kind; `None` for documents about the server.
    pub(super) action: Option<(&'static str, GroupVersionKind)>,
}

/// The body of a request.
pub(super) struct Request {
    pub(super) schema: SchemaName,
    pub(super) required: bool,
    /// The media types of the body.
    pub(super) consumes: &'static [&'static str],
}

/// The name of the schema of a body; `None` for a foreign type without a known schema.
pub(super) type SchemaName = Option<String>;

const ANY_TYPE: &[&str] = &["*/*"];
const OBJECT_TYPES: &[&str] = &["application/json", "application/yaml"];
const STREAM_TYPES: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/json;stream=watch",
];
const PATCH_TYPES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

const COLLECTION_ACTIONS: &[Action] = &[Action::List, Action::Create, Action::DeleteCollection];
const OBJECT_ACTIONS: &[Action] = &[Action::Read, Action::Replace, Action::Patch, Action::Delete];
const SUBRESOURCE_ACTIONS: &[Action] = &[
    Action::Read,
    Action::Create,
    Action::Replace,
    Action::Patch,
    Action::Delete,
];

/// The scope of the objects of a path.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Reach {
    /// Cluster-scoped objects.
    Cluster,
    /// Objects in the namespace that the path names.
    Namespace,
    /// Objects in all namespaces.
    AllNamespaces,
}

impl Operation {
    /// Returns the names of the schemas of its bodies.
    pub(super) fn schema_names(&self) -> impl Iterator<Item = String> {
        let request = self
            .request
            .as_ref()
            .and_then(|request| request.schema.clone());
        request.into_iter().chain(self.answer.clone())
    }
}

impl PathItem {
    fn new(path: String, operations: Vec<Operation>) -> Self {
        let of_the_path = [
            ("{name}", parameters::NAME),
            ("{namespace}", parameters::NAMESPACE),
        ]
        .into_iter()
        .filter(|(segment, _)| path.contains(segment))
        .map(|(_, parameter)| parameter);
        let has_actions = operations
            .iter()
            .any(|operation| operation.action.is_some());
        let of_actions = has_actions.then_some(parameters::PRETTY);
        let parameters = of_the_path.chain(of_actions).collect();
        Self {
            path,
            parameters,
            operations,
        }
    }
}

/// Returns all paths of a server, sorted.
pub(super) fn of_server(kinds: &[&Description], definitions: &Definitions) -> Vec<PathItem> {
    let mut items = vec![server_version()];
    for kind in kinds {
        items.extend(of_kind(kind, definitions));
        items.push(resources_of_version(kind));
        items.extend(groups(kind));
    }
    in_order(items)
}

/// Returns all paths of one group version, sorted.
pub(super) fn of_version(kinds: &[&Description], definitions: &Definitions) -> Vec<PathItem> {
    let mut items = Vec::new();
    for kind in kinds {
        items.extend(of_kind(kind, definitions));
        items.push(resources_of_version(kind));
    }
    in_order(items)
}

fn in_order(mut items: Vec<PathItem>) -> Vec<PathItem> {
    items.retain(|item| !item.operations.is_empty());
    items.sort_by(|one, other| one.path.cmp(&other.path));
    items.dedup_by(|one, other| one.path == other.path);
    items
}

/// Returns the paths of a kind, of its subresources, and of its deprecated `/watch` prefix.
fn of_kind(kind: &Description, definitions: &Definitions) -> Vec<PathItem> {
    let base = kind.path();
    let (reach, collection) = match kind.scope {
        Scope::Cluster => (Reach::Cluster, format!("/{}", kind.plural)),
        Scope::Namespaced => {
            let collection = format!("/namespaces/{{namespace}}/{}", kind.plural);
            (Reach::Namespace, collection)
        }
    };
    let one = format!("{collection}/{{name}}");
    let site = Site {
        kind,
        reach,
        definitions,
    };
    let mut items = vec![
        site.item(format!("{base}{collection}"), COLLECTION_ACTIONS),
        site.item(format!("{base}{one}"), OBJECT_ACTIONS),
        site.item(format!("{base}/watch{collection}"), &[Action::WatchList]),
        site.item(format!("{base}/watch{one}"), &[Action::Watch]),
    ];
    for subresource in kind.subresources {
        let path = format!("{base}{one}/{}", subresource.name);
        items.push(site.subresource_item(path, subresource));
    }
    if kind.scope == Scope::Namespaced {
        let site = Site {
            reach: Reach::AllNamespaces,
            ..site
        };
        items.push(site.item(format!("{base}/{}", kind.plural), &[Action::List]));
        let watch = format!("{base}/watch/{}", kind.plural);
        items.push(site.item(watch, &[Action::WatchList]));
    }
    items
}

/// A kind at one type of path.
#[derive(Clone, Copy)]
struct Site<'a> {
    kind: &'a Description,
    reach: Reach,
    definitions: &'a Definitions,
}

impl Site<'_> {
    fn item(self, path: String, actions: &[Action]) -> PathItem {
        let kind = self.kind;
        let operations = allowed(actions, kind.verbs).map(|action| Operation {
            id: self.operation_id(action, ""),
            description: format!("{} {}.", action.profile().description, kind.kind),
            ..self.operation(action, kind.gvk())
        });
        PathItem::new(path, operations.collect())
    }

    fn subresource_item(self, path: String, subresource: &Subresource) -> PathItem {
        let (kind, name) = (self.kind.kind, subresource.name);
        let operations = allowed(SUBRESOURCE_ACTIONS, subresource.verbs).map(|action| Operation {
            id: self.operation_id(action, name),
            description: format!("{} {kind}: its {name}.", action.profile().description),
            ..self.operation(action, subresource.kind)
        });
        PathItem::new(path, operations.collect())
    }

    /// Returns an operation without its texts.
    fn operation(self, action: Action, body: GroupVersionKind) -> Operation {
        let profile = action.profile();
        let request = (profile.request != Content::Nothing).then(|| Request {
            schema: self.schema_name(profile.request, body),
            required: profile.request != Content::DeleteOptions,
            consumes: if profile.request == Content::Patch {
                PATCH_TYPES
            } else {
                ANY_TYPE
            },
        });
        let streams = matches!(profile.answer, Content::List | Content::Event);
        Operation {
            method: profile.method,
            id: String::new(),
            tag: version_tag(self.kind),
            description: String::new(),
            parameters: profile.parameters,
            request,
            answer: self.schema_name(profile.answer, body),
            statuses: profile.statuses,
            produces: if streams { STREAM_TYPES } else { OBJECT_TYPES },
            action: Some((profile.name, body)),
        }
    }

    fn schema_name(self, content: Content, body: GroupVersionKind) -> SchemaName {
        match content {
            Content::Nothing => None,
            Content::Object => self.definitions.name_of(body).map(str::to_owned),
            Content::List => self.definitions.name_of(body).map(list_name),
            Content::Patch => Some(meta_name::<Patch>()),
            Content::DeleteOptions => Some(meta_name::<DeleteOptions>()),
            Content::Status => Some(meta_name::<Status>()),
            Content::Event => Some(meta_name::<WatchEvent<RawExtension>>()),
        }
    }

    /// Returns the operation id. It is unique because no two actions of a kind share verb, reach
    /// and suffix (`pkg/endpoints/openapi/openapi.go`).
    fn operation_id(self, action: Action, subresource: &str) -> String {
        let profile = action.profile();
        let (namespaced, all_namespaces) = match self.reach {
            Reach::Cluster => ("", ""),
            Reach::Namespace => ("Namespaced", ""),
            Reach::AllNamespaces => ("", "ForAllNamespaces"),
        };
        [
            profile.id_prefix,
            &version_id(self.kind),
            profile.id_infix,
            namespaced,
            self.kind.kind,
            &camel_case(subresource),
            profile.id_suffix,
            all_namespaces,
        ]
        .concat()
    }
}

fn allowed(actions: &[Action], verbs: &[Verb]) -> impl Iterator<Item = Action> {
    let allows = |action: &&Action| verbs.contains(&action.profile().verb);
    actions.iter().filter(allows).copied()
}

fn server_version() -> PathItem {
    let operation = Operation {
        id: "getCodeVersion".to_owned(),
        tag: "version".to_owned(),
        description: "Read the version of the server.".to_owned(),
        ..read_document(meta_name::<Info>())
    };
    PathItem::new("/version/".to_owned(), vec![operation])
}

fn resources_of_version(kind: &Description) -> PathItem {
    let operation = Operation {
        id: format!("get{}APIResources", version_id(kind)),
        tag: version_tag(kind),
        description: "List the available resources.".to_owned(),
        ..read_document(meta_name::<APIResourceList>())
    };
    PathItem::new(format!("{}/", kind.path()), vec![operation])
}

/// Returns the paths of the documents above the versions of this kind's group.
fn groups(kind: &Description) -> Vec<PathItem> {
    let versions = |prefix: &str, tag: &str, schema: String| Operation {
        id: format!("get{prefix}APIVersions"),
        tag: tag.to_owned(),
        description: "List the available API versions.".to_owned(),
        ..read_document(schema)
    };
    if kind.group.is_empty() {
        let operation = versions("Core", "core", meta_name::<APIVersions>());
        return vec![PathItem::new("/api/".to_owned(), vec![operation])];
    }
    let group = Operation {
        id: format!("get{}APIGroup", camel_case(short_group(kind))),
        tag: lower_camel_case(short_group(kind)),
        description: "List the versions of the group.".to_owned(),
        ..read_document(meta_name::<APIGroup>())
    };
    let all = versions("", "apis", meta_name::<APIGroupList>());
    vec![
        PathItem::new("/apis/".to_owned(), vec![all]),
        PathItem::new(format!("/apis/{}/", kind.group), vec![group]),
    ]
}

/// Returns an operation that reads a document about the server, without its texts.
fn read_document(schema: String) -> Operation {
    Operation {
        method: "get",
        id: String::new(),
        tag: String::new(),
        description: String::new(),
        parameters: &[],
        request: None,
        answer: Some(schema),
        statuses: &[200],
        produces: OBJECT_TYPES,
        action: None,
    }
}

/// Returns the group version in an operation id, e.g. `RbacAuthorizationV1`.
fn version_id(kind: &Description) -> String {
    camel_case(short_group(kind)) + &camel_case(kind.version)
}

/// Returns the group version as a tag, e.g. `rbacAuthorization_v1`.
fn version_tag(kind: &Description) -> String {
    let group = lower_camel_case(short_group(kind));
    format!("{group}_{}", lower_camel_case(kind.version))
}

/// Returns the short name of a group. Groups of Kubernetes itself omit `.k8s.io`.
fn short_group(kind: &Description) -> &'static str {
    match kind.group {
        "" => "core",
        group => group.strip_suffix(".k8s.io").unwrap_or(group),
    }
}

fn camel_case(text: &str) -> String {
    text.split(|character: char| !character.is_alphanumeric())
        .map(capitalize)
        .collect()
}

fn lower_camel_case(text: &str) -> String {
    let words = text.split(|character: char| !character.is_alphanumeric());
    words
        .enumerate()
        .map(|(at, word)| {
            if at == 0 {
                word.to_owned()
            } else {
                capitalize(word)
            }
        })
        .collect()
}

fn capitalize(word: &str) -> String {
    let mut characters = word.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}
