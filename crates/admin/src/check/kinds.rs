//! The kinds of `management.cattle.io`. Each must exist, be served in the right version, and have
//! the fields that the server reads and writes.

use api::management::{GROUP, VERSION};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
};
use kube::Api;

use super::report::Report;
use super::scene::Scene;
use crate::client::told;

const TOPIC: &str = "kinds";

/// A kind, with the fields that the host must not prune.
struct Kind {
    plural: &'static str,
    scope: &'static str,
    fields: &'static [&'static str],
}

const KINDS: &[Kind] = &[
    Kind {
        plural: "clusters",
        scope: "Cluster",
        fields: &["spec.displayName", "spec.connection", "status.conditions"],
    },
    Kind {
        plural: "users",
        scope: "Cluster",
        fields: &["enabled", "principalIds"],
    },
    Kind {
        plural: "settings",
        scope: "Cluster",
        fields: &["default", "value"],
    },
    Kind {
        plural: "features",
        scope: "Cluster",
        fields: &["spec.value", "status.default"],
    },
    Kind {
        plural: "nodes",
        scope: "Namespaced",
        fields: &["spec.controlPlane", "status.internalNodeStatus"],
    },
];

/// Checks all kinds.
pub(super) async fn check(scene: &Scene, report: &mut Report) {
    let all = Api::<CustomResourceDefinition>::all(scene.host.clone());
    for kind in KINDS {
        let name = format!("{}.{GROUP}", kind.plural);
        match all.get_opt(&name).await.map_err(told) {
            Ok(Some(found)) => kind.check(&name, &found, report),
            Ok(None) => report.problem(
                TOPIC,
                format!("CustomResourceDefinition {name} does not exist"),
                "apply those in the folder crds/ of the chart: helm upgrade does not apply them",
            ),
            Err(error) => return report.unseen(TOPIC, "the kinds of the host", &error),
        }
    }
}

impl Kind {
    fn check(&self, name: &str, found: &CustomResourceDefinition, report: &mut Report) {
        let versions = &found.spec.versions;
        let served =
            |version: &&CustomResourceDefinitionVersion| version.name == VERSION && version.served;
        let Some(version) = versions.iter().find(served) else {
            let what = format!("CustomResourceDefinition {name} does not serve {VERSION}");
            return report.problem(TOPIC, what, "apply the one from the chart");
        };
        if found.spec.scope != self.scope {
            let what = format!(
                "CustomResourceDefinition {name} has scope {}, not {}",
                found.spec.scope, self.scope
            );
            return report.problem(TOPIC, what, "delete it and apply the one from the chart");
        }
        let schema = version.schema.as_ref();
        let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_ref());
        let keeps = |field: &&&str| !schema.is_some_and(|schema| keeps(schema, field));
        let lost: Vec<&str> = self.fields.iter().filter(keeps).copied().collect();
        if lost.is_empty() {
            report.ok(TOPIC, format!("{name} exists"));
        } else {
            report.problem(
                TOPIC,
                format!("CustomResourceDefinition {name} drops {}", lost.join(", ")),
                "apply the one from the chart, or preserve unknown fields in it",
            );
        }
    }
}

/// Returns whether an object of this schema keeps a field.
fn keeps(schema: &JSONSchemaProps, field: &str) -> bool {
    let mut schema = schema;
    for part in field.split('.') {
        if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
            return true;
        }
        match schema
            .properties
            .as_ref()
            .and_then(|properties| properties.get(part))
        {
            Some(property) => schema = property,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(schema: Value, expected: bool) {
        let schema: JSONSchemaProps = serde_json::from_value(schema).unwrap();
        assert_eq!(keeps(&schema, "spec.value"), expected);
    }

    #[test]
    fn a_field_is_kept_that_is_known_or_may_be_unknown() {
        let open = json!({"x-kubernetes-preserve-unknown-fields": true});
        check(json!({}), false);
        check(open.clone(), true);
        check(json!({"properties": {"spec": {}}}), false);
        check(json!({"properties": {"spec": open}}), true);
        check(
            json!({"properties": {"spec": {"properties": {"value": {}}}}}),
            true,
        );
        check(
            json!({"properties": {"spec": {"properties": {"other": {}}}}}),
            false,
        );
    }
}
