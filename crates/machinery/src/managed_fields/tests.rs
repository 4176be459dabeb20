//! Scenarios with several writers, as requests and their results.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::schema::{ListType, Shape, StringFormat};

mod applying;
mod bookkeeping;
mod invariants;
mod updating;

/// Returns the schema of a kind with every sort of field in `.spec`.
pub(super) fn example_schema() -> Schema {
    let number = || of(Shape::Number);
    let item = || object([("name", text()), ("value", number()), ("set", set(text()))]);
    let spec = object([
        ("number", number()),
        ("text", text()),
        ("any", of(Shape::Any)),
        ("struct", object([("number", number()), ("text", text())])),
        ("map", map(text())),
        (
            "structs",
            map(object([("number", number()), ("text", text())])),
        ),
        (
            "atomicMap",
            of(Shape::Map {
                values: Arc::new(text()),
                atomic: true,
            }),
        ),
        ("set", set(text())),
        ("atomicList", list(number(), ListType::Atomic)),
        ("list", list(item(), keyed(&["name"]))),
        ("ports", list(port(), keyed(&["port", "protocol"]))),
    ]);
    object([
        ("apiVersion", text()),
        ("kind", text()),
        ("metadata", metadata()),
        ("spec", spec),
        ("status", object([("phase", text())])),
    ])
}

fn metadata() -> Schema {
    object([
        ("name", text()),
        ("namespace", text()),
        ("uid", text()),
        ("resourceVersion", text()),
        ("creationTimestamp", text()),
        ("generation", of(Shape::Integer { bits: 64 })),
        ("labels", map(text())),
        ("annotations", map(text())),
        ("finalizers", set(text())),
        ("managedFields", list(of(Shape::Any), ListType::Atomic)),
    ])
}

fn port() -> Schema {
    let protocol = Schema {
        default: Some(json!("TCP")),
        ..text()
    };
    object([
        ("port", of(Shape::Integer { bits: 32 })),
        ("protocol", protocol),
        ("name", text()),
    ])
}

fn of(shape: Shape) -> Schema {
    Schema {
        type_name: "".into(),
        shape,
        default: None,
    }
}

fn text() -> Schema {
    of(Shape::String {
        format: StringFormat::Text,
    })
}

fn object<const N: usize>(fields: [(&str, Schema); N]) -> Schema {
    let fields = fields
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), Arc::new(schema)));
    of(Shape::Object {
        fields: fields.collect(),
        atomic: false,
    })
}

fn map(values: Schema) -> Schema {
    of(Shape::Map {
        values: Arc::new(values),
        atomic: false,
    })
}

fn list(items: Schema, list_type: ListType) -> Schema {
    of(Shape::List {
        items: Arc::new(items),
        list_type,
    })
}

fn set(items: Schema) -> Schema {
    list(items, ListType::Set)
}

fn keyed(keys: &[&str]) -> ListType {
    ListType::Map {
        keys: keys.iter().map(|&key| key.to_owned()).collect(),
    }
}

/// A server with one object. Each request comes a second after the previous one.
struct Scene {
    schema: Schema,
    /// The object with its entries; `None` before the first request.
    object: Option<Value>,
    seconds: i64,
    subresource: &'static str,
    reset: &'static [&'static str],
}

impl Scene {
    fn new() -> Self {
        Self {
            schema: example_schema(),
            object: None,
            seconds: 0,
            subresource: "",
            reset: &["status"],
        }
    }

    /// Sends the next requests to `/status`.
    fn at_status(&mut self) -> &mut Self {
        (self.subresource, self.reset) = ("status", &["spec"]);
        self
    }

    /// Sends the next requests to the resource itself.
    fn at_main(&mut self) -> &mut Self {
        (self.subresource, self.reset) = ("", &["status"]);
        self
    }

    /// Stores an object with this spec, and keeps the rest of the live object.
    fn update(&mut self, manager: &str, spec: Value) -> &mut Self {
        let mut new = self.object.clone().unwrap_or_else(|| config(Value::Null));
        new["spec"] = spec;
        self.update_object(manager, new)
    }

    fn update_object(&mut self, manager: &str, mut new: Value) -> &mut Self {
        self.seconds += 1;
        let by = self.manager(manager);
        let entries = update(&self.schema, self.object.as_ref(), &new, &by, self.reset);
        new["metadata"]["managedFields"] = json!(entries);
        self.object = Some(new);
        self
    }

    #[track_caller]
    fn apply(&mut self, manager: &str, spec: Value) -> &mut Self {
        self.apply_object(manager, &config(spec), false)
    }

    #[track_caller]
    fn force(&mut self, manager: &str, spec: Value) -> &mut Self {
        self.apply_object(manager, &config(spec), true)
    }

    #[track_caller]
    fn apply_object(&mut self, manager: &str, config: &Value, force: bool) -> &mut Self {
        let applied = self.try_apply(manager, config, force).unwrap();
        let mut object = applied.value;
        object["metadata"]["managedFields"] = json!(applied.managed_fields);
        self.object = Some(object);
        self
    }

    fn try_apply(
        &mut self,
        manager: &str,
        config: &Value,
        force: bool,
    ) -> Result<Applied, ApplyError> {
        self.seconds += 1;
        let by = self.manager(manager);
        apply(
            &self.schema,
            self.object.as_ref(),
            config,
            &by,
            force,
            self.reset,
        )
    }

    fn manager<'a>(&self, name: &'a str) -> Manager<'a> {
        Manager {
            name,
            api_version: "example.com/v1",
            subresource: self.subresource,
            time: Timestamp::from_second(self.seconds).unwrap(),
        }
    }

    /// Checks the spec, and the owners as lines like `a Apply 1: .spec.x .spec.y`.
    #[track_caller]
    fn check(&mut self, spec: Value, owners: &[&str]) -> &mut Self {
        assert_eq!(self.object.as_ref().unwrap()["spec"], spec);
        assert_eq!(self.owners(), owners);
        self
    }

    /// Checks that an apply is rejected with these conflicts, as `manager: field`.
    #[track_caller]
    fn check_conflicts(&mut self, manager: &str, spec: Value, expect: &[&str]) -> &mut Self {
        match self.try_apply(manager, &config(spec), false) {
            Err(ApplyError::Conflicts(found)) => {
                let found: Vec<_> = found
                    .iter()
                    .map(|one| format!("{}: {}", one.manager, one.field))
                    .collect();
                assert_eq!(found, expect);
            }
            other => panic!("expected conflicts, got {other:?}"),
        }
        self
    }

    fn owners(&self) -> Vec<String> {
        let entries = Entries::of(self.object.as_ref().unwrap()).unwrap_or_default();
        let lines = entries.0.iter().map(|entry| {
            let subresource = match entry.subresource.as_str() {
                "" => String::new(),
                subresource => format!("/{subresource}"),
            };
            let paths: Vec<_> = entry.fields.paths().iter().map(Path::to_string).collect();
            let seconds = entry.time.map(Timestamp::as_second).unwrap();
            format!(
                "{}{subresource} {:?} {seconds}: {}",
                entry.manager,
                entry.operation,
                paths.join(" "),
            )
        });
        lines.collect()
    }
}

/// Returns a configuration, or an object without entries. A `null` spec is left out.
fn config(spec: Value) -> Value {
    let mut config = json!({
        "apiVersion": "example.com/v1",
        "kind": "Example",
        "metadata": {"name": "example", "namespace": "ns"},
    });
    if !spec.is_null() {
        config["spec"] = spec;
    }
    config
}
