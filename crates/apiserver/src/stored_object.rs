//! An object as the watch cache holds it: its JSON, ready to send, and the few facts that selecting
//! needs.
//!
//! The store keeps `{"kind":…,"apiVersion":…,"metadata":{…},…}` without a resource version. When
//! the cache learns of a write the version is stamped in, once; from then on get, list, watch and
//! metadata-only answers are slices of the same bytes.

mod derived;
mod facts;
mod spans;
mod written;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use machinery::meta::{Object, ObjectMeta, serialize_go_order};
use machinery::status::Status;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use storage::cache::Decode;
use storage::{Complaints, Key, Revision};

use self::derived::Derived;
use self::facts::Facts;
use self::spans::Spans;
use self::written::Written;
use crate::description::{Description, Scope};

/// An object as the watch cache holds it.
#[derive(Debug)]
pub struct StoredObject {
    key: Key,
    bytes: Bytes,
    revision: u64,
    facts: Facts,
    broken: Option<Box<str>>,
    derived: Derived,
}

/// The user whom an object belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The name.
    pub name: &'a str,
    /// The uid, which tells the user from earlier and later ones of the same name; empty where it is not known.
    pub uid: &'a str,
}

impl Owner<'_> {
    /// Whether both are the same user. An unknown uid is no difference.
    #[must_use]
    pub fn is(self, other: Owner<'_>) -> bool {
        let same_uid = self.uid == other.uid || self.uid.is_empty() || other.uid.is_empty();
        self.name == other.name && same_uid
    }
}

/// What is extracted from an object of type `T` for selecting, beside its labels.
#[derive(Debug)]
pub struct Index<T: 'static> {
    /// The user whom the object belongs to, for kinds whose objects belong to one.
    pub owner: fn(&T) -> Option<Owner<'_>>,
    /// Field selectors beyond `metadata.name` and `metadata.namespace`, each with its value.
    pub fields: &'static [SelectableField<T>],
}

/// A field to select by, and how to read it.
pub type SelectableField<T> = (&'static str, fn(&T) -> String);

impl<T> Clone for Index<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Index<T> {}

impl<T> Index<T> {
    /// Nothing beyond labels and name.
    pub const NONE: Self = Self {
        owner: |_| None,
        fields: &[],
    };
}

impl StoredObject {
    /// The object's JSON with kind, apiVersion and resource version.
    pub fn json(&self) -> &Bytes {
        &self.bytes
    }

    /// The object's JSON as an item of a typed list: without kind and apiVersion (A36). The leading
    /// `{` is left out.
    pub fn list_item(&self) -> Bytes {
        let start = self.facts.spans.metadata().start;
        self.bytes
            .slice(start.saturating_sub(r#""metadata":"#.len())..)
    }

    /// The JSON of the object's metadata.
    pub fn metadata_json(&self) -> Bytes {
        self.bytes.slice(self.facts.spans.metadata())
    }

    /// The JSON of the object's metadata with empty `managedFields`: half of it, for who decodes it.
    pub fn metadata_facts(&self) -> Cow<'_, [u8]> {
        let all = self.facts.spans.metadata();
        self.facts.spans.without_managed_fields(&self.bytes, all)
    }

    /// The object's JSON with empty `managedFields`.
    pub(crate) fn json_without_managed_fields(&self) -> Cow<'_, [u8]> {
        self.facts
            .spans
            .without_managed_fields(&self.bytes, 0..self.bytes.len())
    }

    /// Where it lies.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.key.name()
    }

    /// The store revision that wrote it.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.facts
            .labels
            .iter()
            .find(|(name, _)| &**name == key)
            .map(|(_, value)| &**value)
    }

    /// Whom it belongs to.
    pub fn owner(&self) -> Option<Owner<'_>> {
        let name = self.facts.owner.as_deref()?;
        let uid = &*self.facts.owner_uid;
        Some(Owner { name, uid })
    }

    /// The value of the n-th field of its [`Index`].
    pub fn field(&self, position: usize) -> Option<&str> {
        self.facts.fields.get(position).map(|value| &**value)
    }

    /// The same object with the version of a later event, as a watch shows its end (A68).
    pub(crate) fn at(&self, revision: u64) -> Self {
        let field = |revision: u64| format!(r#""resourceVersion":"{revision}""#);
        let (old, new) = (field(self.revision), field(revision));
        let start = self.facts.spans.version();
        let mut bytes = Vec::with_capacity(self.bytes.len() + new.len());
        bytes.extend_from_slice(&self.bytes[..start]);
        bytes.extend_from_slice(new.as_bytes());
        bytes.extend_from_slice(&self.bytes[start + old.len()..]);
        let grown = new.len().saturating_sub(old.len());
        Self {
            key: self.key.clone(),
            bytes: bytes.into(),
            revision,
            facts: Facts {
                spans: self.facts.spans.grown(start, grown),
                ..self.facts.clone()
            },
            broken: self.broken.clone(),
            derived: Derived::default(),
        }
    }

    /// Why it cannot be served, if it cannot.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// An object that was just written: complete JSON, for one answer.
    ///
    /// # Errors
    /// 500 where it is no JSON object with metadata.
    pub(crate) fn of_answer(key: Key, bytes: Bytes, revision: u64) -> Result<Self, Status> {
        let spans = Spans::of(&bytes)
            .map_err(|_| Status::internal("the object has no metadata in its JSON form"))?;
        Ok(Self {
            key,
            bytes,
            revision,
            facts: Facts {
                spans,
                ..Facts::default()
            },
            broken: None,
            derived: Derived::default(),
        })
    }

    /// An object whose stored bytes cannot be understood.
    fn undecodable(key: &Key, why: &str, revision: Revision) -> Self {
        Self {
            key: key.clone(),
            bytes: Bytes::new(),
            revision: revision.get(),
            facts: Facts::default(),
            broken: Some(why.into()),
            derived: Derived::default(),
        }
    }
}

