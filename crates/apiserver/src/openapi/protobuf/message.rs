//! The wire format of protobuf: fields by number, each with its type
//! (Protocol Buffers documentation, "Encoding").
//!
//! As in proto3, a field that holds the default of its type is not written.

use serde_json::{Map, Value};

/// Wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;

/// A message under construction.
#[derive(Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// The finished message.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A field that holds a message, written even if that is empty.
    pub(super) fn nested(&mut self, field: u64, message: Self) {
        self.delimited(field, &message.bytes);
    }

    /// A `string`.
    pub(super) fn string(&mut self, field: u64, text: &str) {
        if !text.is_empty() {
            self.delimited(field, text.as_bytes());
        }
    }

    /// A `string`, if the value is one.
    pub(super) fn text(&mut self, field: u64, value: &Value) {
        self.string(field, value.as_str().unwrap_or_default());
    }

    /// A repeated `string`, if the value is a list.
    pub(super) fn texts(&mut self, field: u64, values: &Value) {
        for text in items(values).filter_map(Value::as_str) {
            self.delimited(field, text.as_bytes());
        }
    }

    /// A `bool`, if the value is one.
    pub(super) fn boolean(&mut self, field: u64, value: &Value) {
        if value == &Value::Bool(true) {
            self.choice(field, true);
        }
    }

    /// A `bool` in a `oneof`, written even if it is false: that it was chosen says something.
    pub(super) fn choice(&mut self, field: u64, value: bool) {
        self.tag(field, VARINT);
        self.varint(value.into());
    }

    /// An `int64` that is never negative, if the value is one.
    pub(super) fn length(&mut self, field: u64, value: &Value) {
        if let Some(length @ 1..) = value.as_u64() {
            self.tag(field, VARINT);
            self.varint(length);
        }
    }

    /// A `double`, if the value is a number.
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

    /// Seven bits in each byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// What a list holds; nothing where the value is no list.
pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// What an object holds; nothing where the value is no object.
pub(super) fn entries(map: &Value) -> impl Iterator<Item = (&String, &Value)> {
    map.as_object().into_iter().flat_map(Map::iter)
}
