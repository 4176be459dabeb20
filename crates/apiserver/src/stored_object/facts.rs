//! The facts about an object that selectors need.

use std::sync::Arc;

use jiff::Timestamp;
use machinery::meta::{Object, ObjectMeta};

use super::Index;
use super::spans::Spans;

/// The facts about an object that are cached alongside its JSON.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) spans: Spans,
    pub(super) labels: Box<[(Box<str>, Box<str>)]>,
    pub(super) owner: Option<Arc<str>>,
    pub(super) owner_uid: Box<str>,
    /// The values of the fields, those of one field separated by [`SEPARATOR`].
    pub(super) fields: Box<[Box<str>]>,
    pub(super) expires: Option<Timestamp>,
}

/// Separates the values of a field. Values that contain it cannot be selected.
pub(super) const SEPARATOR: char = '\n';

impl Facts {
    /// Extracts the facts of an object whose JSON has these spans.
    pub(super) fn new<T: Object>(spans: Spans, object: &T, index: &Index<T>) -> Self {
        let fields = index.fields.iter();
        let owner = (index.owner)(object);
        Self {
            spans,
            labels: boxed_labels(object.metadata()),
            owner: owner.map(|owner| owner.name.into()),
            owner_uid: owner.map(|owner| owner.uid.into()).unwrap_or_default(),
            fields: fields.map(|(_, read)| joined(read(object))).collect(),
            expires: index.expires.and_then(|expires| expires(object)),
        }
    }
}

fn joined(mut values: Vec<String>) -> Box<str> {
    values.retain(|value| !value.contains(SEPARATOR));
    values.join(&SEPARATOR.to_string()).into()
}

fn boxed_labels(metadata: &ObjectMeta) -> Box<[(Box<str>, Box<str>)]> {
    let labels = metadata.labels.iter().flatten();
    labels
        .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
        .collect()
}
