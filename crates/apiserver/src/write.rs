//! The steps that every write of a stored object goes through, for all verbs.
//!
//! Create, update, all kinds of patch, delete and deletecollection share this module, so a client
//! cannot bypass a rule of a kind by using another verb. The Kubernetes counterparts are
//! `registry/rest/{create,update,delete}.go` and `registry/generic/registry/store.go`.

mod create;
mod delete;
mod fields;
mod update;

pub(crate) use create::create;
pub(crate) use delete::{Deleted, delete, delete_broken};
pub(crate) use fields::{Ownership, Part};
pub(crate) use update::{live, update};

use std::collections::HashSet;

use machinery::meta::{
    GroupKind, Metadata, MetadataExt, Object, ObjectKey, ObjectMeta, OwnerReference,
};
use machinery::status::Status;
use machinery::validation;
use serde_json::Value;

use crate::description::Scope;
use crate::request_context::RequestContext;
use crate::resource::{Resource, Visibility};

/// The maximum number of attempts of a write that loses to concurrent writers.
const ATTEMPTS: usize = 16;

/// The object that a write changes, and what the caller may see.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) key: ObjectKey<'a>,
    pub(crate) visibility: &'a Visibility,
}

/// The state that a client requests for an object.
pub(crate) struct Candidate<T> {
    /// The requested state.
    pub(crate) object: T,
    /// True if an apply has already computed the managed fields.
    pub(crate) applied: bool,
}

/// Returns a 422 if the object is invalid. `live` is the object that it replaces.
fn validate<R: Resource>(
    resource: &R,
    object: &R::Object,
    live: Option<&R::Object>,
) -> Result<(), Status> {
    let description = resource.registry().description();
    let namespaced = description.scope == Scope::Namespaced;
    let mut errors =
        validation::object_meta_create(object.metadata(), namespaced, resource.name_rule());
    if let Some(live) = live {
        errors.extend(validation::object_meta_update(
            object.metadata(),
            live.metadata(),
        ));
    }
    errors.extend(resource.validate(object, live));
    if errors.is_empty() {
        return Ok(());
    }
    let name = object.metadata().name();
    let kind = GroupKind::new(description.group, description.kind);
    Err(Status::invalid(&kind, name, &errors))
}

/// Removes duplicate owner references, and warns the client of them. Runs in linear time.
fn dedup_owners(cx: &RequestContext, metadata: &mut ObjectMeta) {
    let Some(owners) = &mut metadata.owner_references else {
        return;
    };
    let mut known = HashSet::new();
    let (unique, repeated): (Vec<_>, Vec<_>) = owners
        .drain(..)
        .partition(|owner| known.insert(OwnerKey::of(owner)));
    *owners = unique;
    let mut listed = HashSet::new();
    let uids: Vec<&str> = repeated
        .iter()
        .map(|owner| owner.uid.as_str())
        .filter(|uid| listed.insert(*uid))
        .collect();
    if !uids.is_empty() {
        cx.warn(&format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may \
             reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: [{}]",
            uids.join(" ")
        ));
    }
}

/// All fields of an owner reference, to hash it: [`OwnerReference`] does not implement `Hash`.
#[derive(Eq, Hash, PartialEq)]
struct OwnerKey([String; 4], [Option<bool>; 2]);

impl OwnerKey {
    fn of(owner: &OwnerReference) -> Self {
        let OwnerReference {
            api_version,
            block_owner_deletion,
            controller,
            kind,
            name,
            uid,
        } = owner.clone();
        Self(
            [api_version, kind, name, uid],
            [block_owner_deletion, controller],
        )
    }
}

/// Returns the JSON tree of an object without kind and apiVersion.
fn tree<T: Object>(object: &T) -> Result<Value, Status> {
    let mut tree = serde_json::to_value(object).map_err(|error| {
        tracing::error!(%error, "an object cannot be encoded as JSON");
        Status::internal("the object cannot be encoded as JSON")
    })?;
    if let Some(fields) = tree.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    Ok(tree)
}

/// Decodes a JSON tree that conforms to the schema of the type.
pub(crate) fn typed<T: Object>(tree: Value) -> Result<T, Status> {
    serde_json::from_value(tree).map_err(|error| Status::bad_request(error.to_string()))
}
