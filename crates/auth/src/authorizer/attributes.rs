//! The subject matter of an authorization: a verb on a resource or on a path.

use machinery::field_selector::FieldSelector;
use machinery::label_selector::LabelSelector;

/// The properties of a request that authorization depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// The API verb (`get`, `list`, `create`, …), or the lower-case HTTP method for a path.
    pub verb: String,
    /// The target of the verb.
    pub target: Target,
    /// The fields that objects must have to be listed, watched or deleted with a collection. An
    /// authorizer may use the selector to allow a request, but never to deny one.
    pub field_selector: FieldSelector,
    /// The labels that objects must have, with the same restriction.
    pub label_selector: LabelSelector,
}

/// The target of a verb.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// An API resource. All fields may be empty except `resource`.
    Resource {
        /// The API group. Empty for the core group.
        group: String,
        /// The API version. RBAC does not depend on it.
        version: String,
        /// The plural resource name.
        resource: String,
        /// The subresource, such as `status`.
        subresource: String,
        /// The namespace. Empty for a cluster-scoped resource or a request across namespaces.
        namespace: String,
        /// The object's name. Empty for a collection.
        name: String,
    },
    /// A URL path that is not a resource, such as `/version`.
    Path(String),
}

impl Attributes {
    /// Creates the attributes of `verb` on a URL path that is not a resource.
    pub fn path(verb: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            verb: verb.into(),
            target: Target::Path(path.into()),
            field_selector: FieldSelector::everything(),
            label_selector: LabelSelector::everything(),
        }
    }

    /// Creates the attributes of `verb` on all objects of a resource in all namespaces. To narrow
    /// them, use [`Attributes::in_namespace`], [`Attributes::subresource`] and
    /// [`Attributes::object`].
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

    /// Creates the attributes that only an administrator with full rights may use: `verb` on the
    /// resource `*` of the core group. A grant of all verbs on one resource does not include it.
    /// `deletecollection` is replaced by `delete`.
    pub fn on_everything(verb: &str) -> Self {
        let verb = if verb == "deletecollection" {
            "delete"
        } else {
            verb
        };
        Self::resource(verb, "", "*")
    }

    /// Restricts the attributes to one namespace. A path is not changed.
    #[must_use]
    pub fn in_namespace(mut self, value: &str) -> Self {
        if let Target::Resource { namespace, .. } = &mut self.target {
            value.clone_into(namespace);
        }
        self
    }

    /// Sets the subresource. A path is not changed.
    #[must_use]
    pub fn subresource(mut self, value: &str) -> Self {
        if let Target::Resource { subresource, .. } = &mut self.target {
            value.clone_into(subresource);
        }
        self
    }

    /// Restricts the attributes to the object of this name. A path is not changed.
    #[must_use]
    pub fn object(mut self, value: &str) -> Self {
        if let Target::Resource { name, .. } = &mut self.target {
            value.clone_into(name);
        }
        self
    }

    /// Sets the API version. A path is not changed.
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
