//! The protobuf encoding of version 2: `openapi.v2.Document` of gnostic
//! (`openapiv2/OpenAPIv2.proto`).
//!
//! client-go decodes `/openapi/v2` as protobuf without checking the content type, so the server
//! must support it: `kubectl explain --output=plaintext-openapiv2`, and tools with their own
//! implementation of apply, use it. The encoder reads the JSON document and writes the messages
//! that such a document needs. There is one function for each message, with its field numbers.
//! Extensions are written as YAML text; JSON is valid YAML.

use serde_json::Value;

use self::message::{Message, entries, items};

mod message;

/// Encodes a document of this server. Fields that only other documents have are not written.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.text(1, &document["swagger"]);
    message.nested(2, info(&document["info"]));
    message.nested(8, paths(&document["paths"]));
    message.nested(9, named(&document["definitions"], schema));
    message.nested(10, named(&document["parameters"], parameter));
    for requirement in items(&document["security"]) {
        message.nested(12, named(requirement, string_array));
    }
    message.nested(
        13,
        named(&document["securityDefinitions"], security_definition),
    );
    message.into_bytes()
}

fn info(info: &Value) -> Message {
    let mut message = Message::default();
    message.text(1, &info["title"]);
    message.text(2, &info["version"]);
    message.text(3, &info["description"]);
    message
}

fn paths(paths: &Value) -> Message {
    let mut message = Message::default();
    for (path, item) in entries(paths) {
        message.nested(2, entry(path, path_item(item)));
    }
    message
}

fn path_item(item: &Value) -> Message {
    let mut message = Message::default();
    for (field, method) in [
        (2, "get"),
        (3, "put"),
        (4, "post"),
        (5, "delete"),
        (8, "patch"),
    ] {
        if let Some(of_item) = item.get(method) {
            message.nested(field, operation(of_item));
        }
    }
    for parameter in items(&item["parameters"]) {
        message.nested(9, parameters_item(parameter));
    }
    message
}

fn operation(operation: &Value) -> Message {
    let mut message = Message::default();
    message.texts(1, &operation["tags"]);
    message.text(3, &operation["description"]);
    message.text(5, &operation["operationId"]);
    message.texts(6, &operation["produces"]);
    message.texts(7, &operation["consumes"]);
    for parameter in items(&operation["parameters"]) {
        message.nested(8, parameters_item(parameter));
    }
    message.nested(9, responses(&operation["responses"]));
    message.texts(10, &operation["schemes"]);
    extensions(&mut message, 13, operation);
    message
}

fn responses(responses: &Value) -> Message {
    let mut message = Message::default();
    for (status, content) in entries(responses) {
        let mut value = Message::default();
        value.nested(1, response(content));
        message.nested(1, entry(status, value));
    }
    message
}

fn response(response: &Value) -> Message {
    let mut message = Message::default();
    message.text(1, &response["description"]);
    if let Some(content) = response.get("schema") {
        message.nested(2, schema_item(content));
    }
    message
}

fn parameters_item(item: &Value) -> Message {
    let mut message = Message::default();
    if let Some(reference) = item.get("$ref") {
        let mut json_reference = Message::default();
        json_reference.text(1, reference);
        message.nested(2, json_reference);
    } else {
        message.nested(1, parameter(item));
    }
    message
}

fn parameter(parameter: &Value) -> Message {
    let mut message = Message::default();
    if parameter["in"] == "body" {
        message.nested(1, body_parameter(parameter));
    } else {
        message.nested(2, non_body_parameter(parameter));
    }
    message
}

fn body_parameter(parameter: &Value) -> Message {
    let mut message = Message::default();
    message.text(1, &parameter["description"]);
    message.text(2, &parameter["name"]);
    message.text(3, &parameter["in"]);
    message.boolean(4, &parameter["required"]);
    message.nested(5, schema(&parameter["schema"]));
    message
}

