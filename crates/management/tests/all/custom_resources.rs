//! The kinds of this crate as CRDs, for a cluster without Rancher, and the objects that it begins with.
//!
//! The files of the chart are what these tests make of the Rust types; `SNAPSHOTS=overwrite` writes them anew. Schemas say what our
//! fields are and let through what else an object has, since Rancher's objects have much more. The status of clusters is a subresource,
//! so that writing what the gateway found does not count as a change of what is wanted.

use api::management::{Cluster, Setting, setting};
use apiserver::description::{Description, Scope};
use management::{bootstrap, cluster, feature, node, setting as settings, user};
use serde_json::{Map, Value, json};
use snapbox::{assert_data_eq, file};

/// What of our schemas a CRD may say, too; its server knows no default and no merge key.
const KEYWORDS: &[&str] = &[
    "description",
    "enum",
    "format",
    "required",
    "type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
];

#[test]
fn clusters() {
    let ready = |field| format!(".status.conditions[?(@.type==\"Ready\")].{field}");
    let crd = crd(
        &cluster::description(),
        &[
            column("Display Name", "string", ".spec.displayName"),
            column("Ready", "string", &ready("status")),
            column("Version", "string", ".status.version.gitVersion"),
            wide(column("Reason", "string", &ready("reason"))),
            wide(column("Server", "string", ".spec.connection.server")),
        ],
    );
    assert_data_eq!(
        crd,
        file!["../../../../charts/kubeconfig-apiserver/crds/clusters.yaml"].raw()
    );
}

#[test]
fn features() {
    let crd = crd(
        &feature::description(),
        &[
            column("Value", "boolean", ".spec.value"),
            column("Default", "boolean", ".status.default"),
            wide(column("Description", "string", ".status.description")),
        ],
    );
    assert_data_eq!(
        crd,
        file!["../../../../charts/kubeconfig-apiserver/crds/features.yaml"].raw()
    );
}

#[test]
fn nodes() {
    let node = ".status.internalNodeStatus";
    let ready = format!("{node}.conditions[?(@.type==\"Ready\")].status");
    let address = format!("{node}.addresses[?(@.type==\"InternalIP\")].address");
    let crd = crd(
        &node::description(),
        &[
            column("Ready", "string", &ready),
            column("Control Plane", "boolean", ".spec.controlPlane"),
            wide(column("Internal Address", "string", &address)),
        ],
    );
    assert_data_eq!(
        crd,
        file!["../../../../charts/kubeconfig-apiserver/crds/nodes.yaml"].raw()
    );
}

#[test]
fn settings() {
    let crd = crd(
        &settings::description(),
        &[
            column("Value", "string", ".value"),
            column("Default", "string", ".default"),
        ],
    );
    assert_data_eq!(
        crd,
        file!["../../../../charts/kubeconfig-apiserver/crds/settings.yaml"].raw()
    );
}

#[test]
fn users() {
    let crd = crd(
        &user::description(),
        &[
            column("Display Name", "string", ".displayName"),
            column("Enabled", "boolean", ".enabled"),
            wide(column("Username", "string", ".username")),
        ],
    );
    assert_data_eq!(
        crd,
        file!["../../../../charts/kubeconfig-apiserver/crds/users.yaml"].raw()
    );
}

#[test]
fn objects_to_begin_with() {
    let mut items = vec![typed(&cluster::description(), bootstrap::local_cluster())];
    items.extend(setting::BUILT_IN.iter().map(|built_in| {
        let object = Setting {
            metadata: bootstrap::named(built_in.name),
            default: built_in.default.to_owned(),
            ..Setting::default()
        };
        typed(&settings::description(), object)
    }));
    items.push(typed(&feature::description(), bootstrap::ext_kubeconfigs()));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    assert_data_eq!(
        yaml(&list),
        file!["../../../../charts/kubeconfig-apiserver/files/defaults.yaml"].raw()
    );
}

/// An object with the fields that say what it is.
fn typed(kind: &Description, object: impl serde::Serialize) -> Value {
    let mut object = serde_json::to_value(object).unwrap();
    object["apiVersion"] = format!("{}/{}", kind.group, kind.version).into();
    object["kind"] = kind.kind.into();
    object
}

/// A column of `kubectl get`.
fn column(name: &str, type_: &str, path: &str) -> Value {
    json!({"name": name, "type": type_, "jsonPath": path})
}

/// The column, shown with `-o wide` only.
fn wide(mut column: Value) -> Value {
    column["priority"] = 1.into();
    column
}

fn crd(kind: &Description, columns: &[Value]) -> String {
    let age = column("Age", "date", ".metadata.creationTimestamp");
    let columns: Vec<Value> = columns.iter().cloned().chain([age]).collect();
    let mut version = json!({
        "name": kind.version,
        "served": true,
        "storage": true,
        "schema": {"openAPIV3Schema": schema(kind)},
        "additionalPrinterColumns": columns,
    });
    if kind.plural == Cluster::PLURAL {
        version["subresources"] = json!({"status": {}});
    }
    yaml(&json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", kind.plural, kind.group)},
        "spec": {
            "group": kind.group,
            "names": {
                "kind": kind.kind,
                "listKind": format!("{}List", kind.kind),
                "plural": kind.plural,
                "singular": kind.singular,
            },
            "scope": match kind.scope {
                Scope::Cluster => "Cluster",
                Scope::Namespaced => "Namespaced",
            },
            "versions": [version],
        },
    }))
}

/// The schema of a kind without references; its metadata is the business of the cluster.
fn schema(kind: &Description) -> Value {
    let definitions = &kind.schema.definitions;
    let mut own = definitions[&kind.schema.name].clone();
    own["properties"]["metadata"] = json!({"type": "object"});
    structural(&own, definitions)
}

fn structural(schema: &Value, definitions: &Map<String, Value>) -> Value {
    let resolved = resolve(schema, definitions);
    let mut fields = Map::new();
    for (keyword, value) in &resolved {
        let part = |part: &Value| structural(part, definitions);
        let value = match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                let properties = properties.iter();
                properties
                    .map(|(name, field)| (name.clone(), part(field)))
                    .collect::<Map<_, _>>()
                    .into()
            }
            ("items" | "additionalProperties", inner) => part(inner),
            ("default" | "x-kubernetes-patch-merge-key" | "x-kubernetes-patch-strategy", _) => {
                continue;
            }
            (known, value) => {
                assert!(KEYWORDS.contains(&known), "{known}: what is that in a CRD?");
                value.clone()
            }
        };
        fields.insert(keyword.clone(), value);
    }
    if fields.contains_key("properties") {
        fields.insert(
            "x-kubernetes-preserve-unknown-fields".to_owned(),
            true.into(),
        );
    }
    fields.into()
}

/// Puts what a reference leads to in its place. What stands beside the reference wins.
fn resolve(schema: &Value, definitions: &Map<String, Value>) -> Map<String, Value> {
    let mut fields = schema.as_object().unwrap().clone();
    while let Some(reference) = fields.remove("$ref") {
        let name = reference
            .as_str()
            .unwrap()
            .trim_start_matches("#/definitions/");
        for (keyword, value) in definitions[name].as_object().unwrap() {
            fields.entry(keyword).or_insert_with(|| value.clone());
        }
    }
    fields
}

fn yaml(value: &Value) -> String {
    let text = serde_saphyr::to_string(value).unwrap();
    format!("# Made by hack/update-crds.sh.\n{text}")
}
