//! What every write of a stored object goes through, whichever verb asks for it.
//!
//! Create, update, every kind of patch, delete and deletecollection meet here, so a rule of a kind
//! cannot be passed by choosing another verb. Upstream's counterparts are
//! `registry/rest/{create,update,delete}.go` and `registry/generic/registry/store.go`.

mod create;
mod delete;
mod fields;
mod update;

pub(crate) use create::create;
pub use create::random_name;
pub(crate) use delete::{Deleted, delete, delete_broken};
pub(crate) use fields::Ownership;
pub(crate) use update::update;

use std::collections::HashSet;

use machinery::meta::{GroupKind, Metadata, Object, ObjectMeta, OwnerReference};
use machinery::status::Status;
use machinery::validation;
use serde_json::Value;

use crate::description::Scope;
use crate::request_context::RequestContext;
use crate::resource::Resource;

/// How often a write is tried again when somebody else was faster.
const ATTEMPTS: usize = 16;

/// A state that a client wants an object to have.
pub(crate) struct Candidate<T> {
    /// The state.
    pub(crate) object: T,
    /// Whether its managed fields were worked out already, by an apply.
    pub(crate) applied: bool,
}

/// 422 where the object is not valid; `live` is what it replaces.
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
    let name = object.metadata().name.as_deref().unwrap_or_default();
    let kind = GroupKind::new(description.group, description.kind);
    Err(Status::invalid(&kind, name, &errors))
}

/// Keeps the first of equal owner references, and warns of the others (A93). Linear in their number.
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

/// All fields of an owner reference, which has no `Hash` of its own.
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

/// The JSON tree of an object without kind and apiVersion.
fn tree<T: Object>(object: &T) -> Result<Value, Status> {
    let mut tree = serde_json::to_value(object).map_err(|error| {
        tracing::error!(%error, "an object has no JSON form");
        Status::internal("the object has no JSON form")
    })?;
    if let Some(fields) = tree.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    Ok(tree)
}

/// The typed object of a JSON tree that conforms to its schema.
pub(crate) fn typed<T: Object>(tree: Value) -> Result<T, Status> {
    serde_json::from_value(tree).map_err(|error| Status::bad_request(error.to_string()))
}