/// The owner of broken objects in the index of owners. No name of a user holds a NUL.
pub(crate) const BROKEN: &str = "\0broken";

/// Turns stored bytes into cache entries.
///
/// Treats the bytes of other writers in the store as input: bytes in another layout than ours are encoded
/// again, since answers are cut out of them, and an object that is not what its key says is broken.
pub(crate) struct Indexer<T: 'static> {
    index: Index<T>,
    description: Description,
    prefix: String,
    /// The beginning of the JSON of every object.
    head: Vec<u8>,
    written: Written,
    complaints: Complaints,
}

/// An object whose JSON has our layout.
struct Read {
    json: Bytes,
    facts: Facts,
}

impl<T: Object> Indexer<T> {
    /// For objects of a kind, under this prefix.
    pub(crate) fn new(index: Index<T>, description: Description, prefix: String) -> Self {
        let mut head = Vec::new();
        write_head(&description, &mut head);
        head.extend_from_slice(br#","metadata":"#);
        Self {
            index,
            description,
            prefix,
            head,
            written: Written::default(),
            complaints: Complaints::default(),
        }
    }

    /// Tells that an object is about to be written as this JSON, which then need not be decoded.
    pub(crate) fn will_write(&self, key: &Key, json: &Bytes, object: &T) {
        if let Ok(spans) = Spans::of(json) {
            let facts = Facts::new(spans, object, &self.index);
            self.written.add(key, json, facts);
        }
    }

    /// Tells that the store did not take it.
    pub(crate) fn did_not_write(&self, key: &Key, json: &Bytes) {
        let _ = self.written.take(key, json);
    }

    fn read(&self, key: &Key, value: &Bytes) -> Result<Read, String> {
        if let Some(facts) = self.written.take(key, value) {
            let json = value.clone();
            return Ok(Read { json, facts });
        }
        if value.is_empty() {
            return Err("its value is damaged, or was not written by this server".to_owned());
        }
        let (json, object, spans) = self.parse(value).map_err(|error| error.to_string())?;
        match self.place_of(object.metadata()) == key.as_str() {
            true => Ok(Read {
                facts: Facts::new(spans, &object, &self.index),
                json,
            }),
            false => Err("its name is not the one that it is stored under".to_owned()),
        }
    }

    /// The object, and its JSON in our layout.
    fn parse(&self, value: &Bytes) -> Result<(Bytes, T, Spans), serde_json::Error> {
        if let Some(spans) = Spans::of_layout(value, &self.head) {
            let facts = spans.without_managed_fields(value, 0..value.len());
            return Ok((value.clone(), serde_json::from_slice(&facts)?, spans));
        }
        let mut object: T = serde_json::from_slice(value)?;
        let json = encode_stored(&self.description, &mut object)?;
        let spans = Spans::of(&json)?;
        Ok((json.into(), object, spans))
    }

    fn place_of(&self, metadata: &ObjectMeta) -> String {
        let name = metadata.name.as_deref().unwrap_or_default();
        match (self.description.scope, metadata.namespace.as_deref()) {
            (Scope::Namespaced, Some(namespace)) => format!("{}{namespace}/{name}", self.prefix),
            _ => format!("{}{name}", self.prefix),
        }
    }

    /// Logs that an object is broken, once.
    fn complain(&self, key: &Key, why: &str) {
        if self.complaints.is_new(key.as_str()) {
            tracing::error!(%key, why, "a stored object cannot be read: it is left out of lists; delete it by its name, or restore it");
        }
    }
}

impl<T: Object> Decode<StoredObject> for Indexer<T> {
    fn decode(&self, key: &Key, value: &Bytes, revision: Revision) -> StoredObject {
        match self.read(key, value) {
            Ok(Read { json, facts }) => {
                let (bytes, spans) = stamp(&json, &facts.spans, revision);
                StoredObject {
                    key: key.clone(),
                    bytes,
                    revision: revision.get(),
                    facts: Facts { spans, ..facts },
                    broken: None,
                    derived: Derived::default(),
                }
            }
            Err(why) => {
                self.complain(key, &why);
                StoredObject::undecodable(key, &why, revision)
            }
        }
    }

