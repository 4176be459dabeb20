//! The protobuf encoding of Kubernetes' own kinds (`k8s.io/apimachinery`,
//! `runtime/serializer/protobuf`).
//!
//! Typed clients of Kubernetes, kubectl among them, send the kinds that they were built with in
//! protobuf and do not fall back to JSON. A body consists of four magic bytes and a
//! `runtime.Unknown`, which contains the kind and the object. The encoding does not contain the
//! names of fields, so decoding needs a table ([`Message`]). The result is the tree that the same
//! object would be in JSON. All further processing is the same as for JSON.
//!
//! In Go, a field that is not a pointer is present in protobuf even if it is empty, whereas JSON
//! usually omits it. Therefore, an empty text, zero and `false` are dropped here, unless the table
//! says [`even_empty`](Field::even_empty).
//!
//! Unknown fields are skipped, as upstream. Groups are rejected, because no kind of Kubernetes has
//! them. The tables of metav1 are in [`meta`]. The tables of other kinds belong to the code that
//! serves them.

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

/// Magic bytes at the start of a body.
const MAGIC: &[u8; 4] = b"k8s\0";

/// `runtime.TypeMeta`. In metav1, the two fields have each other's number.
static TYPE_META: Message = Message {
    fields: &[text(1, "apiVersion"), text(2, "kind")],
};

/// Decodes one object that has the fields of `message`.
///
/// `kind` and `apiVersion` are in the tree if the body names them. The caller must check that they
/// are the expected ones. Protobuf has no duplicate fields.
///
/// # Errors
/// The bytes do not begin with the magic bytes or are not protobuf, a field has another type than
/// in the table, a text is not UTF-8, or the object is nested deeper than [`MAX_DEPTH`].
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
