use serde_json::{Map, Value, json};

use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use super::super::add_kubernetes_hints;
use super::*;

#[track_caller]
fn check(json: Value, shape: Shape) {
    let schema = Schema::from_definitions(&json, &Map::new()).unwrap();
    assert_eq!(schema.shape, shape, "{json}");
    assert_eq!(&*schema.type_name, "", "{json}");
}

#[track_caller]
fn check_error(json: Value, error: SchemaError) {
    let definitions = json["$defs"].as_object().cloned().unwrap_or_default();
    assert_eq!(Schema::from_definitions(&json, &definitions), Err(error));
}

fn text() -> Shape {
    Shape::String {
        format: StringFormat::Text,
    }
}

fn anonymous(shape: Shape) -> Arc<Schema> {
    Arc::new(Schema {
        type_name: "".into(),
        shape,
        default: None,
    })
}

fn unsupported(path: &str, what: &'static str) -> SchemaError {
    SchemaError::Unsupported {
        path: path.to_owned(),
        what,
    }
}

/// Returns the schema of a Kubernetes type as this program would publish it.
fn kubernetes<T: JsonSchema>() -> Arc<Schema> {
    let mut generator = SchemaSettings::draft07().into_generator();
    let root = generator.subschema_for::<T>().to_value();
    let mut definitions = generator.take_definitions(true);
    add_kubernetes_hints(&mut definitions);
    Schema::from_definitions(&root, &definitions).unwrap()
}

#[track_caller]
fn list_type(schema: &Schema, path: &[&str]) -> ListType {
    match &schema.at(path).unwrap().shape {
        Shape::List { list_type, .. } => list_type.clone(),
        shape => panic!("{path:?} is no list: {shape:?}"),
    }
}

#[track_caller]
fn is_atomic(schema: &Schema, path: &[&str]) -> bool {
    match &schema.at(path).unwrap().shape {
        Shape::Object { atomic, .. } | Shape::Map { atomic, .. } => *atomic,
        shape => panic!("{path:?} is no object: {shape:?}"),
    }
}

fn map_by(key: &str) -> ListType {
    ListType::Map {
        keys: vec![key.to_owned()],
    }
}

#[test]
fn scalars() {
    let int32 = Shape::Integer { bits: 32 };
    let int64 = Shape::Integer { bits: 64 };
    let bytes = Shape::String {
        format: StringFormat::Bytes,
    };
    let date_time = Shape::String {
        format: StringFormat::DateTime,
    };
    check(json!({"type": "boolean"}), Shape::Boolean);
    check(json!({"type": "integer", "format": "int32"}), int32.clone());
    check(json!({"type": "integer", "format": "uint16"}), int32);
    check(json!({"type": "integer", "format": "int64"}), int64.clone());
    check(
        json!({"type": "integer", "format": "uint32"}),
        int64.clone(),
    );
    check(json!({"type": "integer"}), int64);
    check(json!({"type": "number", "format": "double"}), Shape::Number);
    check(json!({"type": "string"}), text());
    check(json!({"type": "string", "format": "byte"}), bytes);
    check(json!({"type": "string", "format": "date-time"}), date_time);
    check(json!({"type": "string", "format": "uri"}), text());
    check(
        json!({"x-kubernetes-int-or-string": true}),
        Shape::IntOrString,
    );
    check(json!({"type": ["integer", "string"]}), Shape::IntOrString);
}

#[test]
fn null_beside_a_type_is_passed_over() {
    check(json!({"type": ["string", "null"]}), text());
    check(
        json!({"anyOf": [{"type": "boolean"}, {"type": "null"}]}),
        Shape::Boolean,
    );
    check(
        json!({"oneOf": [{"type": "null"}, {"type": "boolean"}]}),
        Shape::Boolean,
    );
    check(json!({"allOf": [{"type": "boolean"}]}), Shape::Boolean);
}

#[test]
fn enumerations_of_strings_are_text() {
    check(json!({"enum": ["a", "b", null]}), text());
    check(json!({"const": "a"}), text());
    check(
        json!({"oneOf": [{"const": "a"}, {"type": "string", "enum": ["b"]}]}),
        text(),
    );
}