    fn index(&self, object: &StoredObject) -> Option<Arc<str>> {
        match object.broken() {
            Some(_) => Some(BROKEN.into()),
            None => object.facts.owner.clone(),
        }
    }

    fn size(&self, object: &StoredObject) -> usize {
        object.bytes.len()
    }
}

/// The stored JSON of an object: kind and apiVersion first, metadata in Go's field order, no
/// resource version.
///
/// # Errors
/// Only where the object has no JSON form, such as a map with keys that are not strings.
pub(crate) fn encode_stored<T: Object>(
    description: &Description,
    object: &mut T,
) -> Result<Vec<u8>, serde_json::Error> {
    let version = object.metadata_mut().resource_version.take();
    let bytes = encode(description, object);
    object.metadata_mut().resource_version = version;
    bytes
}

/// How the JSON of a type begins that keeps the order itself, by [`serialize_go_order`]: metadata first, in it the name. In alphabetical
/// order something else comes first, `creationTimestamp` at the latest.
const IN_ORDER: &[u8] = br#"{"metadata":{"name":"#;

/// Room for the JSON of most objects, in bytes.
const TYPICAL: usize = 4096;

/// The JSON of an object as it is, kind and apiVersion first, metadata in Go's field order.
///
/// # Errors
/// As [`encode_stored`].
pub(crate) fn encode<T: Object>(
    description: &Description,
    object: &T,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(TYPICAL);
    write_head(description, &mut bytes);
    let start = bytes.len();
    serde_json::to_writer(&mut bytes, object)?;
    if !bytes[start..].starts_with(IN_ORDER) {
        let own = bytes.split_off(start);
        write_in_order(&own, object, &mut bytes)?;
    }
    // Where its fields begin, it goes on with those.
    bytes[start] = b',';
    Ok(bytes)
}

/// Writes `{"kind":…,"apiVersion":…`.
fn write_head(description: &Description, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"kind":""#);
    out.extend_from_slice(description.kind.as_bytes());
    out.extend_from_slice(br#"","apiVersion":""#);
    out.extend_from_slice(description.group_version().as_bytes());
    out.push(b'"');
}

/// Writes the JSON of an object once more, its metadata first and in Go's field order.
fn write_in_order<T: Object>(
    json: &[u8],
    object: &T,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let fields: Fields<'_> = serde_json::from_slice(json)?;
    out.extend_from_slice(br#"{"metadata":"#);
    serialize_go_order(
        object.metadata(),
        &mut serde_json::Serializer::new(&mut *out),
    )?;
    for (name, value) in fields.0 {
        if matches!(&*name, "kind" | "apiVersion" | "metadata") {
            continue;
        }
        out.push(b',');
        serde_json::to_writer(&mut *out, &name)?;
        out.push(b':');
        out.extend_from_slice(value.get().as_bytes());
    }
    out.push(b'}');
    Ok(())
}

/// The fields of a JSON object as they stand: the types of Kubernetes put theirs in alphabetical
/// order, metadata among them.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

/// Writes the resource version into stored JSON, and says where things are then.
fn stamp(value: &[u8], spans: &Spans, revision: Revision) -> (Bytes, Spans) {
    let at = spans.version();
    let version = format!(r#""resourceVersion":"{}","#, revision.get());
    let mut stamped = Vec::with_capacity(value.len() + version.len());
    stamped.extend_from_slice(&value[..at]);
    stamped.extend_from_slice(version.as_bytes());
    stamped.extend_from_slice(&value[at..]);
    (stamped.into(), spans.grown(at, version.len()))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;
    use crate::description::{KindSchema, Scope, Verb};

    #[test]
    fn fields_in_front_of_the_metadata_are_kept_behind_it() {
        let description = Description {
            group: "",
            version: "v1",
            kind: "ConfigMap",
            plural: "configmaps",
            singular: "configmap",
            short_names: &[],
            categories: &[],
            scope: Scope::Namespaced,
            verbs: Verb::ALL,
            subresources: &[],
            schema: KindSchema::of::<ConfigMap>(),
        };
        let object = json!({"metadata": {"name": "a"}, "data": {"k": "v"}, "immutable": true});
        let object: ConfigMap = serde_json::from_value(object).unwrap();
        let expected = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":"v"},"immutable":true}"#;
        assert_eq!(
            String::from_utf8(encode(&description, &object).unwrap()).unwrap(),
            expected
        );
    }
}
