//! The objects of a collection that a request selects, by namespace, selectors and visibility.

use std::sync::Arc;

use machinery::field_selector::FieldSelector;
use machinery::label_selector::LabelSelector;
use machinery::status::Status;
use machinery::time::Clock;
use storage::Key;
use storage::cache::View;

use super::Call;
use crate::description::Verb;
use crate::options::ListOptions;
use crate::resource::{Resource, Visibility};
use crate::stored_object::{BROKEN, EXPIRED, StoredObject};

/// The maximum number of names in a warning, so that it stays readable and fits into a header.
const SHOWN: usize = 10;

/// The objects of a collection that a request selects.
#[derive(Clone)]
pub(crate) struct Selection {
    /// The prefix of their keys.
    pub(crate) prefix: String,
    labels: LabelSelector,
    fields: FieldSelector,
    known_fields: Vec<&'static str>,
    visibility: Visibility,
    clock: Arc<dyn Clock>,
}

impl Selection {
    /// Returns the selection of a list, watch or deletecollection.
    ///
    /// # Errors
    /// 400 for a selector on an unknown field, or one that contradicts the path.
    pub(crate) async fn of<R: Resource>(
        call: &Call<'_, R>,
        verb: Verb,
        options: &ListOptions,
    ) -> Result<Self, Status> {
        let target = call.target()?;
        let registry = call.resource.registry();
        let known_fields: Vec<_> = registry
            .index()
            .fields
            .iter()
            .map(|(name, _)| *name)
            .collect();
        let mut allowed = vec!["metadata.name", "metadata.namespace"];
        allowed.extend(&known_fields);
        allowed.extend(registry.index().expires.map(|_| EXPIRED));
        options
            .fields
            .validate(&allowed)
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let mut fields = options.fields.clone();
        if target.named_by_path {
            if fields
                .exact("metadata.name")
                .is_some_and(|name| name != target.name)
            {
                return Err(Status::bad_request(
                    "fieldSelector metadata.name doesn't match requested name",
                ));
            }
            fields = fields.and_equals("metadata.name", &target.name);
        }
        Ok(Self {
            prefix: registry.prefix(&target.namespace),
            labels: options.labels.clone(),
            fields,
            known_fields,
            visibility: call.resource.visibility(call.cx, verb).await?,
            clock: Arc::clone(&call.cx.clock),
        })
    }

    /// Returns the objects that the caller may see.
    pub(crate) fn visibility(&self) -> &Visibility {
        &self.visibility
    }

    /// Returns whether an object belongs to the selection. An object that cannot be read never
    /// does: its labels and owner are unknown, and it must not make the whole list fail.
    ///
    /// # Errors
    /// The kind cannot determine the visibility of the object.
    pub(crate) async fn admits(&self, key: &Key, object: &StoredObject) -> Result<bool, Status> {
        if object.broken().is_some() {
            return Ok(false);
        }
        let selected = self.labels.matches(|label| object.label(label))
            && self.fields.matches(|field, value| match field {
                "metadata.name" => key.name() == value,
                "metadata.namespace" => key.namespace() == value,
                EXPIRED => {
                    let now = self.clock.now();
                    let is_expired = object.expires().is_some_and(|end| end <= now);
                    value == if is_expired { "true" } else { "false" }
                }
                field => {
                    let position = self.known_fields.iter().position(|known| *known == field);
                    position.is_some_and(|position| object.has_field(position, value))
                }
            });
        Ok(selected && self.visibility.admits(object).await?)
    }

    /// Warns callers who may see all objects of those that cannot be read. KEP-3926 fails such
    /// lists; this server returns the other objects, and the warning names the missing ones.
    pub(crate) fn warn_of_broken<R: Resource>(
        &self,
        call: &Call<'_, R>,
        view: &View<StoredObject>,
    ) {
        if !matches!(self.visibility, Visibility::Everything) {
            return;
        }
        let broken = view.indexed_range(BROKEN, &self.prefix, None);
        let broken: Vec<&Key> = broken.map(|object| object.key()).collect();
        if broken.is_empty() {
            return;
        }
        let names = broken.iter().take(SHOWN);
        let mut names: Vec<&str> = names
            .map(|key| &key.as_str()[self.prefix.len()..])
            .collect();
        if broken.len() > SHOWN {
            names.push("…");
        }
        call.cx.warn(&format!(
            "{} {} cannot be read and are omitted: {}; delete them by name, or restore them from a backup",
            broken.len(),
            call.resource.registry().group_resource(),
            names.join(", ")
        ));
    }

    /// Returns whether the selection may omit objects for reasons other than the namespace.
    pub(crate) fn is_partial(&self) -> bool {
        !self.labels.is_empty()
            || !self.fields.is_empty()
            || !matches!(self.visibility, Visibility::Everything)
    }
}