#[test]
fn free_form_values() {
    check(json!(true), Shape::Any);
    check(json!({}), Shape::Any);
    check(json!({"type": "object"}), Shape::Any);
    check(
        json!({"type": "object", "properties": {"a": {}}, "x-kubernetes-preserve-unknown-fields": true}),
        Shape::Any,
    );
    check(
        json!({"type": "object", "properties": {"a": {}}, "additionalProperties": true}),
        Shape::Any,
    );
}

#[test]
fn objects() {
    let fields = |atomic| Shape::Object {
        fields: BTreeMap::from([("a".to_owned(), anonymous(text()))]),
        atomic,
    };
    let properties = json!({"a": {"type": "string"}});
    check(
        json!({"type": "object", "properties": properties}),
        fields(false),
    );
    check(
        json!({"properties": properties, "additionalProperties": false}),
        fields(false),
    );
    check(
        json!({"type": "object", "properties": properties, "x-kubernetes-map-type": "atomic"}),
        fields(true),
    );
    check(
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Shape::Map {
            values: anonymous(text()),
            atomic: false,
        },
    );
    check(
        json!({"type": "object", "additionalProperties": false}),
        Shape::Object {
            fields: BTreeMap::new(),
            atomic: false,
        },
    );
}

#[test]
fn list_types() {
    #[track_caller]
    fn check_list(items: Value, extensions: Value, expected: ListType) {
        let mut list = json!({"type": "array", "items": items});
        list.as_object_mut()
            .unwrap()
            .extend(extensions.as_object().unwrap().clone());
        let schema = Schema::from_definitions(&list, &Map::new()).unwrap();
        assert_eq!(list_type(&schema, &[]), expected, "{list}");
    }
    let (object, string) = (json!({"type": "object"}), json!({"type": "string"}));
    check_list(string.clone(), json!({}), ListType::Atomic);
    check_list(
        string.clone(),
        json!({"x-kubernetes-list-type": "atomic"}),
        ListType::Atomic,
    );
    check_list(
        string.clone(),
        json!({"x-kubernetes-list-type": "set"}),
        ListType::Set,
    );
    check_list(
        object.clone(),
        json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["b", "a"]}),
        ListType::Map {
            keys: vec!["b".to_owned(), "a".to_owned()],
        },
    );
    check_list(
        object.clone(),
        json!({"x-kubernetes-patch-strategy": "merge,retainKeys", "x-kubernetes-patch-merge-key": "name"}),
        map_by("name"),
    );
    check_list(
        string,
        json!({"x-kubernetes-patch-strategy": "merge"}),
        ListType::Set,
    );
    check_list(
        object,
        json!({"x-kubernetes-patch-strategy": "merge"}),
        ListType::Atomic,
    );
}

#[test]
fn references_give_names_and_what_stands_beside_them_wins() {
    let definitions = json!({
        "com.example.v1.Spec": {
            "type": "object",
            "properties": {"ttl": {"$ref": "#/components/schemas/Ttl"}},
            "default": {"ttl": 1},
        },
        "Ttl": {"type": "integer"},
    });
    let root = json!({
        "allOf": [{"$ref": "#/definitions/com.example.v1.Spec"}],
        "default": {},
        "x-kubernetes-map-type": "atomic",
    });
    let schema = Schema::from_definitions(&root, definitions.as_object().unwrap()).unwrap();
    let ttl = Schema {
        type_name: "Ttl".into(),
        shape: Shape::Integer { bits: 64 },
        default: None,
    };
    let expected = Schema {
        type_name: "Spec".into(),
        shape: Shape::Object {
            fields: BTreeMap::from([("ttl".to_owned(), Arc::new(ttl))]),
            atomic: true,
        },
        default: Some(json!({})),
    };
    assert_eq!(*schema, expected);
}