fn non_body_parameter(parameter: &Value) -> Message {
    let in_query = parameter["in"] == "query";
    let mut place = Message::default();
    place.boolean(1, &parameter["required"]);
    place.text(2, &parameter["in"]);
    place.text(3, &parameter["description"]);
    place.text(4, &parameter["name"]);
    place.text(if in_query { 6 } else { 5 }, &parameter["type"]);
    let mut message = Message::default();
    message.nested(if in_query { 3 } else { 4 }, place);
    message
}

fn schema(content: &Value) -> Message {
    let mut message = Message::default();
    message.text(1, &content["$ref"]);
    message.text(2, &content["format"]);
    message.text(3, &content["title"]);
    message.text(4, &content["description"]);
    message.number(7, &content["maximum"]);
    message.number(9, &content["minimum"]);
    message.length(11, &content["maxLength"]);
    message.length(12, &content["minLength"]);
    message.text(13, &content["pattern"]);
    message.length(14, &content["maxItems"]);
    message.length(15, &content["minItems"]);
    message.boolean(16, &content["uniqueItems"]);
    message.length(17, &content["maxProperties"]);
    message.length(18, &content["minProperties"]);
    message.texts(19, &content["required"]);
    for value in items(&content["enum"]) {
        message.nested(20, any(value));
    }
    schema_parts(&mut message, content);
    extensions(&mut message, 31, content);
    message
}

/// Writes the fields of a schema that contain schemas, and its type.
fn schema_parts(message: &mut Message, content: &Value) {
    match content.get("additionalProperties") {
        None => {}
        Some(Value::Bool(admits)) => message.nested(21, boolean_item(*admits)),
        Some(values) => message.nested(21, schema_item(values)),
    }
    if content.get("type").is_some() {
        let mut types = Message::default();
        types.text(1, &content["type"]);
        message.nested(22, types);
    }
    if let Some(of_list) = content.get("items") {
        message.nested(23, schema_item(of_list));
    }
    for part in items(&content["allOf"]) {
        message.nested(24, schema(part));
    }
    if let Some(properties) = content.get("properties") {
        message.nested(25, named(properties, schema));
    }
}

/// Encodes an `ItemsItem`, `SchemaItem` or `AdditionalPropertiesItem` with a schema.
fn schema_item(content: &Value) -> Message {
    let mut message = Message::default();
    message.nested(1, schema(content));
    message
}

/// Encodes an `AdditionalPropertiesItem` with a boolean. A member of a `oneof` is written even if
/// it is false.
fn boolean_item(admits: bool) -> Message {
    let mut message = Message::default();
    message.choice(2, admits);
    message
}

fn security_definition(definition: &Value) -> Message {
    let mut key = Message::default();
    key.text(1, &definition["type"]);
    key.text(2, &definition["name"]);
    key.text(3, &definition["in"]);
    key.text(4, &definition["description"]);
    let mut message = Message::default();
    message.nested(2, key);
    message
}

fn string_array(values: &Value) -> Message {
    let mut message = Message::default();
    message.texts(1, values);
    message
}

fn extensions(message: &mut Message, field: u64, owner: &Value) {
    let is_extension = |(name, _): &(&String, &Value)| name.starts_with("x-");
    for (name, value) in entries(owner).filter(is_extension) {
        message.nested(field, entry(name, any(value)));
    }
}

/// Encodes an `Any`: gnostic stores values without a message type as YAML text.
fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.string(2, &value.to_string());
    message
}

/// Encodes a map as gnostic does: a message whose field 1 is a list of named values.
fn named(map: &Value, encode: fn(&Value) -> Message) -> Message {
    let mut message = Message::default();
    for (name, value) in entries(map) {
        message.nested(1, entry(name, encode(value)));
    }
    message
}

fn entry(name: &str, value: Message) -> Message {
    let mut message = Message::default();
    message.string(1, name);
    message.nested(2, value);
    message
}

#[cfg(test)]
mod tests;
