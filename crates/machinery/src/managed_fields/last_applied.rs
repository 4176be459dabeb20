//! Migration from client-side `kubectl apply` to server-side apply.
//!
//! Client-side apply stores the applied configuration in an annotation and owns fields by the
//! operation Update. When the manager `kubectl` then applies on the server, fields that still match
//! the annotation are not conflicts, because kubectl set them. An existing annotation is kept up to
//! date, so that the migration can be reversed. Any other manager name opts out of both.
//!
//! Source: `managedfields/internal/lastapplied*.go` of k8s.io/apimachinery.

use serde_json::Value;

use super::comparison::Comparison;
use super::field_set::FieldSet;
use crate::schema::Schema;

/// The only manager that this module applies to.
pub(super) const KUBECTL: &str = "kubectl";

/// The annotation in which client-side apply stores the configuration.
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Maximum size of all annotations of an object, in bytes of names and values.
const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;

/// Returns the fields of the live object that are unchanged since client-side apply of this
/// version. Returns `None` without a usable annotation.
pub(super) fn still_applied(schema: &Schema, live: &Value, api_version: &str) -> Option<FieldSet> {
    let annotation = live
        .get("metadata")?
        .get("annotations")?
        .get(ANNOTATION)?
        .as_str()?;
    let applied: Value = serde_json::from_str(annotation).ok()?;
    if applied.get("apiVersion").and_then(Value::as_str) != Some(api_version) {
        return None;
    }
    let comparison = Comparison::between(schema, &applied, live);
    let fields = FieldSet::from_object(schema, &applied);
    Some(
        fields
            .difference(&comparison.changed)
            .difference(&comparison.removed),
    )
}

/// Writes the configuration into the object's annotation, if it has one. Removes the annotation if
/// the annotations would be too large.
pub(super) fn refresh(object: &mut Value, config: &Value) {
    let annotations = object
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"));
    let Some(annotations) = annotations.and_then(Value::as_object_mut) else {
        return;
    };
    if annotations
        .get(ANNOTATION)
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        return;
    }
    annotations.insert(ANNOTATION.to_owned(), Value::String(encoded(config)));
    let bytes = annotations
        .iter()
        .map(|(name, value)| name.len() + value.as_str().map_or(0, str::len))
        .sum::<usize>();
    if bytes > MAX_ANNOTATIONS_BYTES {
        annotations.remove(ANNOTATION);
    }
}

/// Returns one line of JSON without the annotation itself, as kubectl writes it.
fn encoded(config: &Value) -> String {
    let mut config = config.clone();
    let metadata = config.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(annotations) = metadata.and_then(|metadata| metadata.get_mut("annotations"))
        && let Some(annotations) = annotations.as_object_mut()
    {
        annotations.remove(ANNOTATION);
    }
    format!("{config}\n")
}