#[test]
fn mistakes_are_named() {
    check_error(
        json!({"$ref": "#/$defs/Missing"}),
        SchemaError::UnknownReference("#/$defs/Missing".to_owned()),
    );
    check_error(
        json!({"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {"items": {"$ref": "#/$defs/A"}}}}}}),
        SchemaError::Recursive("A".to_owned()),
    );
    check_error(
        json!({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "boolean"}]}}}),
        unsupported("a", "more than one shape"),
    );
    check_error(
        json!({"properties": {"a": {"type": ["string", "boolean"]}}}),
        unsupported("a", "more than one type"),
    );
    check_error(
        json!({"properties": {"a": {"properties": {"b": {"type": "array"}}}}}),
        unsupported("a.b", "a list without items"),
    );
    check_error(
        json!({"type": "array", "items": {}, "x-kubernetes-list-type": "map"}),
        unsupported("", "a list of type map without keys"),
    );
    check_error(
        json!({"type": "array", "items": {}, "x-kubernetes-list-type": "set"}),
        unsupported("", "a set of something that is not a scalar"),
    );
    check_error(json!({"type": "tuple"}), unsupported("", "unknown type"));
    check_error(json!(false), unsupported("", "not a schema"));
}

#[test]
fn object_meta_merges_as_upstream() {
    let schema = kubernetes::<Secret>();
    assert_eq!(&*schema.type_name, "Secret");
    assert_eq!(&*schema.at(&["metadata"]).unwrap().type_name, "ObjectMeta");
    assert_eq!(
        list_type(&schema, &["metadata", "finalizers"]),
        ListType::Set
    );
    assert_eq!(
        list_type(&schema, &["metadata", "managedFields"]),
        ListType::Atomic
    );
    assert_eq!(
        list_type(&schema, &["metadata", "ownerReferences"]),
        map_by("uid")
    );
    let owner = schema.at(&["metadata", "ownerReferences", "uid"]).unwrap();
    assert_eq!(owner.shape, text());
    let fields_v1 = schema
        .at(&["metadata", "managedFields", "fieldsV1"])
        .unwrap();
    assert_eq!(fields_v1.shape, Shape::Any);
    let data = schema.at(&["data", "any-key"]).unwrap();
    assert_eq!(
        data.shape,
        Shape::String {
            format: StringFormat::Bytes
        }
    );
    assert_eq!(schema.at(&["metadata", "owner"]), None);
}

#[test]
fn kinds_of_kubernetes_merge_as_upstream() {
    let role = kubernetes::<ClusterRole>();
    let binding = kubernetes::<ClusterRoleBinding>();
    let selectors = ["aggregationRule", "clusterRoleSelectors"];
    assert_eq!(list_type(&role, &["rules"]), ListType::Atomic);
    assert_eq!(list_type(&role, &selectors), ListType::Atomic);
    assert_eq!(list_type(&binding, &["subjects"]), ListType::Atomic);
    assert!(is_atomic(&binding, &["roleRef"]));
    assert!(!is_atomic(&binding, &["metadata"]));
    let conditions = ["status", "conditions"];
    assert_eq!(
        list_type(&kubernetes::<Namespace>(), &conditions),
        map_by("type")
    );
    assert_eq!(
        list_type(&kubernetes::<ServiceAccount>(), &["secrets"]),
        map_by("name")
    );
}

#[test]
fn every_hint_finds_its_definition() {
    let mut generator = SchemaSettings::draft07().into_generator();
    generator.subschema_for::<(
        Secret,
        Namespace,
        ServiceAccount,
        ClusterRole,
        ClusterRoleBinding,
    )>();
    generator.subschema_for::<(
        k8s_openapi::api::rbac::v1::Role,
        k8s_openapi::api::rbac::v1::RoleBinding,
        k8s_openapi::api::core::v1::SecretReference,
    )>();
    let mut definitions = generator.take_definitions(true);
    let before = definitions.clone();
    add_kubernetes_hints(&mut definitions);
    let changed: Vec<&String> = definitions
        .iter()
        .filter(|(name, schema)| before.get(*name) != Some(*schema))
        .map(|(name, _)| name)
        .collect();
    let hinted: Vec<&str> = crate::schema::hints::hinted_definitions().collect();
    assert_eq!(changed, hinted);
}
