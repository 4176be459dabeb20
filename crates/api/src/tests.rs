//! Tests that apply to all kinds: decoding, encoding and published schema.

use std::collections::BTreeSet;
use std::fmt::Debug;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::ext::{ClusterAccessReview, ClusterGrant, KeyOperation, Kubeconfig, Token};
use crate::management::{Cluster, Feature, Node, Setting, User};

/// Checks that each key of the example is encoded again, and that an empty object gives `minimal`.
#[track_caller]
fn check<T>(example: &str, minimal: Value)
where
    T: Default + Debug + DeserializeOwned + Serialize + PartialEq,
{
    let value: Value = serde_saphyr::from_str(example).unwrap();
    let object: T = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&object).unwrap(), value);
    assert_eq!(serde_json::to_value(T::default()).unwrap(), minimal);
    assert_eq!(
        serde_json::from_value::<T>(json!({})).unwrap(),
        T::default()
    );
    let nulled: T = serde_json::from_value(nulled(&value)).unwrap();
    assert_eq!(nulled, T::default());
    let unknown: T = serde_json::from_value(json!({"unknown": [1]})).unwrap();
    assert_eq!(unknown, T::default());
}

/// Returns the object with every leaf and list replaced by `null`.
fn nulled(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| !OPTIONAL_STRUCTS.contains(&key.as_str()))
            .map(|(key, field)| (key.clone(), nulled(field)))
            .collect::<Map<_, _>>()
            .into(),
        _ => Value::Null,
    }
}

/// Fields for which an empty object differs from an absent one. Maps cannot contain `null`.
const OPTIONAL_STRUCTS: &[&str] = &[
    "annotations",
    "authentication",
    "clientCertificates",
    "connection",
    "downloads",
    "endpoints",
    "extraInfo",
    "labels",
    "localClusterAuthEndpoint",
    "nodeAnnotations",
    "oidc",
    "version",
];

#[test]
fn every_field_of_a_documented_object_survives() {
    let empty = json!({"metadata": {}, "spec": {}, "status": {}});
    check::<KeyOperation>(
        include_str!("examples/keyoperation.yaml"),
        json!({"metadata": {}, "spec": {"action": ""}, "status": {}}),
    );
    check::<Kubeconfig>(include_str!("examples/kubeconfig.yaml"), empty.clone());
    check::<Cluster>(include_str!("examples/cluster.yaml"), empty);
    check::<User>(include_str!("examples/user.yaml"), json!({"metadata": {}}));
    check::<Token>(
        include_str!("examples/token.yaml"),
        json!({
            "metadata": {},
            "spec": {"userPrincipal": {"name": ""}, "kind": "", "ttl": 0},
            "status": {"current": false, "expired": false, "expiresAt": "", "lastUpdateTime": ""},
        }),
    );
    check::<Setting>(
        include_str!("examples/setting.yaml"),
        json!({"metadata": {}, "value": "", "default": "", "customized": false, "source": ""}),
    );
    check::<Feature>(
        include_str!("examples/feature.yaml"),
        json!({"metadata": {}, "spec": {}, "status": {"dynamic": false, "default": false}}),
    );
    check::<Node>(
        include_str!("examples/node.yaml"),
        json!({
            "metadata": {},
            "spec": {"controlPlane": false, "etcd": false, "worker": false},
            "status": {"internalNodeStatus": {}},
        }),
    );
}

/// Returns the definitions of a kind by name, including its own.
fn definitions<T: JsonSchema>() -> Map<String, Value> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    generator.subschema_for::<T>();
    generator.take_definitions(true)
}

fn all_definitions() -> Map<String, Value> {
    let kinds = [
        definitions::<ClusterAccessReview>(),
        definitions::<ClusterGrant>(),
        definitions::<KeyOperation>(),
        definitions::<Kubeconfig>(),
        definitions::<Token>(),
        definitions::<Cluster>(),
        definitions::<User>(),
        definitions::<Setting>(),
        definitions::<Feature>(),
        definitions::<Node>(),
    ];
    kinds.into_iter().flatten().collect()
}

