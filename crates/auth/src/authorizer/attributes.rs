//! What a request wants to do: a verb on a resource or on a path.

use machinery::field_selector::FieldSelector;
use machinery::label_selector::LabelSelector;

/// What a request wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// The API verb (`get`, `list`, `create`, …), or the lower-case HTTP method for a path.
    pub verb: String,
    /// What the verb is applied to.
    pub target: Target,
    /// The fields that objects must have to be listed, watched or deleted with a collection; an
    /// authorizer may allow because of it, never refuse.
    pub field_selector: FieldSelector,
    /// The labels that they must have, likewise.
    pub label_selector: LabelSelector,
}

/// What a verb is applied to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// An API resource. All fields may be empty except `resource`.
    Resource {
        /// The API group; empty for the core group.
        group: String,
        /// The API version; no decision of RBAC depends on it.
        version: String,
        /// The plural resource name.
        resource: String,
        /// The subresource, such as `status`.
        subresource: String,
        /// The namespace; empty for a cluster-scoped resource or a request across namespaces.
        namespace: String,
        /// The object's name; empty for a collection.
        name: String,
    },
    /// A URL path that is no resource, such as `/version`.
    Path(String),
}

impl Attributes {
    /// `verb` on a URL path that is no resource.
    pub fn path(verb: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            verb: verb.into(),
            target: Target::Path(path.into()),
            field_selector: FieldSelector::everything(),
            label_selector: LabelSelector::everything(),
        }
    }

    /// `verb` on all objects of a resource in all namespaces; narrow it with
    /// [`Attributes::in_namespace`], [`Attributes::subresource`] and [`Attributes::object`].
    pub fn resource(verb: &str, group: &str, resource: &str) -> Self {
        Self {
            verb: verb.to_owned(),
            target: Target::Resource {
                group: group.to_owned(),
                version: String::new(),
                resource: resource.to_owned(),
                subresource: String::new(),
                namespace: String::new(),
                name: String::new(),
            },
            field_selector: FieldSelector::everything(),
            label_selector: LabelSelector::everything(),
        }
    }

    /// What an administrator of everything may do: `verb` on the resource `*` of the core group. A
    /// grant of all verbs on one resource does not include it. `deletecollection` asks for
    /// `delete`.
    pub fn on_everything(verb: &str) -> Self {
        let verb = if verb == "deletecollection" {
            "delete"
        } else {
            verb
        };
        Self::resource(verb, "", "*")
    }

    /// The same in one namespace; a path stays as it is.
    #[must_use]
    pub fn in_namespace(mut self, value: &str) -> Self {
        if let Target::Resource { namespace, .. } = &mut self.target {
            value.clone_into(namespace);
        }
        self
    }

    /// The same on a subresource; a path stays as it is.
    #[must_use]
    pub fn subresource(mut self, value: &str) -> Self {
        if let Target::Resource { subresource, .. } = &mut self.target {
            value.clone_into(subresource);
        }
        self
    }

    /// The same on the one object of this name; a path stays as it is.
    #[must_use]
    pub fn object(mut self, value: &str) -> Self {
        if let Target::Resource { name, .. } = &mut self.target {
            value.clone_into(name);
        }
        self
    }

    /// The same with this API version; a path stays as it is.
    #[must_use]
    pub fn version(mut self, value: &str) -> Self {
        if let Target::Resource { version, .. } = &mut self.target {
            value.clone_into(version);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrator_check_asks_for_the_star_resource() {
        assert_eq!(
            Attributes::on_everything("list"),
            Attributes::resource("list", "", "*")
        );
        assert_eq!(
            Attributes::on_everything("deletecollection"),
            Attributes::resource("delete", "", "*")
        );
    }
}
