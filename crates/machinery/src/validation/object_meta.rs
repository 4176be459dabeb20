//! Validation of object metadata as a whole (apimachinery `pkg/api/validation/objectmeta.go`).

use serde::Serialize;

use crate::field::{BadValue, Error, ErrorList, Path};
use crate::meta::{MetadataExt, ObjectMeta};

use super::finalizers::{finalizers, no_new_finalizers};
use super::managed_fields::managed_fields;
use super::owner_references::owner_references;
use super::{NameRule, annotations, dns1123_label, labels};

/// Returns the problems with the metadata of a new object. A missing name must already have been
/// generated.
#[must_use]
pub fn object_meta_create(meta: &ObjectMeta, namespaced: bool, rule: NameRule) -> ErrorList {
    let root = Path::root("metadata");
    let mut errors = ErrorList::new();
    errors.extend(name_errors(meta, rule, &root));
    errors.extend(namespace_errors(meta, namespaced, &root));
    errors.extend(negative_generation(meta, &root));
    errors.extend(map_errors(meta, &root));
    let finalizer_names = meta.finalizers.as_deref().unwrap_or_default();
    errors.extend(finalizers(finalizer_names, &root.child("finalizers")));
    errors.extend(managed_fields_errors(meta, &root));
    errors
}

/// Returns the problems with the metadata of a changed object. Immutable fields must be unchanged,
/// and the rest must be valid.
///
/// The caller must already have set the stored uid and creation time if the client left them empty.
/// The store checks that the resource version is current.
#[must_use]
pub fn object_meta_update(new: &ObjectMeta, old: &ObjectMeta) -> ErrorList {
    let root = Path::root("metadata");
    let mut errors = ErrorList::new();
    let new_finalizers = new.finalizers.as_deref().unwrap_or_default();
    let old_finalizers = old.finalizers.as_deref().unwrap_or_default();
    let finalizers_path = root.child("finalizers");
    if old.deletion_timestamp.is_some() {
        errors.extend(no_new_finalizers(
            new_finalizers,
            old_finalizers,
            &finalizers_path,
        ));
    }
    errors.extend(negative_generation(new, &root));
    let generation = new.generation.unwrap_or_default();
    if generation < old.generation.unwrap_or_default() {
        let path = root.child("generation");
        errors.push(Error::invalid(&path, generation, "must not be decremented"));
    }
    errors.extend(immutable_errors(new, old, &root));
    errors.extend(map_errors(new, &root));
    errors.extend(finalizers(new_finalizers, &finalizers_path));
    errors.extend(managed_fields_errors(new, &root));
    errors
}

fn name_errors(meta: &ObjectMeta, rule: NameRule, root: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let prefix = meta.generate_name.as_deref().unwrap_or_default();
    if !prefix.is_empty() {
        let path = root.child("generateName");
        let problems = rule.check_prefix(prefix);
        errors.extend(
            problems
                .into_iter()
                .map(|text| Error::invalid(&path, prefix, text)),
        );
    }
    let path = root.child("name");
    match meta.name() {
        "" => errors.push(Error::required(&path, "name or generateName is required")),
        name => {
            let problems = rule.check(name);
            errors.extend(
                problems
                    .into_iter()
                    .map(|text| Error::invalid(&path, name, text)),
            );
        }
    }
    errors
}

fn namespace_errors(meta: &ObjectMeta, namespaced: bool, root: &Path) -> ErrorList {
    let path = root.child("namespace");
    match (namespaced, meta.namespace()) {
        (true, "") => vec![Error::required(&path, "")],
        (true, namespace) => {
            let problems = dns1123_label(namespace);
            problems
                .into_iter()
                .map(|text| Error::invalid(&path, namespace, text))
                .collect()
        }
        (false, "") => ErrorList::new(),
        (false, _) => vec![Error::forbidden(&path, "not allowed on this type")],
    }
}

fn negative_generation(meta: &ObjectMeta, root: &Path) -> Option<Error> {
    let generation = meta.generation.filter(|&generation| generation < 0)?;
    let text = "must be greater than or equal to 0";
    Some(Error::invalid(&root.child("generation"), generation, text))
}

fn map_errors(meta: &ObjectMeta, root: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(map) = &meta.labels {
        errors.extend(labels(map, &root.child("labels")));
    }
    if let Some(map) = &meta.annotations {
        errors.extend(annotations(map, &root.child("annotations")));
    }
    if let Some(owners) = &meta.owner_references {
        errors.extend(owner_references(owners, &root.child("ownerReferences")));
    }
    errors
}

fn managed_fields_errors(meta: &ObjectMeta, root: &Path) -> ErrorList {
    let entries = meta.managed_fields.as_deref().unwrap_or_default();
    managed_fields(entries, &root.child("managedFields"))
}

fn immutable_errors(new: &ObjectMeta, old: &ObjectMeta, root: &Path) -> ErrorList {
    let texts = [
        ("name", &new.name, &old.name),
        ("namespace", &new.namespace, &old.namespace),
        ("uid", &new.uid, &old.uid),
    ];
    let mut errors = ErrorList::new();
    for (field, new, old) in texts {
        let new = new.as_deref().unwrap_or_default();
        if new != old.as_deref().unwrap_or_default() {
            errors.push(immutable(root, field, new.into()));
        }
    }
    let new_created = &new.creation_timestamp;
    errors.extend(changed(
        root,
        "creationTimestamp",
        new_created,
        &old.creation_timestamp,
    ));
    let new_deleted = &new.deletion_timestamp;
    errors.extend(changed(
        root,
        "deletionTimestamp",
        new_deleted,
        &old.deletion_timestamp,
    ));
    let new_grace = &new.deletion_grace_period_seconds;
    let old_grace = &old.deletion_grace_period_seconds;
    errors.extend(changed(
        root,
        "deletionGracePeriodSeconds",
        new_grace,
        old_grace,
    ));
    errors
}

fn changed<T: PartialEq + Serialize>(
    root: &Path,
    field: &str,
    new: &Option<T>,
    old: &Option<T>,
) -> Option<Error> {
    (new != old).then(|| immutable(root, field, BadValue::json(new)))
}

fn immutable(root: &Path, field: &str, value: BadValue) -> Error {
    Error::invalid(&root.child(field), value, "field is immutable")
}

#[cfg(test)]
mod tests;
