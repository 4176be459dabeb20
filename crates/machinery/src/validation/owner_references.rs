//! Owner references.

use crate::field::{BadValue, Error, ErrorList, Path};
use crate::meta::{GroupVersion, OwnerReference, OwnerReferenceInGoOrder};

/// Returns the problems with owner references. All fields are required, an event cannot be an
/// owner, and at most one owner can be the controller. As in 1.36, paths have no index.
pub(super) fn owner_references(owners: &[OwnerReference], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut controller: Option<String> = None;
    for owner in owners {
        errors.extend(owner_reference(owner, path));
        if owner.controller != Some(true) {
            continue;
        }
        let name = format!("{}/{}", owner.kind, owner.name);
        match &controller {
            None => controller = Some(name),
            Some(first) => {
                let all: Vec<_> = owners.iter().map(OwnerReferenceInGoOrder).collect();
                let text = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in \
                     references for {first} and {name}"
                );
                errors.push(Error::invalid(path, BadValue::json(&all), text));
            }
        }
    }
    errors
}

fn owner_reference(owner: &OwnerReference, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    // A text that is not a group and version is treated as empty.
    let group_version: GroupVersion = owner.api_version.parse().unwrap_or_default();
    if group_version.version.is_empty() {
        let path = path.child("apiVersion");
        errors.push(Error::invalid(
            &path,
            &owner.api_version,
            "version must not be empty",
        ));
    }
    let required = [
        ("kind", &owner.kind),
        ("name", &owner.name),
        ("uid", &owner.uid),
    ];
    for (field, value) in required {
        if value.is_empty() {
            errors.push(Error::invalid(
                &path.child(field),
                value,
                "must not be empty",
            ));
        }
    }
    if owner.api_version == "v1" && owner.kind == "Event" {
        let kind = group_version.with_kind("Event");
        let text = format!("{kind} is disallowed from being an owner");
        errors.push(Error::invalid(
            path,
            BadValue::json(&OwnerReferenceInGoOrder(owner)),
            text,
        ));
    }
    errors
}
