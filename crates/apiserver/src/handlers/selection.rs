//! Which objects of a collection a request is about: namespace, selectors and what the caller may
//! see.

use machinery::field_selector::FieldSelector;
use machinery::label_selector::LabelSelector;
use machinery::status::Status;
use storage::Key;
use storage::cache::View;

use super::Call;
use crate::description::Verb;
use crate::options::ListOptions;
use crate::resource::{Resource, Visibility};
use crate::stored_object::{BROKEN, StoredObject};

/// Names in a warning: as many as a person reads, and a header holds.
const SHOWN: usize = 10;

/// Which objects of a collection a request is about.
#[derive(Clone)]
pub(crate) struct Selection {
    /// Where their keys begin.
    pub(crate) prefix: String,
    labels: LabelSelector,
    fields: FieldSelector,
    known_fields: Vec<&'static str>,
    visibility: Visibility,
}

impl Selection {
    /// The selection of a list, watch or deletecollection.
    ///
    /// # Errors
    /// 400 for a selector on an unknown field or one that contradicts the path.
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
        })
    }

    /// What the caller may see.
    pub(crate) fn visibility(&self) -> &Visibility {
        &self.visibility
    }

    /// Whether an object belongs to the selection. One that cannot be read never does: nobody knows its
    /// labels and its owner, and it must not take the others down with it.
    ///
    /// # Errors
    /// The kind cannot say what the caller may see.
    pub(crate) async fn admits(&self, key: &Key, object: &StoredObject) -> Result<bool, Status> {
        if object.broken().is_some() {
            return Ok(false);
        }
        let selected = self.labels.matches(|label| object.label(label))
            && self.fields.matches(|field| match field {
                "metadata.name" => Some(key.name()),
                "metadata.namespace" => Some(key.namespace()),
                field => {
                    let position = self.known_fields.iter().position(|known| *known == field)?;
                    object.field(position)
                }
            });
        Ok(selected && self.visibility.admits(object).await?)
    }

    /// Warns callers who may see everything of the objects that no list can show (KEP-3926 fails such
    /// lists; here the others are served, and the warning names what is missing).
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
            "{} {} cannot be read and are left out: {}; delete them by their names, or restore them from a backup",
            broken.len(),
            call.resource.registry().group_resource(),
            names.join(", ")
        ));
    }

    /// Whether the selection leaves objects out for other reasons than the namespace.
    pub(crate) fn is_partial(&self) -> bool {
        !self.labels.is_empty()
            || !self.fields.is_empty()
            || !matches!(self.visibility, Visibility::Everything)
    }
}
