//! Version 3.0 of OpenAPI.
//!
//! Schemas keep their defaults. In this version, a reference must not have sibling keywords. A
//! reference with siblings is therefore wrapped in an `allOf` with a single element, which kubectl
//! resolves. Parameters are written in full, because client-go does not resolve references to them.

use serde_json::{Map, Value, json};

use crate::description::for_each_part;
use crate::openapi::definitions::{Definitions, GROUP_VERSION_KIND, REFERENCE_PREFIX, kind_json};
use crate::openapi::operations::{Operation, PathItem, Request, SchemaName};
use crate::openapi::parameters::{Parameter, Place};
use crate::openapi::{BEARER_TOKEN, bearer_token, info, reason};

const COMPONENT_PREFIX: &str = "#/components/schemas/";

/// Returns the document of these paths.
pub(super) fn document(items: &[PathItem], definitions: &Definitions) -> Value {
    let mut schemas = definitions.reachable(items);
    schemas.values_mut().for_each(rewrite_references);
    json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": items.iter().map(path_item).collect::<Map<_, _>>(),
        "components": {
            "schemas": schemas,
            "securitySchemes": { BEARER_TOKEN: bearer_token() },
        },
    })
}

fn rewrite_references(schema: &mut Value) {
    let Value::Object(fields) = schema else {
        return;
    };
    for_each_part(fields, &mut rewrite_references);
    let Some(Value::String(reference)) = fields.get("$ref") else {
        return;
    };
    let target = reference.replacen(REFERENCE_PREFIX, COMPONENT_PREFIX, 1);
    let target = json!({ "$ref": target });
    if fields.len() == 1 {
        *schema = target;
        return;
    }
    fields.remove("$ref");
    fields.insert("allOf".to_owned(), json!([target]));
}

fn path_item(item: &PathItem) -> (String, Value) {
    let mut fields: Map<_, _> = item
        .operations
        .iter()
        .map(|of_item| (of_item.method.to_owned(), operation(of_item)))
        .collect();
    if !item.parameters.is_empty() {
        fields.insert("parameters".to_owned(), parameters(&item.parameters).into());
    }
    (item.path.clone(), fields.into())
}

fn operation(operation: &Operation) -> Value {
    let mut fields = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "description": operation.description,
        "responses": responses(operation),
    });
    if !operation.parameters.is_empty() {
        fields["parameters"] = parameters(operation.parameters).into();
    }
    if let Some(request) = &operation.request {
        fields["requestBody"] = request_body(request);
    }
    if let Some((name, kind)) = operation.action {
        fields["x-kubernetes-action"] = name.into();
        fields[GROUP_VERSION_KIND] = kind_json(kind);
    }
    fields
}

fn request_body(request: &Request) -> Value {
    let mut body = json!({ "content": content(request.consumes, &request.schema) });
    if request.required {
        body["required"] = true.into();
    }
    body
}

fn responses(operation: &Operation) -> Map<String, Value> {
    let mut responses: Map<_, _> = operation
        .statuses
        .iter()
        .map(|status| {
            let response = json!({
                "description": reason(*status),
                "content": content(operation.produces, &operation.answer),
            });
            (status.to_string(), response)
        })
        .collect();
    responses.insert("401".to_owned(), json!({ "description": reason(401) }));
    responses
}

/// Returns the same schema for each of these media types.
fn content(media_types: &[&str], name: &SchemaName) -> Map<String, Value> {
    let schema = match name {
        Some(name) => json!({ "$ref": format!("{COMPONENT_PREFIX}{name}") }),
        None => json!({ "type": "object" }),
    };
    media_types
        .iter()
        .map(|&media_type| (media_type.to_owned(), json!({ "schema": schema })))
        .collect()
}

fn parameters(parameters: &[&Parameter]) -> Vec<Value> {
    parameters
        .iter()
        .map(|parameter| definition(parameter))
        .collect()
}

fn definition(parameter: &Parameter) -> Value {
    let mut definition = json!({
        "name": parameter.name,
        "in": parameter.place.as_str(),
        "description": parameter.description,
        "schema": { "type": parameter.data_type },
    });
    if parameter.place == Place::Path {
        definition["required"] = true.into();
    }
    definition
}
