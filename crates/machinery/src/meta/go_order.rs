//! Object metadata as Go's encoder writes it: fields in the order of the Go structs, without empty
//! ones.
//!
//! `k8s-openapi` writes fields in alphabetical order. The order has no meaning in JSON, but it
//! matters to people, to diffs and to byte-for-byte comparisons with other API servers.

use serde::ser::{Serialize, SerializeMap, Serializer};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    ManagedFieldsEntry, ObjectMeta, OwnerReference, Time,
};

use crate::time;

/// Writes metadata in Go's order, for `#[serde(serialize_with = "…")]`. Times are in UTC and whole
/// seconds.
pub fn serialize_go_order<S: Serializer>(
    meta: &ObjectMeta,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = Fields(serializer.serialize_map(None)?);
    map.text("name", meta.name.as_deref())?;
    map.text("generateName", meta.generate_name.as_deref())?;
    map.text("namespace", meta.namespace.as_deref())?;
    map.text("selfLink", meta.self_link.as_deref())?;
    map.text("uid", meta.uid.as_deref())?;
    map.text("resourceVersion", meta.resource_version.as_deref())?;
    map.value(
        "generation",
        meta.generation.filter(|&generation| generation != 0),
    )?;
    map.time("creationTimestamp", meta.creation_timestamp.as_ref())?;
    map.time("deletionTimestamp", meta.deletion_timestamp.as_ref())?;
    map.value(
        "deletionGracePeriodSeconds",
        meta.deletion_grace_period_seconds,
    )?;
    map.value(
        "labels",
        meta.labels.as_ref().filter(|labels| !labels.is_empty()),
    )?;
    map.value(
        "annotations",
        meta.annotations.as_ref().filter(|all| !all.is_empty()),
    )?;
    map.list(
        "ownerReferences",
        meta.owner_references.as_deref(),
        OwnerReferenceInGoOrder,
    )?;
    map.value(
        "finalizers",
        meta.finalizers.as_ref().filter(|all| !all.is_empty()),
    )?;
    map.list(
        "managedFields",
        meta.managed_fields.as_deref(),
        ManagedFieldsInGoOrder,
    )?;
    map.0.end()
}

/// One owner reference. Its first four fields are always written.
pub(crate) struct OwnerReferenceInGoOrder<'a>(pub(crate) &'a OwnerReference);

impl Serialize for OwnerReferenceInGoOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let owner = self.0;
        let mut map = Fields(serializer.serialize_map(None)?);
        map.value("apiVersion", Some(&owner.api_version))?;
        map.value("kind", Some(&owner.kind))?;
        map.value("name", Some(&owner.name))?;
        map.value("uid", Some(&owner.uid))?;
        map.value("controller", owner.controller)?;
        map.value("blockOwnerDeletion", owner.block_owner_deletion)?;
        map.0.end()
    }
}

struct ManagedFieldsInGoOrder<'a>(&'a ManagedFieldsEntry);

impl Serialize for ManagedFieldsInGoOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = self.0;
        let mut map = Fields(serializer.serialize_map(None)?);
        map.text("manager", entry.manager.as_deref())?;
        map.text("operation", entry.operation.as_deref())?;
        map.text("apiVersion", entry.api_version.as_deref())?;
        map.time("time", entry.time.as_ref())?;
        map.text("fieldsType", entry.fields_type.as_deref())?;
        map.value("fieldsV1", entry.fields_v1.as_ref())?;
        map.text("subresource", entry.subresource.as_deref())?;
        map.0.end()
    }
}

/// A map under construction, without empty values.
struct Fields<M>(M);

impl<M: SerializeMap> Fields<M> {
    fn text(&mut self, key: &'static str, text: Option<&str>) -> Result<(), M::Error> {
        self.value(key, text.filter(|text| !text.is_empty()))
    }

    fn time(&mut self, key: &'static str, time: Option<&Time>) -> Result<(), M::Error> {
        self.value(key, time.map(|time| time::rfc3339(time.0)))
    }

    fn value<T: Serialize>(&mut self, key: &'static str, value: Option<T>) -> Result<(), M::Error> {
        match value {
            Some(value) => self.0.serialize_entry(key, &value),
            None => Ok(()),
        }
    }

    fn list<'a, T, W: Serialize>(
        &mut self,
        key: &'static str,
        items: Option<&'a [T]>,
        wrap: impl Fn(&'a T) -> W,
    ) -> Result<(), M::Error> {
        match items {
            Some(items @ [_, ..]) => self
                .0
                .serialize_entry(key, &items.iter().map(wrap).collect::<Vec<W>>()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::serialize_go_order;

    /// Decodes metadata, and checks that it is encoded as `expected`.
    #[track_caller]
    fn check(json: &str, expected: &str) {
        let meta: ObjectMeta = serde_json::from_str(json).unwrap();
        let mut written = Vec::new();
        serialize_go_order(&meta, &mut serde_json::Serializer::new(&mut written)).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    #[test]
    fn every_field_is_written_in_go_order() {
        let json = concat!(
            r#"{"name":"n","generateName":"g-","namespace":"ns","selfLink":"s","uid":"u","#,
            r#""resourceVersion":"7","generation":2,"creationTimestamp":"2026-01-02T03:04:05Z","#,
            r#""deletionTimestamp":"2026-01-02T03:04:06Z","deletionGracePeriodSeconds":0,"#,
            r#""labels":{"a":"1","b":"2"},"annotations":{"c":"3"},"#,
            r#""ownerReferences":[{"apiVersion":"v1","kind":"K","name":"o","uid":"i","#,
            r#""controller":true,"blockOwnerDeletion":false}],"finalizers":["x/y"],"#,
            r#""managedFields":[{"manager":"m","operation":"Apply","apiVersion":"v1","#,
            r#""time":"2026-01-02T03:04:07Z","fieldsType":"FieldsV1","#,
            r#""fieldsV1":{"f:spec":{}},"subresource":"status"}]}"#,
        );
        check(json, json);
    }

    #[test]
    fn empty_fields_are_left_out() {
        check(
            concat!(
                r#"{"name":"","generation":0,"labels":{},"annotations":{},"ownerReferences":[],"#,
                r#""finalizers":[],"managedFields":[]}"#
            ),
            "{}",
        );
        check(
            r#"{"ownerReferences":[{"apiVersion":"","kind":"","name":"","uid":""}]}"#,
            r#"{"ownerReferences":[{"apiVersion":"","kind":"","name":"","uid":""}]}"#,
        );
    }

    #[test]
    fn times_lose_their_fraction_and_zone() {
        check(
            r#"{"creationTimestamp":"2026-01-02T03:04:05.9+01:00"}"#,
            r#"{"creationTimestamp":"2026-01-02T02:04:05Z"}"#,
        );
    }
}
