//! An object in the watch cache: its JSON, ready to send, and the few facts that selectors need.
//!
//! The store keeps `{"kind":…,"apiVersion":…,"metadata":{…},…}` without a resource version. The
//! version is inserted once, when the cache sees the write. From then on, get, list, watch and
//! metadata-only responses are slices of the same bytes.

mod derived;
mod facts;
mod spans;
mod written;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use machinery::meta::{MetadataExt, Object, ObjectMeta, serialize_go_order};
use machinery::status::Status;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use storage::cache::Decode;
use storage::{Complaints, Key, Revision};

use self::derived::Derived;
use self::facts::{Facts, SEPARATOR};
use self::spans::Spans;
use self::written::Written;
use crate::description::{Description, Scope};

/// An object in the watch cache.
#[derive(Debug)]
pub struct StoredObject {
    key: Key,
    bytes: Bytes,
    revision: Revision,
    facts: Facts,
    broken: Option<Box<str>>,
    derived: Derived,
}

/// The user who owns an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The name of the user.
    pub name: &'a str,
    /// The UID, which distinguishes the user from earlier and later users of the same name; empty
    /// if it is unknown.
    pub uid: &'a str,
}

impl Owner<'_> {
    /// Returns whether both are the same user. An unknown UID matches any UID.
    #[must_use]
    pub fn is(self, other: Owner<'_>) -> bool {
        let same_uid = self.uid == other.uid || self.uid.is_empty() || other.uid.is_empty();
        self.name == other.name && same_uid
    }
}

/// The functions that extract the owner and the selectable fields from an object of type `T`.
#[derive(Debug)]
pub struct Index<T: 'static> {
    /// The function that returns the owner of an object, for kinds whose objects have one.
    pub owner: fn(&T) -> Option<Owner<'_>>,
    /// The selectable fields in addition to `metadata.name` and `metadata.namespace`.
    pub fields: &'static [SelectableField<T>],
    /// The function that returns the time at which an object expires, for kinds with the selectable
    /// field [`EXPIRED`].
    pub expires: Option<fn(&T) -> Option<Timestamp>>,
}

/// The selectable field that is `true` for objects that have expired, and otherwise `false`.
pub const EXPIRED: &str = "status.expired";

