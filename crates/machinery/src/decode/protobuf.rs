//! Protobuf, as Kubernetes' own kinds travel (`k8s.io/apimachinery`, `runtime/serializer/protobuf`).
//!
//! Typed clients of Kubernetes, kubectl among them, write the kinds they were built with in
//! protobuf and do not fall back. A body is four magic bytes and a `runtime.Unknown`: the kind, and
//! the object itself. What its fields are called the wire does not say, so reading takes a table
//! ([`Message`]); the result is the tree that the same object would be in JSON, and everything after
//! it is as for JSON.
//!
//! In Go, a field that is no pointer is in protobuf even if it is empty, and mostly left out of JSON
//! then. So an empty text, zero and `false` are no value here, but where the table says
//! [`even_empty`](Field::even_empty).
//!
//! Unknown fields are skipped, as upstream. Groups, which no kind of Kubernetes has, are refused.
//! The tables of metav1 are in [`meta`]; those of kinds belong to who serves them.

pub mod meta;

mod message;
mod object;
mod reader;

pub use message::{
    Field, Message, boolean, bytes, fields_v1, integer, message, text, text_list, time,
};

use serde_json::{Map, Value};

use self::reader::{Payload, Reader};
use super::{DecodeError, Decoded, MAX_DEPTH};

/// What a body begins with.
const MAGIC: &[u8; 4] = b"k8s\0";

/// `runtime.TypeMeta`. That of metav1 numbers its fields the other way round.
static TYPE_META: Message = Message {
    fields: &[text(1, "apiVersion"), text(2, "kind")],
};

/// Reads one object, whose fields are those of `message`.
///
/// `kind` and `apiVersion` are in the tree if the body names them; whether they are the expected
/// ones is for the caller to check. Protobuf has no duplicate fields.
///
/// # Errors
/// If the bytes do not begin with the magic ones, are no protobuf, hold a field of another type than
/// the table says or text that is not UTF-8, or nest deeper than [`MAX_DEPTH`].
pub fn protobuf(bytes: &[u8], message: &Message) -> Result<Decoded, DecodeError> {
    let envelope = bytes.strip_prefix(MAGIC).ok_or_else(|| {
        malformed(format!(
            "provided data does not appear to be a protobuf message, expected prefix {MAGIC:?}"
        ))
    })?;
    let mut type_meta = Map::new();
    let mut raw: &[u8] = &[];
    let mut reader = Reader::new(envelope);
    while let Some((number, payload)) = reader.field()? {
        match (number, payload) {
            (1, Payload::Bytes(bytes)) => object::read(&mut type_meta, bytes, &TYPE_META, 1)?,
            (2, Payload::Bytes(bytes)) => raw = bytes,
            (1 | 2, _) => return Err(malformed("wrong wire type in the envelope")),
            _ => {}
        }
    }
    let mut fields = Map::new();
    object::read(&mut fields, raw, message, MAX_DEPTH)?;
    fields.append(&mut type_meta);
    Ok(Decoded {
        value: Value::Object(fields),
        duplicates: Vec::new(),
    })
}

fn malformed(why: impl Into<String>) -> DecodeError {
    DecodeError::Protobuf(why.into())
}

#[cfg(test)]
mod tests;