#[test]
fn definitions_have_names_unique_among_all_groups() {
    let names: BTreeSet<String> = all_definitions().keys().cloned().collect();
    let expected = [
        "io.cattle.ext.v1.Access",
        "io.cattle.ext.v1.ClusterAccess",
        "io.cattle.ext.v1.ClusterAccessReview",
        "io.cattle.ext.v1.ClusterAccessReviewSpec",
        "io.cattle.ext.v1.ClusterAccessReviewStatus",
        "io.cattle.ext.v1.ClusterGrant",
        "io.cattle.ext.v1.ClusterGrantSpec",
        "io.cattle.ext.v1.EncryptionKeyInfo",
        "io.cattle.ext.v1.GrantClusters",
        "io.cattle.ext.v1.GrantSubject",
        "io.cattle.ext.v1.GrantedAccess",
        "io.cattle.ext.v1.KeyOperation",
        "io.cattle.ext.v1.KeyOperationSpec",
        "io.cattle.ext.v1.KeyOperationStatus",
        "io.cattle.ext.v1.Kubeconfig",
        "io.cattle.ext.v1.KubeconfigSpec",
        "io.cattle.ext.v1.KubeconfigStatus",
        "io.cattle.ext.v1.SigningKeyInfo",
        "io.cattle.ext.v1.Token",
        "io.cattle.ext.v1.TokenEndpoint",
        "io.cattle.ext.v1.TokenPrincipal",
        "io.cattle.ext.v1.TokenReference",
        "io.cattle.ext.v1.TokenSpec",
        "io.cattle.ext.v1.TokenStatus",
        "io.cattle.management.v3.ClientCertificates",
        "io.cattle.management.v3.Cluster",
        "io.cattle.management.v3.ClusterAuthentication",
        "io.cattle.management.v3.ClusterConnection",
        "io.cattle.management.v3.ClusterDownloads",
        "io.cattle.management.v3.ClusterEndpoints",
        "io.cattle.management.v3.ClusterGroups",
        "io.cattle.management.v3.ClusterSpec",
        "io.cattle.management.v3.ClusterStatus",
        "io.cattle.management.v3.ClusterVersion",
        "io.cattle.management.v3.Feature",
        "io.cattle.management.v3.FeatureSpec",
        "io.cattle.management.v3.FeatureStatus",
        "io.cattle.management.v3.InternalNodeStatus",
        "io.cattle.management.v3.LocalClusterAuthEndpoint",
        "io.cattle.management.v3.Node",
        "io.cattle.management.v3.NodeSpec",
        "io.cattle.management.v3.NodeStatus",
        "io.cattle.management.v3.OidcProvider",
        "io.cattle.management.v3.SecretReference",
        "io.cattle.management.v3.Setting",
        "io.cattle.management.v3.TokenWebhook",
        "io.cattle.management.v3.User",
        "io.cattle.meta.v1.Condition",
        "io.k8s.api.core.v1.NodeAddress",
        "io.k8s.api.core.v1.NodeCondition",
        "io.k8s.api.rbac.v1.PolicyRule",
        "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
        "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry",
        "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
        "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
    ];
    assert_eq!(names, expected.map(str::to_owned).into());
}

#[test]
fn the_kubeconfig_spec_is_published_as_documented() {
    let definitions = definitions::<Kubeconfig>();
    let mut spec = definitions["io.cattle.ext.v1.KubeconfigSpec"].clone();
    for field in spec["properties"].as_object_mut().unwrap().values_mut() {
        let description = field
            .as_object_mut()
            .unwrap()
            .remove("description")
            .unwrap();
        assert!(!description.as_str().unwrap().is_empty());
    }
    assert_eq!(
        spec,
        json!({
            "description": "The content of a kubeconfig file, and its lifetime.",
            "type": "object",
            "properties": {
                "access": {
                    "anyOf": [{"$ref": "#/$defs/io.cattle.ext.v1.Access"}, {"type": "null"}],
                },
                "clusters": {
                    "type": "array",
                    "items": {"type": "string"},
                    "x-kubernetes-list-type": "set",
                },
                "currentContext": {"type": "string"},
                "description": {"type": "string"},
                "endpoint": {"type": "string"},
                "generateToken": {"type": ["boolean", "null"]},
                "includeDefaultEntry": {"type": ["boolean", "null"]},
                "namespace": {"type": "string"},
                "suspended": {"type": ["boolean", "null"]},
                "tokenName": { "type": "string" },
                "ttl": {"type": "integer", "format": "int64"},
            },
        })
    );
}

#[test]
fn conditions_are_a_map_by_type_and_need_it() {
    let definitions = all_definitions();
    assert_eq!(
        definitions["io.cattle.meta.v1.Condition"]["required"],
        json!(["type", "status"])
    );
    for name in ["ext.v1.KubeconfigStatus", "management.v3.ClusterStatus"] {
        let conditions = &definitions[&format!("io.cattle.{name}")]["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-type"], "map", "{name}");
        assert_eq!(
            conditions["x-kubernetes-list-map-keys"],
            json!(["type"]),
            "{name}"
        );
        assert_eq!(conditions["x-kubernetes-patch-merge-key"], "type", "{name}");
        assert_eq!(conditions["x-kubernetes-patch-strategy"], "merge", "{name}");
    }
}

#[test]
fn every_list_says_how_it_merges_and_every_field_what_it_is() {
    for (name, definition) in all_definitions() {
        if !name.starts_with("io.cattle.") {
            continue;
        }
        assert!(is_description(&definition["description"]), "{name}");
        for (field, schema) in definition["properties"].as_object().unwrap() {
            let is_list = schema["type"] == "array";
            assert!(
                !is_list || schema["x-kubernetes-list-type"].is_string(),
                "{name}.{field}"
            );
            assert!(is_description(&schema["description"]), "{name}.{field}");
        }
    }
}

/// Returns whether a value is a text that ends with a full stop and has no line breaks within
/// paragraphs.
fn is_description(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.ends_with('.') && !text.replace("\n\n", "").contains('\n'))
}

#[test]
fn metadata_is_written_in_the_order_of_go() {
    let user: User = serde_json::from_value(json!({"metadata": {
        "creationTimestamp": "2026-01-02T03:04:05Z", "name": "u-alice", "uid": "1", "labels": {},
    }}))
    .unwrap();
    assert_eq!(
        serde_json::to_string(&user).unwrap(),
        r#"{"metadata":{"name":"u-alice","uid":"1","creationTimestamp":"2026-01-02T03:04:05Z"}}"#
    );
}
