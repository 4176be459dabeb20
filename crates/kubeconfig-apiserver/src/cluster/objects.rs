//! Writing objects of ours by server-side apply, and taking them back.
//!
//! An object of one of our names that does not carry our label belongs to somebody else: it is neither changed nor removed.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::{DynamicObject, ObjectMeta};

use super::client::told;

/// The label of everything that these commands make.
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Its value, and the field manager of what they apply.
pub(crate) const MANAGER: &str = "kubeconfig-apiserver";

/// What became of an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Created,
    Unchanged,
    Updated,
    Deleted,
    /// It was not there to be deleted.
    Absent,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Unchanged => "unchanged",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Absent => "not there",
        })
    }
}

/// Whether an object is ours to change.
pub(super) fn is_ours(metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(MANAGED_BY))
        .is_some_and(|manager| manager == MANAGER)
}

/// The labels of everything that is ours.
pub(super) fn labels() -> Option<BTreeMap<String, String>> {
    Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into())
}

/// An object that was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) outcome: Outcome,
    /// The whole object as the server has it now.
    pub(super) object: DynamicObject,
}

/// Makes an object be as given, with what others have set beside.
pub(super) async fn apply(api: &Api<DynamicObject>, object: &DynamicObject) -> Result<Outcome> {
    Ok(write(api, object).await?.outcome)
}

/// As [`apply`], for an object that must be new or ours.
pub(super) async fn apply_ours(
    api: &Api<DynamicObject>,
    object: &DynamicObject,
) -> Result<Outcome> {
    match find(api, name_of(object)).await? {
        Some(found) if !is_ours(&found) => {
            bail!("it is there already and not ours: label {MANAGED_BY}={MANAGER} is missing")
        }
        found => Ok(apply_over(api, object, found).await?.outcome),
    }
}

/// Removes an object if it is there and ours.
pub(super) async fn delete_ours(api: &Api<DynamicObject>, name: &str) -> Result<Outcome> {
    match find(api, name).await? {
        None => Ok(Outcome::Absent),
        Some(found) if !is_ours(&found) => {
            bail!("it is not ours: label {MANAGED_BY}={MANAGER} is missing")
        }
        Some(_) => delete(api, name).await,
    }
}

/// Removes an object if it is there.
pub(super) async fn delete(api: &Api<DynamicObject>, name: &str) -> Result<Outcome> {
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(Outcome::Deleted),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Outcome::Absent),
        Err(error) => Err(told(error)),
    }
}

/// The metadata of an object, if it is there.
pub(super) async fn find(api: &Api<DynamicObject>, name: &str) -> Result<Option<ObjectMeta>> {
    let found = api.get_metadata_opt(name).await.map_err(told)?;
    Ok(found.map(|found| found.metadata))
}

/// As [`apply`]; returns the object too.
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
    object.metadata.name.as_deref().unwrap_or_default()
}
