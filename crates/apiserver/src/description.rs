//! The static description of a served kind.
//!
//! A `Description` holds everything that clients can learn about a kind without requesting an
//! object: its names, scope, verbs, subresources and schema. Discovery, OpenAPI and routes are all
//! derived from it alone, so they cannot disagree.
//!
//! The behaviour of a kind (defaulting, validation, visibility) is its strategy and is defined by
//! [`crate::resource::Resource`].

mod kind_schema;
#[cfg(test)]
pub(crate) mod samples;

pub use self::kind_schema::KindSchema;
pub(crate) use self::kind_schema::{API_VERSION_DOC, KIND_DOC, definitions_of, for_each_part};

/// A served kind. Names follow the Kubernetes API conventions: `kind` in CamelCase, the others in
/// lower case.
#[derive(Clone, Debug)]
pub struct Description {
    /// API group, e.g. `wardle.example.com`; empty for the core group.
    pub group: &'static str,
    /// API version, e.g. `v1alpha1`.
    pub version: &'static str,
    /// Name of the type, e.g. `Flunder`.
    pub kind: &'static str,
    /// Name of the resource in paths, e.g. `flunders`.
    pub plural: &'static str,
    /// Name that `kubectl get` accepts for one object, e.g. `flunder`; never empty.
    pub singular: &'static str,
    /// Abbreviations that `kubectl` accepts, e.g. `fl`.
    pub short_names: &'static [&'static str],
    /// Categories of resources that the kind belongs to, e.g. `all`.
    pub categories: &'static [&'static str],
    /// The scope of the objects: the whole server, or one namespace.
    pub scope: Scope,
    /// The supported verbs, in any order. They must match what the server does: the garbage
    /// collector and the namespace controller of the host cluster rely on them.
    pub verbs: &'static [Verb],
    /// The paths below one object, in any order.
    pub subresources: &'static [Subresource],
    /// The schema of the objects.
    pub schema: KindSchema,
}

/// The scope of the objects of a kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Names are unique within the server.
    Cluster,
    /// Names are unique within a namespace.
    Namespaced,
}

/// An operation on a resource, named as in authorization and discovery. The variants are in
/// alphabetical order, as discovery lists them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Verb {
    /// `POST` to the collection, or to a subresource.
    Create,
    /// `DELETE` of one object.
    Delete,
    /// `DELETE` of the collection.
    DeleteCollection,
    /// `GET` of one object.
    Get,
    /// `GET` of the collection.
    List,
    /// `PATCH` of one object.
    Patch,
    /// `PUT` of one object.
    Update,
    /// `GET` of the collection with `watch=true`.
    Watch,
}

/// The name of the subresource through which the field `status` is written. The server serves it
/// for every kind that lists it.
pub const STATUS: &str = "status";

/// A path below one object, e.g. `/status`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subresource {
    /// The last segment of the path, e.g. `status`.
    pub name: &'static str,
    /// The type of the body, which may belong to another group (`Scale`, `TokenRequest`).
    pub kind: GroupVersionKind,
    /// The supported verbs. Only `Create`, `Get`, `Patch` and `Update` make sense here.
    pub verbs: &'static [Verb],
}

/// The group, version and kind of a type that is known at compile time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct GroupVersionKind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Name of the type.
    pub kind: &'static str,
}

impl Description {
    /// Returns the `apiVersion` of the objects: `v1` in the core group, otherwise `group/version`.
    pub fn group_version(&self) -> String {
        self.gvk().api_version()
    }

    /// Returns the subresource of this name.
    pub(crate) fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|known| known.name == name)
    }

    /// Returns whether the path segment after the name is empty or a subresource of the kind.
    pub(crate) fn has_subresource(&self, name: &str) -> bool {
        name.is_empty() || self.subresource(name).is_some()
    }

    /// Returns the name used in error messages and on the kubectl command line: `plural.group`, or
    /// `plural` in the core group.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() {
            return self.plural.to_owned();
        }
        format!("{}.{}", self.plural, self.group)
    }

    /// Returns the group, version and kind of the type.
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind {
            group: self.group,
            version: self.version,
            kind: self.kind,
        }
    }

    /// Returns the kind of a list of these objects. The unstructured decoder of client-go relies on
    /// the suffix `List`.
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// Returns the path of the group version: `/api/v1` in the core group, otherwise
    /// `/apis/group/version`.
    pub fn path(&self) -> String {
        if self.group.is_empty() {
            return format!("/api/{}", self.version);
        }
        format!("/apis/{}/{}", self.group, self.version)
    }

    /// Returns whether the kind supports a verb.
    pub fn has_verb(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }
}

impl Scope {
    /// Returns the name in aggregated discovery: `Cluster` or `Namespaced`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Namespaced => "Namespaced",
        }
    }
}

impl Verb {
    /// All verbs, in alphabetical order.
    pub const ALL: &'static [Self] = &[
        Self::Create,
        Self::Delete,
        Self::DeleteCollection,
        Self::Get,
        Self::List,
        Self::Patch,
        Self::Update,
        Self::Watch,
    ];

    /// Returns the name used in requests, RBAC rules and discovery.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

impl GroupVersionKind {
    /// Returns the `apiVersion` of an object of this type: `version` in the core group, otherwise
    /// `group/version`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            return self.version.to_owned();
        }
        format!("{}/{}", self.group, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(description: &Description, expect: [&str; 3]) {
        let names = [
            description.group_version(),
            description.group_resource(),
            description.path(),
        ];
        assert_eq!(names, expect);
    }

    #[test]
    fn names_of_a_group() {
        let expect = [
            "wardle.example.com/v1",
            "fischers.wardle.example.com",
            "/apis/wardle.example.com/v1",
        ];
        check(&samples::fischers(), expect);
    }

    #[test]
    fn core_group_has_no_name() {
        check(&samples::namespaces(), ["v1", "namespaces", "/api/v1"]);
    }

    #[test]
    fn verbs_sort_as_their_names() {
        let names: Vec<_> = Verb::ALL.iter().map(|verb| verb.as_str()).collect();
        assert!(Verb::ALL.is_sorted());
        assert!(names.is_sorted());
    }
}
