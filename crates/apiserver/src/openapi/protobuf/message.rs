//! The wire format of protobuf: fields by number, each with its type (Protocol Buffers
//! documentation, "Encoding").
//!
//! As in proto3, a field with the default value of its type is not written.

use serde_json::{Map, Value};

/// The wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;

/// A message that is being built.
#[derive(Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Returns the encoded message.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Writes a message field, even if the message is empty.
    pub(super) fn nested(&mut self, field: u64, message: Self) {
        self.delimited(field, &message.bytes);
    }

    /// Writes a `string` field.
    pub(super) fn string(&mut self, field: u64, text: &str) {
        if !text.is_empty() {
            self.delimited(field, text.as_bytes());
        }
    }

    /// Writes a `string` field, if the value is a string.
    pub(super) fn text(&mut self, field: u64, value: &Value) {
        self.string(field, value.as_str().unwrap_or_default());
    }

    /// Writes a repeated `string` field, if the value is a list.
    pub(super) fn texts(&mut self, field: u64, values: &Value) {
        for text in items(values).filter_map(Value::as_str) {
            self.delimited(field, text.as_bytes());
        }
    }

    /// Writes a `bool` field, if the value is true.
    pub(super) fn boolean(&mut self, field: u64, value: &Value) {
        if value == &Value::Bool(true) {
            self.choice(field, true);
        }
    }

    /// Writes a `bool` field of a `oneof`, even if it is false, because the choice itself is
    /// information.
    pub(super) fn choice(&mut self, field: u64, value: bool) {
        self.tag(field, VARINT);
        self.varint(value.into());
    }

    /// Writes an `int64` field, if the value is a positive integer.
    pub(super) fn length(&mut self, field: u64, value: &Value) {
        if let Some(length @ 1..) = value.as_u64() {
            self.tag(field, VARINT);
            self.varint(length);
        }
    }

    /// Writes a `double` field, if the value is a number other than zero.
    pub(super) fn number(&mut self, field: u64, value: &Value) {
        if let Some(number) = value.as_f64().filter(|number| *number != 0.0) {
            self.tag(field, FIXED64);
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn delimited(&mut self, field: u64, bytes: &[u8]) {
        self.tag(field, LENGTH_DELIMITED);
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn tag(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    /// Writes a varint: seven bits in each byte, the lowest first. The eighth bit is set if more
    /// bytes follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// Returns the items of a list; none if the value is not a list.
pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Returns the fields of an object; none if the value is not an object.
pub(super) fn entries(map: &Value) -> impl Iterator<Item = (&String, &Value)> {
    map.as_object().into_iter().flat_map(Map::iter)
}
