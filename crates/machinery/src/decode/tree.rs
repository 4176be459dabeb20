//! Builds a [`Value`] from any serde format, within limits, and records duplicate fields.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::path::Path;
use super::{MAX_DEPTH, MAX_REPORTED_FIELDS};

/// Recorder of duplicate fields and memory use while a document is read.
pub(super) struct Recorder {
    duplicates: Vec<String>,
    /// Bytes by which the value may still grow.
    remaining_bytes: usize,
}

impl Recorder {
    /// Starts a document whose value may take about `max_bytes` of memory.
    pub(super) fn new(max_bytes: usize) -> Self {
        Recorder {
            duplicates: Vec::new(),
            remaining_bytes: max_bytes,
        }
    }

    /// Returns the paths of duplicate fields, in the order of their discovery.
    pub(super) fn into_duplicates(self) -> Vec<String> {
        self.duplicates
    }

    fn duplicate(&mut self, path: &Path<'_>) {
        if self.duplicates.len() < MAX_REPORTED_FIELDS {
            let text = path.to_string();
            if !self.duplicates.contains(&text) {
                self.duplicates.push(text);
            }
        }
    }

    fn charge<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.remaining_bytes = self
            .remaining_bytes
            .checked_sub(bytes)
            .ok_or_else(|| E::custom("document contains excessive aliasing"))?;
        Ok(())
    }
}

/// Seed that reads one value.
pub(super) struct Tree<'a> {
    path: Path<'a>,
    /// Number of objects and lists around the value.
    depth: usize,
    recorder: &'a mut Recorder,
}

impl<'a> Tree<'a> {
    /// Creates the seed for the whole document.
    pub(super) fn root(recorder: &'a mut Recorder) -> Self {
        Tree {
            path: Path::Root,
            depth: 0,
            recorder,
        }
    }

    fn check_depth<E: Error>(&self) -> Result<(), E> {
        if self.depth < MAX_DEPTH {
            Ok(())
        } else {
            Err(E::custom("exceeded max depth"))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        match Number::from_f64(value) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(E::custom("number out of range")),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.recorder.charge(text.len())?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        self.recorder.charge(text.len())?;
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut list = Vec::new();
        loop {
            let item = Tree {
                path: Path::Item(&self.path, list.len()),
                depth: self.depth + 1,
                recorder: &mut *self.recorder,
            };
            let Some(value) = items.next_element_seed(item)? else {
                return Ok(Value::Array(list));
            };
            self.recorder.charge(size_of::<Value>())?;
            list.push(value);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut fields = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            self.recorder
                .charge(name.len() + size_of::<(String, Value)>())?;
            let path = Path::Field(&self.path, &name);
            if fields.contains_key(&name) {
                self.recorder.duplicate(&path);
            }
            let value = entries.next_value_seed(Tree {
                path,
                depth: self.depth + 1,
                recorder: &mut *self.recorder,
            })?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}