/// A selectable field: its path, and the function that returns its values. A selector with `=`
/// selects the objects whose field contains the value.
pub type SelectableField<T> = (&'static str, fn(&T) -> Vec<String>);

impl<T> Clone for Index<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Index<T> {}

impl<T> Index<T> {
    /// An index without owner and additional fields.
    pub const NONE: Self = Self {
        owner: |_| None,
        fields: &[],
        expires: None,
    };
}

impl StoredObject {
    /// Returns the JSON of the object with kind, apiVersion and resource version.
    pub fn json(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the JSON of the object as an item of a typed list: without kind, apiVersion and the
    /// leading `{`.
    pub fn list_item(&self) -> Bytes {
        let start = self.facts.spans.metadata().start;
        self.bytes
            .slice(start.saturating_sub(r#""metadata":"#.len())..)
    }

    /// Returns the JSON of the object's metadata.
    pub fn metadata_json(&self) -> Bytes {
        self.bytes.slice(self.facts.spans.metadata())
    }

    /// Returns the JSON of the object's metadata with empty `managedFields`. It is about half the
    /// size, so cheaper to decode.
    pub fn metadata_facts(&self) -> Cow<'_, [u8]> {
        let all = self.facts.spans.metadata();
        self.facts.spans.without_managed_fields(&self.bytes, all)
    }

    /// Returns the JSON of the object with empty `managedFields`.
    pub(crate) fn json_without_managed_fields(&self) -> Cow<'_, [u8]> {
        self.facts
            .spans
            .without_managed_fields(&self.bytes, 0..self.bytes.len())
    }

    /// Returns the key of the object in the store.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Returns the name of the object.
    pub fn name(&self) -> &str {
        self.key.name()
    }

    /// Returns the store revision of the last write to the object.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns the value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.facts
            .labels
            .iter()
            .find(|(name, _)| &**name == key)
            .map(|(_, value)| &**value)
    }

    /// Returns the owner, as extracted by [`Index::owner`].
    pub fn owner(&self) -> Option<Owner<'_>> {
        let name = self.facts.owner.as_deref()?;
        let uid = &*self.facts.owner_uid;
        Some(Owner { name, uid })
    }

    /// Returns whether the n-th field of its [`Index`] has or contains a value. A field without
    /// values has the empty one.
    pub fn has_field(&self, position: usize, value: &str) -> bool {
        let values = self.facts.fields.get(position);
        values.is_some_and(|values| values.split(SEPARATOR).any(|own| own == value))
    }

    /// Returns the time at which the object expires, if it does.
    pub fn expires(&self) -> Option<Timestamp> {
        self.facts.expires
    }

    /// Returns the object with the version of a later event. A watch sends this for a deletion.
    pub(crate) fn at(&self, revision: Revision) -> Self {
        let field = |revision: Revision| format!(r#""resourceVersion":"{revision}""#);
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

    /// Returns the reason why the object cannot be read; `None` if it can.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Creates an object from the complete JSON of a write, for one response.
    ///
    /// # Errors
    /// 500 if the JSON is not an object with metadata.
    pub(crate) fn of_answer(key: Key, bytes: Bytes, revision: Revision) -> Result<Self, Status> {
        let spans = Spans::of(&bytes)
            .map_err(|_| Status::internal("the encoded object has no metadata"))?;
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

    /// Creates an object whose stored bytes cannot be decoded.
    fn undecodable(key: &Key, why: &str, revision: Revision) -> Self {
        Self {
            key: key.clone(),
            bytes: Bytes::new(),
            revision,
            facts: Facts::default(),
            broken: Some(why.into()),
            derived: Derived::default(),
        }
    }
}

/// The key of broken objects in the owner index. User names contain no NUL.
pub(crate) const BROKEN: &str = "\0broken";

/// A decoder of stored bytes into cache entries.
///
/// Bytes that other writers put into the store are treated as untrusted input. JSON in another
/// layout is encoded again, because responses are slices of it. An object whose name does not match
/// its key is broken.
pub(crate) struct Indexer<T: 'static> {
    index: Index<T>,
    description: Description,
    prefix: String,
    /// The first bytes of the JSON of every object, up to its metadata.
    head: Vec<u8>,
    written: Written,
    complaints: Complaints,
}

/// An object whose JSON has the layout of this server.
struct Read {
    json: Bytes,
    facts: Facts,
}

impl<T: Object> Indexer<T> {
    /// Creates an indexer for the objects of a kind under this prefix.
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

    /// Announces that an object is about to be written as this JSON, so that it need not be
    /// decoded.
    pub(crate) fn will_write(&self, key: &Key, json: &Bytes, object: &T) {
        if let Ok(spans) = Spans::of(json) {
            let facts = Facts::new(spans, object, &self.index);
            self.written.add(key, json, facts);
        }
    }

    /// Withdraws the announcement of [`Indexer::will_write`] because the write failed.
    pub(crate) fn did_not_write(&self, key: &Key, json: &Bytes) {
        let _ = self.written.take(key, json);
    }

    fn read(&self, key: &Key, value: &Bytes) -> Result<Read, String> {
        if let Some(facts) = self.written.take(key, value) {
            let json = value.clone();
            return Ok(Read { json, facts });
        }
        if value.is_empty() {
            return Err("its value is damaged or was not written by this server".to_owned());
        }
        let (json, object, spans) = self.parse(value).map_err(|error| error.to_string())?;
        match self.place_of(object.metadata()) == key.as_str() {
            true => Ok(Read {
                facts: Facts::new(spans, &object, &self.index),
                json,
            }),
            false => Err("its name differs from its storage key".to_owned()),
        }
    }

    /// Decodes the object. Returns it with its JSON in the layout of this server.
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
        let name = metadata.name();
        match (self.description.scope, metadata.namespace.as_deref()) {
            (Scope::Namespaced, Some(namespace)) => format!("{}{namespace}/{name}", self.prefix),
            _ => format!("{}{name}", self.prefix),
        }
    }

    /// Logs that an object is broken, once for each key.
    fn complain(&self, key: &Key, why: &str) {
        if self.complaints.is_new(key.as_str()) {
            tracing::error!(%key, why, "a stored object cannot be read and is omitted from lists: delete it by name, or restore it from a backup");
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
                    revision,
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

/// Encodes the JSON of an object for the store: kind and apiVersion first, metadata in Go's field
/// order, no resource version.
///
/// # Errors
/// The object has no JSON form, such as a map with keys that are not strings.
pub(crate) fn encode_stored<T: Object>(
    description: &Description,
    object: &mut T,
) -> Result<Vec<u8>, serde_json::Error> {
    let version = object.metadata_mut().resource_version.take();
    let bytes = encode(description, object);
    object.metadata_mut().resource_version = version;
    bytes
}

/// The first bytes of the JSON of a type that uses [`serialize_go_order`] itself: metadata first,
/// and in it the name. In alphabetical order, another field such as `creationTimestamp` would come
/// first.
const IN_ORDER: &[u8] = br#"{"metadata":{"name":"#;

/// The initial capacity of a JSON buffer, enough for most objects, in bytes.
const TYPICAL: usize = 4096;

/// Encodes the JSON of an object unchanged: kind and apiVersion first, metadata in Go's field
/// order.
///
/// # Errors
/// As for [`encode_stored`].
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
    // Replaces the opening brace of the object, so that its fields follow kind and apiVersion.
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

/// Rewrites the JSON of an object with its metadata first and in Go's field order.
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

/// The fields of a JSON object in their original order. The Kubernetes types write theirs in
/// alphabetical order, metadata among them.
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

/// Inserts the resource version into stored JSON, and returns the new spans.
fn stamp(value: &[u8], spans: &Spans, revision: Revision) -> (Bytes, Spans) {
    let at = spans.version();
    let version = format!(r#""resourceVersion":"{}","#, revision);
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
