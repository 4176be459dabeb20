//! Creation, update and removal of our objects, by server-side apply.
//!
//! An object that has one of our names but not our label belongs to another owner. It is neither
//! changed nor removed.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::{DynamicObject, ObjectMeta};
use machinery::meta::MetadataExt;

use crate::client::told;

/// The label of all objects that these commands create.
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The value of the label, and the field manager of applied objects.
pub(crate) const MANAGER: &str = "kubeconfig-apiserver";

/// The result of an operation on an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Created,
    Unchanged,
    Updated,
    Deleted,
    /// The object to delete did not exist.
    Absent,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Unchanged => "unchanged",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Absent => "not found",
        })
    }
}

/// Returns whether an object has our label.
pub(super) fn is_ours(metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(MANAGED_BY))
        .is_some_and(|manager| manager == MANAGER)
}

/// Returns the labels of our objects.
pub(super) fn labels() -> Option<BTreeMap<String, String>> {
    Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into())
}

/// An object that was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) outcome: Outcome,
    /// The whole object, as returned by the server.
    pub(super) object: DynamicObject,
}

/// Applies an object. Fields that other managers have set are preserved.
pub(super) async fn apply(api: &Api<DynamicObject>, object: &DynamicObject) -> Result<Outcome> {
    Ok(write(api, object).await?.outcome)
}

/// Like [`apply`], but fails if the object exists and is not ours.
pub(super) async fn apply_ours(
    api: &Api<DynamicObject>,
    object: &DynamicObject,
) -> Result<Outcome> {
    match find(api, name_of(object)).await? {
        Some(found) if !is_ours(&found) => {
            bail!(
                "it already exists and is not managed by this command: label {MANAGED_BY}={MANAGER} is missing"
            )
        }
        found => Ok(apply_over(api, object, found).await?.outcome),
    }
}

/// Deletes an object if it exists. Fails if it is not ours.
pub(super) async fn delete_ours(api: &Api<DynamicObject>, name: &str) -> Result<Outcome> {
    match find(api, name).await? {
        None => Ok(Outcome::Absent),
        Some(found) if !is_ours(&found) => {
            bail!("it is not managed by this command: label {MANAGED_BY}={MANAGER} is missing")
        }
        Some(_) => delete(api, name).await,
    }
}

/// Deletes an object if it exists.
pub(super) async fn delete(api: &Api<DynamicObject>, name: &str) -> Result<Outcome> {
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(Outcome::Deleted),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Outcome::Absent),
        Err(error) => Err(told(error)),
    }
}

/// Returns the metadata of an object, if it exists.
pub(super) async fn find(api: &Api<DynamicObject>, name: &str) -> Result<Option<ObjectMeta>> {
    let found = api.get_metadata_opt(name).await.map_err(told)?;
    Ok(found.map(|found| found.metadata))
}

/// Like [`apply`], but returns the object too.
pub(super) async fn write(api: &Api<DynamicObject>, object: &DynamicObject) -> Result<Written> {
    let found = find(api, name_of(object)).await?;
    apply_over(api, object, found).await
}

async fn apply_over(
    api: &Api<DynamicObject>,
    object: &DynamicObject,
    found: Option<ObjectMeta>,
) -> Result<Written> {
    let params = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(object);
    let written = api.patch(name_of(object), &params, &patch).await;
    let object = written.map_err(told)?;
    let outcome = match found {
        None => Outcome::Created,
        Some(found) if found.resource_version == object.metadata.resource_version => {
            Outcome::Unchanged
        }
        Some(_) => Outcome::Updated,
    };
    Ok(Written { outcome, object })
}

fn name_of(object: &DynamicObject) -> &str {
    object.metadata.name()
}
