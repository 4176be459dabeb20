//! Merge hints that Kubernetes publishes for its own types, but that generated Rust types lack.
//!
//! The table follows the `x-kubernetes-*` extensions of Kubernetes' `api/openapi-spec/swagger.json`
//! for the types that our servers may embed or serve. Hints are added to the definitions before
//! these are published and before a [`Schema`](super::Schema) is read from them.

use serde_json::{Map, Value, json};

/// Adds Kubernetes' merge hints to the definitions of Kubernetes' own types, which are found by
/// their full names.
///
/// Absent definitions are skipped, and existing hints are overwritten.
pub fn add_kubernetes_hints(definitions: &mut Map<String, Value>) {
    for (definition, hints) in HINTS {
        let Some(Value::Object(schema)) = definitions.get_mut(*definition) else {
            continue;
        };
        for hint in *hints {
            hint.add_to(schema);
        }
    }
}

/// One hint about a definition.
enum Hint {
    /// The object is owned as a whole.
    AtomicObject,
    /// This list is replaced as a whole.
    Atomic(&'static str),
    /// This list is a set of scalars, merged by patches.
    Set(&'static str),
    /// This list of objects is merged by a key. The fields are the list and its key.
    MapBy(&'static str, &'static str),
}

impl Hint {
    fn add_to(&self, definition: &mut Map<String, Value>) {
        match *self {
            Hint::AtomicObject => {
                definition.insert("x-kubernetes-map-type".into(), json!("atomic"));
            }
            Hint::Atomic(field) => {
                extend(
                    definition,
                    field,
                    json!({"x-kubernetes-list-type": "atomic"}),
                );
            }
            Hint::Set(field) => extend(
                definition,
                field,
                json!({"x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"}),
            ),
            Hint::MapBy(field, key) => extend(
                definition,
                field,
                json!({
                    "x-kubernetes-list-map-keys": [key],
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-patch-merge-key": key,
                    "x-kubernetes-patch-strategy": "merge",
                }),
            ),
        }
    }
}

fn extend(definition: &mut Map<String, Value>, field: &str, extensions: Value) {
    let property = definition
        .get_mut("properties")
        .and_then(|properties| properties.get_mut(field));
    if let (Some(Value::Object(property)), Value::Object(extensions)) = (property, extensions) {
        property.extend(extensions);
    }
}

/// Hints by definition.
const HINTS: &[(&str, &[Hint])] = &[
    (
        "io.k8s.api.core.v1.LocalObjectReference",
        &[Hint::AtomicObject],
    ),
    (
        "io.k8s.api.core.v1.NamespaceSpec",
        &[Hint::Atomic("finalizers")],
    ),
    (
        "io.k8s.api.core.v1.NamespaceStatus",
        &[Hint::MapBy("conditions", "type")],
    ),
    ("io.k8s.api.core.v1.ObjectReference", &[Hint::AtomicObject]),
    ("io.k8s.api.core.v1.SecretReference", &[Hint::AtomicObject]),
    (
        "io.k8s.api.core.v1.ServiceAccount",
        &[
            Hint::Atomic("imagePullSecrets"),
            Hint::MapBy("secrets", "name"),
        ],
    ),
    (
        "io.k8s.api.rbac.v1.AggregationRule",
        &[Hint::Atomic("clusterRoleSelectors")],
    ),
    ("io.k8s.api.rbac.v1.ClusterRole", &[Hint::Atomic("rules")]),
    (
        "io.k8s.api.rbac.v1.ClusterRoleBinding",
        &[Hint::Atomic("subjects")],
    ),
    (
        "io.k8s.api.rbac.v1.PolicyRule",
        &[
            Hint::Atomic("apiGroups"),
            Hint::Atomic("nonResourceURLs"),
            Hint::Atomic("resourceNames"),
            Hint::Atomic("resources"),
            Hint::Atomic("verbs"),
        ],
    ),
    ("io.k8s.api.rbac.v1.Role", &[Hint::Atomic("rules")]),
    (
        "io.k8s.api.rbac.v1.RoleBinding",
        &[Hint::Atomic("subjects")],
    ),
    ("io.k8s.api.rbac.v1.RoleRef", &[Hint::AtomicObject]),
    ("io.k8s.api.rbac.v1.Subject", &[Hint::AtomicObject]),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
        &[Hint::AtomicObject, Hint::Atomic("matchExpressions")],
    ),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement",
        &[Hint::Atomic("values")],
    ),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        &[
            Hint::Set("finalizers"),
            Hint::Atomic("managedFields"),
            Hint::MapBy("ownerReferences", "uid"),
        ],
    ),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
        &[Hint::AtomicObject],
    ),
];

/// Returns the names of all definitions with hints.
#[cfg(test)]
pub(super) fn hinted_definitions() -> impl Iterator<Item = &'static str> {
    HINTS.iter().map(|(definition, _)| *definition)
}
