//! What a served kind is, as data.
//!
//! A `Description` is everything that clients may learn about a kind without asking for an object:
//! its names, its scope, its verbs, its subresources and its schema. Discovery and OpenAPI are
//! computed from it and from nothing else, routes are built from it, so none of them can claim what
//! another does not do.
//!
//! What a kind *does* (defaulting, validation, visibility) is its strategy and lives elsewhere.

mod kind_schema;
#[cfg(test)]
pub(crate) mod samples;

pub use self::kind_schema::KindSchema;
pub(crate) use self::kind_schema::{API_VERSION_DOC, KIND_DOC, definitions_of, for_each_part};

/// A served kind. Names are those of the Kubernetes API conventions: `kind` in CamelCase, the
/// others in lower case.
#[derive(Clone, Debug)]
pub struct Description {
    /// API group, e.g. `wardle.example.com`; empty for the core group.
    pub group: &'static str,
    /// API version, e.g. `v1alpha1`.
    pub version: &'static str,
    /// Name of one object's type, e.g. `Flunder`.
    pub kind: &'static str,
    /// Name of the resource in paths, e.g. `flunders`.
    pub plural: &'static str,
    /// Name that `kubectl get` accepts for one object, e.g. `flunder`; never empty.
    pub singular: &'static str,
    /// Abbreviations that `kubectl` accepts, e.g. `fl`.
    pub short_names: &'static [&'static str],
    /// Groups of resources that it belongs to, e.g. `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// What may be done with it, in any order. It must be the truth: the garbage collector and the
    /// namespace controller of the host believe it.
    pub verbs: &'static [Verb],
    /// The paths below one object, in any order.
    pub subresources: &'static [Subresource],
    /// What its objects look like.
    pub schema: KindSchema,
}

/// Whether the objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// One object of a name in the whole server.
    Cluster,
    /// One object of a name in each namespace.
    Namespaced,
}

/// What a client may do with a resource, as authorization and discovery name it. The order is the
/// alphabetical one of discovery.
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

/// A path below one object, e.g. `/status`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subresource {
    /// The last segment of the path, e.g. `status`.
    pub name: &'static str,
    /// The type of its body, which may belong to another group (`Scale`, `TokenRequest`).
    pub kind: GroupVersionKind,
    /// What may be done with it: `Create`, `Get`, `Patch` and `Update` make sense here.
    pub verbs: &'static [Verb],
}

/// The full name of a type that is known when the program is built.
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
    /// The `apiVersion` of its objects: `v1` in the core group, else `group/version`.
    pub fn group_version(&self) -> String {
        self.gvk().api_version()
    }

    /// How error messages and the kubectl command line name it: `plural.group`, or `plural` in the
    /// core group.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() {
            return self.plural.to_owned();
        }
        format!("{}.{}", self.plural, self.group)
    }

    /// The full name of its type.
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind {
            group: self.group,
            version: self.version,
            kind: self.kind,
        }
    }

    /// The kind of a list of it. client-go's unstructured decoder relies on this very form.
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// The path of its group version: `/api/v1` in the core group, else `/apis/group/version`.
    pub fn path(&self) -> String {
        if self.group.is_empty() {
            return format!("/api/{}", self.version);
        }
        format!("/apis/{}/{}", self.group, self.version)
    }

    /// Whether clients may do this with it.
    pub fn has_verb(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }
}

impl Scope {
    /// The name in aggregated discovery: `Cluster` or `Namespaced`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Namespaced => "Namespaced",
        }
    }
}

impl Verb {
    /// Every verb, in alphabetical order.
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

    /// The name in requests, rules and discovery.
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
    /// The `apiVersion` of such an object: `version` in the core group, else `group/version`.
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
