//! A custom resource of the same kind: another group, the same schema, served by kube-apiserver
//! itself. It stands for a team that writes a CRD instead of a server.

use anyhow::Context;
use serde_json::{Map, Value, json};
use test_cluster::http::{Client, expect};

use super::objects;

/// The API group of the twin.
pub(super) const GROUP: &str = "bench.example.com";

/// Keys of a schema that are not permitted in a CRD, or have been resolved.
const DROPPED: [&str; 3] = ["$ref", "allOf", "x-kubernetes-group-version-kind"];

/// The collection of the twin.
pub(crate) const TWINS: &str = "/apis/bench.example.com/v1/kubeconfigs";

/// Creates the CRD from the schema that the server behind this host publishes.
pub(super) fn make(admin: &Client) -> anyhow::Result<()> {
    let document = expect(admin.get("/openapi/v3/apis/ext.cattle.io/v1")?, 200)?.json()?;
    let schemas = document["components"]["schemas"].as_object();
    let schemas = schemas.context("an OpenAPI document without schemas")?;
    let mut named = schemas
        .iter()
        .filter(|(name, _)| name.ends_with(".Kubeconfig"));
    let (_, schema) = named.next().context("no schema of kubeconfigs")?;
    let mut schema = plain(schema, schemas);
    schema["properties"]["metadata"] = json!({"type": "object"});
    let definition = json!({
        "metadata": {"name": format!("kubeconfigs.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {"kind": "Kubeconfig", "plural": "kubeconfigs", "singular": "kubeconfig"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    });
    objects::create(admin, objects::DEFINITIONS, &definition)?;
    super::eventually("its twin is served", || Ok(admin.get(TWINS)?.status == 200))
}

/// Returns the object that a client of the twin sends: a record of the server, in the form that it
/// returned.
pub(crate) fn of_record(record: &Value) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": "Kubeconfig",
        "metadata": {
            "generateName": "kubeconfig-",
            "labels": record["metadata"]["labels"],
            "annotations": record["metadata"]["annotations"],
        },
        "spec": record["spec"],
        "status": record["status"],
    })
}

/// Converts a schema to the form that a CRD permits, with its references replaced by their targets.
fn plain(schema: &Value, schemas: &Map<String, Value>) -> Value {
    let Value::Object(fields) = schema else {
        return match schema {
            Value::Array(items) => items.iter().map(|item| plain(item, schemas)).collect(),
            other => other.clone(),
        };
    };
    let only_choice = fields.get("allOf").and_then(|choices| choices.get(0));
    let reference = fields.get("$ref").or_else(|| only_choice?.get("$ref"));
    let target = reference.and_then(|reference| {
        let name = reference.as_str()?.rsplit('/').next()?;
        schemas.get(name)?.as_object()
    });
    let own = fields
        .iter()
        .filter(|(name, _)| !DROPPED.contains(&name.as_str()));
    let all = target.into_iter().flatten().chain(own);
    all.map(|(name, value)| (name.clone(), plain(value, schemas)))
        .collect()
}
