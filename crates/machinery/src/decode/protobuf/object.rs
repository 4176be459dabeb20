//! Conversion of messages to JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::malformed;
use super::message::{Field, Form, Kind, Message};
use super::reader::{Payload, Reader};
use crate::decode::{self, DecodeError};

/// Decodes a message into `object`, which may already have an earlier part of it, because parts of
/// a message are merged.
///
/// `levels` is the number of levels that objects and lists may nest, `object` included.
///
/// # Errors
/// The same as those of [`protobuf`](super::protobuf()).
pub(super) fn read(
    object: &mut Map<String, Value>,
    bytes: &[u8],
    message: &Message,
    levels: usize,
) -> Result<(), DecodeError> {
    let levels = deeper(levels)?;
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.field()? {
        if let Some(field) = message.field(number) {
            put(object, field, payload, levels)?;
        }
    }
    Ok(())
}

/// Adds one occurrence of a field.
fn put(
    object: &mut Map<String, Value>,
    field: &Field,
    payload: Payload<'_>,
    levels: usize,
) -> Result<(), DecodeError> {
    let name = field.name;
    match (field.form, field.kind) {
        (Form::List, _) => {
            let item = value(field, payload, deeper(levels)?)?;
            if let Value::Array(items) = object.entry(name).or_insert_with(|| json!([])) {
                items.push(item);
            }
        }
        (Form::Map, _) => {
            let (key, value) = entry(field, payload, deeper(levels)?)?;
            if let Value::Object(entries) = object.entry(name).or_insert_with(|| json!({})) {
                entries.insert(key, value);
            }
        }
        (Form::Plain | Form::EvenEmpty, Kind::Message(message)) => {
            let bytes = bytes(field, payload)?;
            if let Value::Object(fields) = object.entry(name).or_insert_with(|| json!({})) {
                read(fields, bytes, message, levels)?;
            }
        }
        (Form::Plain, _) => match value(field, payload, levels)? {
            zero if is_zero(&zero) => {
                object.remove(name);
            }
            value => {
                object.insert(name.to_owned(), value);
            }
        },
        (Form::EvenEmpty, _) => {
            object.insert(name.to_owned(), value(field, payload, levels)?);
        }
    }
    Ok(())
}

/// Decodes the key (number 1) and the value (number 2) of an entry of a map. A missing one is
/// empty.
fn entry(
    field: &Field,
    payload: Payload<'_>,
    levels: usize,
) -> Result<(String, Value), DecodeError> {
    let mut key = Payload::Bytes(&[]);
    let mut content = Payload::Bytes(&[]);
    let mut reader = Reader::new(bytes(field, payload)?);
    while let Some((number, payload)) = reader.field()? {
        match number {
            1 => key = payload,
            2 => content = payload,
            _ => {}
        }
    }
    Ok((text(field, key)?, value(field, content, levels)?))
}

/// Decodes one value. A time that is not set and fields that own nothing are null.
fn value(field: &Field, payload: Payload<'_>, levels: usize) -> Result<Value, DecodeError> {
    Ok(match field.kind {
        Kind::Text => text(field, payload)?.into(),
        Kind::Boolean => (varint(field, payload)? != 0).into(),
        Kind::Integer => varint(field, payload)?.cast_signed().into(),
        Kind::Bytes => STANDARD.encode(bytes(field, payload)?).into(),
        Kind::Time => time(field, bytes(field, payload)?)?,
        Kind::FieldsV1 => fields_v1(field, bytes(field, payload)?, levels)?,
        Kind::TextList => text_list(field, bytes(field, payload)?)?,
        Kind::Message(message) => {
            let mut object = Map::new();
            read(&mut object, bytes(field, payload)?, message, levels)?;
            Value::Object(object)
        }
    })
}

fn time(field: &Field, message: &[u8]) -> Result<Value, DecodeError> {
    if message.is_empty() {
        return Ok(Value::Null);
    }
    let mut seconds = 0;
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.field()? {
        if number == 1 {
            seconds = varint(field, payload)?.cast_signed();
        }
    }
    let time = Timestamp::from_second(seconds)
        .map_err(|_| malformed(format!("time out of range in field {}", field.name)))?;
    Ok(time.to_string().into())
}

fn fields_v1(field: &Field, message: &[u8], levels: usize) -> Result<Value, DecodeError> {
    let mut raw: &[u8] = &[];
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.field()? {
        if number == 1 {
            raw = bytes(field, payload)?;
        }
    }
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    let fields = decode::json(raw)
        .map_err(|error| malformed(format!("field {}: {error}", field.name)))?
        .value;
    if decode::fits(&fields, levels) {
        Ok(fields)
    } else {
        Err(too_deep())
    }
}

fn text_list(field: &Field, message: &[u8]) -> Result<Value, DecodeError> {
    let mut items: Vec<Value> = Vec::new();
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.field()? {
        if number == 1 {
            items.push(text(field, payload)?.into());
        }
    }
    Ok(items.into())
}

fn text(field: &Field, payload: Payload<'_>) -> Result<String, DecodeError> {
    let text = std::str::from_utf8(bytes(field, payload)?);
    text.map(str::to_owned)
        .map_err(|_| malformed(format!("field {} contains invalid UTF-8", field.name)))
}

fn bytes<'a>(field: &Field, payload: Payload<'a>) -> Result<&'a [u8], DecodeError> {
    match payload {
        Payload::Bytes(bytes) => Ok(bytes),
        Payload::Varint(_) | Payload::Fixed => Err(wrong_type(field)),
    }
}

fn varint(field: &Field, payload: Payload<'_>) -> Result<u64, DecodeError> {
    match payload {
        Payload::Varint(number) => Ok(number),
        Payload::Bytes(_) | Payload::Fixed => Err(wrong_type(field)),
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn deeper(levels: usize) -> Result<usize, DecodeError> {
    levels.checked_sub(1).ok_or_else(too_deep)
}

fn too_deep() -> DecodeError {
    malformed("exceeded max depth")
}

fn wrong_type(field: &Field) -> DecodeError {
    malformed(format!("wrong wire type for field {}", field.name))
}
