//! Version 2 of OpenAPI, also known as Swagger 2.0.
//!
//! Schemas are published without defaults, as in kube-apiserver, and without choices between types,
//! which this version does not support. Each parameter is defined once and referenced.

use serde_json::{Map, Value, json};

use crate::description::for_each_part;
use crate::openapi::definitions::{Definitions, GROUP_VERSION_KIND, REFERENCE_PREFIX, kind_json};
use crate::openapi::operations::{Operation, PathItem, SchemaName};
use crate::openapi::parameters::{Parameter, Place};
use crate::openapi::{BEARER_TOKEN, bearer_token, info, reason};

/// Returns the whole document.
pub(super) fn document(items: &[PathItem], definitions: &Definitions) -> Value {
    let mut schemas = definitions.reachable(items);
    schemas.values_mut().for_each(simplify);
    json!({
        "swagger": "2.0",
        "info": info(),
        "paths": items.iter().map(path_item).collect::<Map<_, _>>(),
        "definitions": schemas,
        "parameters": parameters(items),
        "securityDefinitions": { BEARER_TOKEN: bearer_token() },
        "security": [{ BEARER_TOKEN: [] }],
    })
}

fn simplify(schema: &mut Value) {
    let Value::Object(fields) = schema else {
        return;
    };
    for unknown in ["anyOf", "default", "nullable", "oneOf"] {
        fields.remove(unknown);
    }
    for_each_part(fields, &mut simplify);
}

fn path_item(item: &PathItem) -> (String, Value) {
    let mut fields: Map<_, _> = item
        .operations
        .iter()
        .map(|of_item| (of_item.method.to_owned(), operation(of_item)))
        .collect();
    if !item.parameters.is_empty() {
        fields.insert("parameters".to_owned(), references(&item.parameters).into());
    }
    (item.path.clone(), fields.into())
}

fn operation(operation: &Operation) -> Value {
    let consumes = operation
        .request
        .as_ref()
        .map_or(&["*/*"][..], |request| request.consumes);
    let mut fields = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "description": operation.description,
        "consumes": consumes,
        "produces": operation.produces,
        "schemes": ["https"],
        "responses": responses(operation),
    });
    let mut parameters = references(operation.parameters);
    if let Some(request) = &operation.request {
        let mut body = json!({ "name": "body", "in": "body", "schema": schema(&request.schema) });
        if request.required {
            body["required"] = true.into();
        }
        parameters.insert(0, body);
    }
    if !parameters.is_empty() {
        fields["parameters"] = parameters.into();
    }
    if let Some((name, kind)) = operation.action {
        fields["x-kubernetes-action"] = name.into();
        fields[GROUP_VERSION_KIND] = kind_json(kind);
    }
    fields
}

fn responses(operation: &Operation) -> Map<String, Value> {
    let mut responses: Map<_, _> = operation
        .statuses
        .iter()
        .map(|status| {
            let response = json!({
                "description": reason(*status),
                "schema": schema(&operation.answer),
            });
            (status.to_string(), response)
        })
        .collect();
    responses.insert("401".to_owned(), json!({ "description": reason(401) }));
    responses
}

fn schema(name: &SchemaName) -> Value {
    match name {
        Some(name) => json!({ "$ref": format!("{REFERENCE_PREFIX}{name}") }),
        None => json!({ "type": "object" }),
    }
}

fn references(parameters: &[&Parameter]) -> Vec<Value> {
    let reference =
        |parameter: &&Parameter| json!({ "$ref": format!("#/parameters/{}", parameter.name) });
    parameters.iter().map(reference).collect()
}

/// Returns the definitions of all referenced parameters, by name.
fn parameters(items: &[PathItem]) -> Map<String, Value> {
    let of_operations = items.iter().flat_map(|item| &item.operations);
    items
        .iter()
        .flat_map(|item| &item.parameters)
        .chain(of_operations.flat_map(|operation| operation.parameters))
        .map(|parameter| (parameter.name.to_owned(), definition(parameter)))
        .collect()
}

fn definition(parameter: &Parameter) -> Value {
    let mut definition = json!({
        "name": parameter.name,
        "in": parameter.place.as_str(),
        "type": parameter.data_type,
        "description": parameter.description,
    });
    if parameter.place == Place::Path {
        definition["required"] = true.into();
    }
    definition
}
