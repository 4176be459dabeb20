//! The kinds of this crate as CRDs, for a cluster without Rancher, and their initial objects.
//!
//! These tests generate the files of the chart from the Rust types. `SNAPSHOTS=overwrite` rewrites
//! the files. The schemas describe our fields and preserve all others, because Rancher's objects
//! have many more. The status of clusters is a subresource, so that writing it does not change the
//! generation of the object.

use api::management::{Cluster, Setting, setting};
use apiserver::description::{Description, Scope};
use management::cluster_secret::Purpose;
use management::display_text;
use management::{bootstrap, cluster, feature, node, setting as settings, user};
use serde_json::{Map, Value, json};
use snapbox::{assert_data_eq, file};

/// Keywords of our schemas that the CRDs keep. Defaults and merge keys are left out.
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

/// Maximum length of an object name, in bytes, which are ASCII (RFC 1123).
const MAX_NAME: usize = 253;

/// The characters of a host name or an IP address, with a port.
const HOST: &str = r"^[A-Za-z0-9._:\[\]-]*$";

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

/// Returns an object with its `apiVersion` and `kind`.
fn typed(kind: &Description, object: impl serde::Serialize) -> Value {
    let mut object = serde_json::to_value(object).unwrap();
    object["apiVersion"] = format!("{}/{}", kind.group, kind.version).into();
    object["kind"] = kind.kind.into();
    object
}

/// Returns a column of `kubectl get`.
fn column(name: &str, type_: &str, path: &str) -> Value {
    json!({"name": name, "type": type_, "jsonPath": path})
}

/// Limits a column to `-o wide`.
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
        "schema": {"openAPIV3Schema": constrained(schema(kind), kind)},
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

/// Adds the rules that only the CRD of clusters has: the Secrets that a Cluster may name, and the
/// values that may be written into users' files. Lengths are limited, because a rule would
/// otherwise exceed the cost limit of kube-apiserver.
fn constrained(mut schema: Value, kind: &Description) -> Value {
    if kind.plural != Cluster::PLURAL {
        return schema;
    }
    schema["properties"]["metadata"]["properties"] =
        json!({"name": {"type": "string", "maxLength": MAX_NAME}});
    for purpose in [Purpose::Gateway, Purpose::Signer] {
        let reference = purpose.field().unwrap();
        let name = json!({"maxLength": MAX_NAME});
        add(&mut schema, &format!("{reference}.name"), name.clone());
        add(&mut schema, &format!("{reference}.namespace"), name);
    }
    let text = json!({"maxLength": display_text::MAX_CHARACTERS, "pattern": display_text::PATTERN});
    add(&mut schema, "spec.displayName", text);
    for url in ["server", "proxyURL"] {
        let field = format!("spec.connection.{url}");
        add(&mut schema, &field, json!({"maxLength": cluster::MAX_URL}));
    }
    let host = json!({"maxLength": MAX_NAME + ":65535".len(), "pattern": HOST});
    add(&mut schema, "spec.localClusterAuthEndpoint.fqdn", host);
    schema["x-kubernetes-validations"] = [Purpose::Gateway, Purpose::Signer].map(own_secret).into();
    schema
}

/// Adds keywords to the schema of a field.
fn add(schema: &mut Value, field: &str, keywords: Value) {
    let pointer = field.split('.').map(|name| format!("/properties/{name}"));
    let field = schema.pointer_mut(&pointer.collect::<String>()).unwrap();
    let keywords = keywords.as_object().unwrap().clone();
    field.as_object_mut().unwrap().extend(keywords);
}

/// Returns the rule that a Cluster names its own Secret for a purpose, or the Secret that it named
/// before. The latter keeps the other fields of objects from an older version editable. Namespaces
/// are not compared, because a CRD does not know the namespace of the server. Optional values would
/// be shorter, but exceed the cost limit of kube-apiserver.
fn own_secret(purpose: Purpose) -> Value {
    let field = purpose.field().unwrap();
    let own = purpose.secret_name("' + self.metadata.name + '");
    let [new, old] = ["self", "oldSelf.value()"].map(|object| format!("{object}.{field}.name"));
    let absent = presence(&new, "self").map(|has| format!("!{has}"));
    let before = presence(&old, "oldSelf.value()");
    let before: Vec<String> = before.chain([format!("{new} == {old}")]).collect();
    let allowed = [
        format!("{new} == '{own}'"),
        format!("(oldSelf.hasValue() && {})", before.join(" && ")),
    ];
    let rule: Vec<String> = absent.chain(allowed).collect();
    json!({
        "rule": rule.join(" || "),
        "message": format!("{field} must name the cluster's own Secret, {}", purpose.secret_name("NAME")),
        "optionalOldSelf": true,
    })
}

/// Returns tests for the presence of a field of an object and of all fields around it, outermost
/// first.
fn presence(field: &str, object: &str) -> impl Iterator<Item = String> {
    let inside = field.match_indices('.').map(|(end, _)| end);
    let ends: Vec<usize> = inside.chain([field.len()]).collect();
    let (field, start) = (field.to_owned(), object.len());
    let ends = ends.into_iter().filter(move |end| *end > start);
    ends.map(move |end| format!("has({})", &field[..end]))
}

/// Returns the schema of a kind without references. The metadata is left to the cluster.
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

/// Replaces references with their targets. Keywords next to a reference take precedence.
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
