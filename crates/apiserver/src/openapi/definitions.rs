//! The schemas that documents refer to, by name.
//!
//! In addition to those of the kinds, there are those that every server needs: lists of a kind,
//! delete options, statuses, patches, watch events and discovery itself. A document contains the
//! schemas that its operations refer to, directly or through other schemas.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    APIGroup, APIGroupList, APIResourceList, APIVersions, DeleteOptions, ListMeta, Patch, Status,
    WatchEvent,
};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use k8s_openapi::apimachinery::pkg::version::Info;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::description::{self, API_VERSION_DOC, Description, GroupVersionKind, KIND_DOC};
use crate::openapi::operations::{Operation, PathItem};

/// The extension with the kinds that a schema is used for. kubectl and server-side apply find
/// schemas by it.
pub(super) const GROUP_VERSION_KIND: &str = "x-kubernetes-group-version-kind";

/// The prefix of references between schemas in version 2.
pub(super) const REFERENCE_PREFIX: &str = "#/definitions/";

/// All schemas that a server can refer to.
pub(super) struct Definitions {
    schemas: Map<String, Value>,
    names: BTreeMap<GroupVersionKind, String>,
}

impl Definitions {
    /// Collects the schemas of these kinds and the schemas that every server needs.
    pub(super) fn collect(descriptions: &[&Description]) -> Self {
        let mut definitions = Self {
            schemas: Map::new(),
            names: BTreeMap::new(),
        };
        for description in descriptions {
            definitions.add_kind(description);
        }
        definitions.add_meta_types(descriptions);
        definitions
    }

    /// Returns the name of the schema of a kind, if the kind is served.
    pub(super) fn name_of(&self, kind: GroupVersionKind) -> Option<&str> {
        self.names.get(&kind).map(String::as_str)
    }

    /// Returns the schemas that these operations refer to, directly or through other schemas.
    pub(super) fn reachable(&self, items: &[PathItem]) -> Map<String, Value> {
        let operations = items.iter().flat_map(|item| &item.operations);
        let mut wanted: BTreeSet<String> = operations.flat_map(Operation::schema_names).collect();
        let mut found = Map::new();
        while let Some(name) = wanted.pop_first() {
            if found.contains_key(&name) {
                continue;
            }
            let Some(schema) = self.schemas.get(&name) else {
                continue;
            };
            collect_references(schema, &mut wanted);
            found.insert(name, schema.clone());
        }
        found
    }

    fn add_kind(&mut self, description: &Description) {
        let schema = &description.schema;
        self.add_schemas(schema.definitions.clone());
        self.say_kinds(&schema.name, vec![kind_json(description.gvk())]);
        self.names.insert(description.gvk(), schema.name.clone());
        let list = list_name(&schema.name);
        self.schemas.insert(list.clone(), list_schema(description));
        let mut kind = kind_json(description.gvk());
        kind["kind"] = description.list_kind().into();
        self.say_kinds(&list, vec![kind]);
    }

    /// Adds the types that every server needs. Options and events belong to each group version that
    /// uses them, and statuses to the core group.
    fn add_meta_types(&mut self, descriptions: &[&Description]) {
        let mut versions: BTreeSet<_> = descriptions
            .iter()
            .map(|kind| (kind.group, kind.version))
            .collect();
        let core = BTreeSet::from([("", "v1")]);
        versions.extend(&core);
        self.add::<DeleteOptions>("DeleteOptions", &versions);
        self.add::<WatchEvent<RawExtension>>("WatchEvent", &versions);
        self.add::<Status>("Status", &core);
        self.add::<APIGroup>("APIGroup", &core);
        self.add::<APIGroupList>("APIGroupList", &core);
        self.add::<APIResourceList>("APIResourceList", &core);
        self.add::<APIVersions>("APIVersions", &core);
        self.add::<ListMeta>("ListMeta", &BTreeSet::new());
        self.add::<Patch>("Patch", &BTreeSet::new());
        self.add::<Info>("Info", &BTreeSet::new());
    }

    fn add<T: JsonSchema>(
        &mut self,
        kind: &'static str,
        versions: &BTreeSet<(&'static str, &'static str)>,
    ) {
        let (name, schemas) = description::definitions_of::<T>();
        self.add_schemas(schemas);
        let kinds = versions.iter().map(|&(group, version)| {
            kind_json(GroupVersionKind {
                group,
                version,
                kind,
            })
        });
        self.say_kinds(&name, kinds.collect());
    }

    /// Adds schemas. Keeps an existing schema of the same name, because many types share schemas
    /// such as `ObjectMeta`.
    fn add_schemas(&mut self, schemas: Map<String, Value>) {
        for (name, schema) in schemas {
            self.schemas.entry(name).or_insert(schema);
        }
    }

    fn say_kinds(&mut self, name: &str, kinds: Vec<Value>) {
        if kinds.is_empty() {
            return;
        }
        if let Some(Value::Object(schema)) = self.schemas.get_mut(name) {
            schema.insert(GROUP_VERSION_KIND.to_owned(), kinds.into());
        }
    }
}

/// Returns the name of the schema of a list.
pub(super) fn list_name(kind: &str) -> String {
    format!("{kind}List")
}

/// Returns the name of the schema of a type that is not a served kind.
pub(super) fn meta_name<T: JsonSchema>() -> String {
    T::schema_name().into_owned()
}

/// Returns a kind in the form that extensions use.
pub(super) fn kind_json(kind: GroupVersionKind) -> Value {
    json!({ "group": kind.group, "version": kind.version, "kind": kind.kind })
}

fn list_schema(description: &Description) -> Value {
    json!({
        "description": format!("{} is a list of {}.", description.list_kind(), description.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": { "description": API_VERSION_DOC, "type": "string" },
            "items": {
                "description": format!("Objects of kind {}.", description.kind),
                "type": "array",
                "items": { "$ref": reference(&description.schema.name), "default": {} },
            },
            "kind": { "description": KIND_DOC, "type": "string" },
            "metadata": {
                "description": "Standard list metadata.",
                "$ref": reference(&meta_name::<ListMeta>()),
                "default": {},
            },
        },
    })
}

fn reference(name: &str) -> String {
    format!("{REFERENCE_PREFIX}{name}")
}

fn collect_references(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref")
                && let Some(name) = reference.strip_prefix(REFERENCE_PREFIX)
            {
                names.insert(name.to_owned());
            }
            fields
                .values()
                .for_each(|value| collect_references(value, names));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_references(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
