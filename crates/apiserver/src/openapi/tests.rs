use std::collections::BTreeSet;

use super::*;
use crate::description::samples::{fischers, flunders, namespaces, reviews};
use crate::description::{KindSchema, Scope, Verb};

/// The paths of the sample kinds in both versions.
const FISCHER: &str = "/apis/wardle.example.com/v1/fischers/{name}";
const FLUNDERS: &str = "/apis/wardle.example.com/v1beta1/namespaces/{namespace}/flunders";

fn build() -> OpenApi {
    OpenApi::build(&[&flunders(), &fischers(), &namespaces(), &reviews()])
}

fn parse(document: &Document) -> Value {
    serde_json::from_slice(&document.bytes).expect("documents are JSON")
}

fn documents() -> Vec<Value> {
    let open_api = build();
    let version3 = open_api.v3.values().map(parse);
    version3.chain([parse(&open_api.v2)]).collect()
}

/// Returns the schemas of a document of either version, by name.
fn schemas(document: &Value) -> &Map<String, Value> {
    document
        .get("definitions")
        .unwrap_or(&document["components"]["schemas"])
        .as_object()
        .expect("every document has schemas")
}

/// Returns `METHOD PATH ID` for every operation.
fn operation_ids(document: &Value) -> Vec<String> {
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            if let Some(id) = operation["operationId"].as_str() {
                ids.push(format!("{method} {path} {id}"));
            }
        }
    }
    ids
}

#[track_caller]
fn check_ids(description: Description, expect: &[&str]) {
    let open_api = OpenApi::build(&[&description]);
    assert_eq!(operation_ids(&parse(&open_api.v2)), expect);
}

/// The ids for a kind of Kubernetes itself are those that kube-apiserver publishes.
#[test]
fn operations_of_a_namespaced_kind() {
    let roles = Description {
        group: "rbac.authorization.k8s.io",
        version: "v1",
        kind: "Role",
        plural: "roles",
        singular: "role",
        verbs: Verb::ALL,
        scope: Scope::Namespaced,
        schema: KindSchema::of::<k8s_openapi::api::rbac::v1::Role>(),
        ..flunders()
    };
    let expect = [
        "get /apis/ getAPIVersions",
        "get /apis/rbac.authorization.k8s.io/ getRbacAuthorizationAPIGroup",
        "get /apis/rbac.authorization.k8s.io/v1/ getRbacAuthorizationV1APIResources",
        "delete /apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles \
         deleteRbacAuthorizationV1CollectionNamespacedRole",
        "get /apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles \
         listRbacAuthorizationV1NamespacedRole",
        "post /apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles \
         createRbacAuthorizationV1NamespacedRole",
        "delete /apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{name} \
         deleteRbacAuthorizationV1NamespacedRole",
        "get /apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{name} \
         readRbacAuthorizationV1NamespacedRole",
        "patch /apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{name} \
         patchRbacAuthorizationV1NamespacedRole",
        "put /apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{name} \
         replaceRbacAuthorizationV1NamespacedRole",
        "get /apis/rbac.authorization.k8s.io/v1/roles \
         listRbacAuthorizationV1RoleForAllNamespaces",
        "get /apis/rbac.authorization.k8s.io/v1/watch/namespaces/{namespace}/roles \
         watchRbacAuthorizationV1NamespacedRoleList",
        "get /apis/rbac.authorization.k8s.io/v1/watch/namespaces/{namespace}/roles/{name} \
         watchRbacAuthorizationV1NamespacedRole",
        "get /apis/rbac.authorization.k8s.io/v1/watch/roles \
         watchRbacAuthorizationV1RoleListForAllNamespaces",
        "get /version/ getCodeVersion",
    ];
    check_ids(roles, &expect);
}

#[test]
fn operations_of_a_cluster_scoped_kind_with_subresources() {
    let expect = [
        "get /apis/ getAPIVersions",
        "get /apis/wardle.example.com/ getWardleExampleComAPIGroup",
        "get /apis/wardle.example.com/v1/ getWardleExampleComV1APIResources",
        "delete /apis/wardle.example.com/v1/fischers deleteWardleExampleComV1CollectionFischer",
        "get /apis/wardle.example.com/v1/fischers listWardleExampleComV1Fischer",
        "post /apis/wardle.example.com/v1/fischers createWardleExampleComV1Fischer",
        "delete /apis/wardle.example.com/v1/fischers/{name} deleteWardleExampleComV1Fischer",
        "get /apis/wardle.example.com/v1/fischers/{name} readWardleExampleComV1Fischer",
        "patch /apis/wardle.example.com/v1/fischers/{name} patchWardleExampleComV1Fischer",
        "put /apis/wardle.example.com/v1/fischers/{name} replaceWardleExampleComV1Fischer",
        "get /apis/wardle.example.com/v1/fischers/{name}/scale \
         readWardleExampleComV1FischerScale",
        "get /apis/wardle.example.com/v1/fischers/{name}/status \
         readWardleExampleComV1FischerStatus",
        "patch /apis/wardle.example.com/v1/fischers/{name}/status \
         patchWardleExampleComV1FischerStatus",
        "put /apis/wardle.example.com/v1/fischers/{name}/status \
         replaceWardleExampleComV1FischerStatus",
        "get /apis/wardle.example.com/v1/watch/fischers watchWardleExampleComV1FischerList",
        "get /apis/wardle.example.com/v1/watch/fischers/{name} watchWardleExampleComV1Fischer",
        "get /version/ getCodeVersion",
    ];
    check_ids(fischers(), &expect);
}

#[test]
fn operations_follow_the_verbs() {
    let expect = [
        "get /apis/ getAPIVersions",
        "get /apis/authentication.k8s.io/ getAuthenticationAPIGroup",
        "get /apis/authentication.k8s.io/v1/ getAuthenticationV1APIResources",
        "post /apis/authentication.k8s.io/v1/tokenreviews createAuthenticationV1TokenReview",
        "get /version/ getCodeVersion",
    ];
    check_ids(reviews(), &expect);
}

#[test]
fn operations_of_the_core_group() {
    let expect = [
        "get /api/ getCoreAPIVersions",
        "get /api/v1/ getCoreV1APIResources",
        "get /api/v1/namespaces/{name} readCoreV1Namespace",
        "get /version/ getCodeVersion",
    ];
    check_ids(namespaces(), &expect);
}

#[test]
fn operation_ids_are_unique() {
    for document in documents() {
        let operations = operation_ids(&document);
        let id = |operation: &String| operation.rsplit(' ').next().map(str::to_owned);
        let unique: BTreeSet<_> = operations.iter().map(id).collect();
        assert_eq!(unique.len(), operations.len());
    }
}

#[track_caller]
fn check_references(value: &Value, document: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                let pointer = reference.trim_start_matches('#');
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            fields
                .values()
                .for_each(|value| check_references(value, document));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| check_references(item, document)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_reference_resolves() {
    for document in documents() {
        check_references(&document, &document);
    }
}

#[test]
fn a_document_holds_the_schemas_that_it_needs() {
    let open_api = build();
    let names: Vec<_> = schemas(&parse(&open_api.v3["apis/authentication.k8s.io/v1"]))
        .keys()
        .cloned()
        .collect();
    let expect = [
        "io.k8s.api.authentication.v1.TokenReview",
        "io.k8s.api.authentication.v1.TokenReviewSpec",
        "io.k8s.api.authentication.v1.TokenReviewStatus",
        "io.k8s.api.authentication.v1.UserInfo",
        "io.k8s.apimachinery.pkg.apis.meta.v1.APIResource",
        "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList",
        "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
        "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
    ];
    assert_eq!(names, expect);
}

#[track_caller]
fn check_kinds(schema: &str, expect: Value) {
    let document = parse(&build().v2);
    let schema = &schemas(&document)[schema];
    assert_eq!(schema["x-kubernetes-group-version-kind"], expect);
}

#[test]
fn schemas_say_which_kinds_they_are_of() {
    let group = "wardle.example.com";
    check_kinds(
        "com.example.wardle.v1.Fischer",
        json!([{ "group": group, "version": "v1", "kind": "Fischer" }]),
    );
    check_kinds(
        "com.example.wardle.v1.FischerList",
        json!([{ "group": group, "version": "v1", "kind": "FischerList" }]),
    );
    check_kinds(
        "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
        json!([
            { "group": "", "version": "v1", "kind": "DeleteOptions" },
            { "group": "authentication.k8s.io", "version": "v1", "kind": "DeleteOptions" },
            { "group": group, "version": "v1", "kind": "DeleteOptions" },
            { "group": group, "version": "v1beta1", "kind": "DeleteOptions" },
        ]),
    );
    for kind in ["APIGroup", "APIResourceList", "Status"] {
        check_kinds(
            &format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}"),
            json!([{ "group": "", "version": "v1", "kind": kind }]),
        );
    }
    check_kinds(
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        Value::Null,
    );
}

#[test]
fn patch_in_version_3_says_what_kubectl_looks_for() {
    let document = parse(&build().v3["apis/wardle.example.com/v1"]);
    let patch = &document["paths"][FISCHER]["patch"];
    let names: Vec<_> = patch["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|parameter| (&parameter["name"], &parameter["in"]))
        .collect();
    let query = &json!("query");
    let expect = ["dryRun", "fieldManager", "fieldValidation", "force"].map(Value::from);
    assert_eq!(names, expect.each_ref().map(|name| (name, query)));
    let schema = json!({
        "schema": { "$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.Patch" },
    });
    let body = json!({
        "required": true,
        "content": {
            "application/apply-patch+yaml": schema,
            "application/json-patch+json": schema,
            "application/merge-patch+json": schema,
            "application/strategic-merge-patch+json": schema,
        },
    });
    assert_eq!(patch["requestBody"], body);
}

#[test]
fn create_in_version_2() {
    let document = parse(&build().v2);
    let flunder = json!({ "$ref": "#/definitions/com.example.wardle.v1beta1.Flunder" });
    let expect = json!({
        "operationId": "createWardleExampleComV1beta1NamespacedFlunder",
        "tags": ["wardleExampleCom_v1beta1"],
        "description": "Create an object of kind Flunder.",
        "consumes": ["*/*"],
        "produces": ["application/json", "application/yaml"],
        "schemes": ["https"],
        "parameters": [
            { "name": "body", "in": "body", "required": true, "schema": flunder },
            { "$ref": "#/parameters/dryRun" },
            { "$ref": "#/parameters/fieldManager" },
            { "$ref": "#/parameters/fieldValidation" },
        ],
        "responses": {
            "200": { "description": "OK", "schema": flunder },
            "201": { "description": "Created", "schema": flunder },
            "202": { "description": "Accepted", "schema": flunder },
            "401": { "description": "Unauthorized" },
        },
        "x-kubernetes-action": "post",
        "x-kubernetes-group-version-kind": {
            "group": "wardle.example.com",
            "version": "v1beta1",
            "kind": "Flunder",
        },
    });
    assert_eq!(document["paths"][FLUNDERS]["post"], expect);
    let of_path = json!([{ "$ref": "#/parameters/namespace" }, { "$ref": "#/parameters/pretty" }]);
    assert_eq!(document["paths"][FLUNDERS]["parameters"], of_path);
}

#[test]
fn a_foreign_subresource_is_an_object_of_its_own_kind() {
    let document = parse(&build().v3["apis/wardle.example.com/v1"]);
    let read = &document["paths"][format!("{FISCHER}/scale")]["get"];
    let object = json!({ "schema": { "type": "object" } });
    let expect = json!({
        "operationId": "readWardleExampleComV1FischerScale",
        "tags": ["wardleExampleCom_v1"],
        "description": "Read one object of kind Fischer: its scale.",
        "responses": {
            "200": {
                "description": "OK",
                "content": { "application/json": object, "application/yaml": object },
            },
            "401": { "description": "Unauthorized" },
        },
        "x-kubernetes-action": "get",
        "x-kubernetes-group-version-kind": {
            "group": "autoscaling",
            "version": "v1",
            "kind": "Scale",
        },
    });
    assert_eq!(read, &expect);
}

#[test]
fn defaults_are_published_in_version_3_only() {
    let open_api = build();
    let metadata = |document: &Document| {
        let document = parse(document);
        let kind = &schemas(&document)["com.example.wardle.v1.Fischer"];
        kind["properties"]["metadata"].clone()
    };
    assert_eq!(
        metadata(&open_api.v2),
        json!({
            "description": "Standard object's metadata.",
            "$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        })
    );
    let target = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    assert_eq!(
        metadata(&open_api.v3["apis/wardle.example.com/v1"]),
        json!({
            "description": "Standard object's metadata.",
            "allOf": [{ "$ref": target }],
            "default": {},
        })
    );
}

#[test]
fn a_field_called_default_is_published() {
    for document in documents() {
        let Some(spec) = schemas(&document).get("com.example.wardle.v1beta1.FlunderSpec") else {
            continue;
        };
        assert_eq!(spec["properties"]["default"]["type"], "boolean");
    }
}

#[test]
fn the_index_names_each_document_by_its_hash() {
    let open_api = build();
    let url = |key: &str| {
        let url = format!("/openapi/v3/{key}?hash={}", open_api.v3[key].hash());
        json!({ "serverRelativeURL": url })
    };
    let keys = [
        "api/v1",
        "apis/authentication.k8s.io/v1",
        "apis/wardle.example.com/v1",
        "apis/wardle.example.com/v1beta1",
    ];
    let paths: Map<_, _> = keys
        .into_iter()
        .map(|key| (key.to_owned(), url(key)))
        .collect();
    assert_eq!(parse(&open_api.v3_index), json!({ "paths": paths }));
}

#[test]
fn documents_do_not_depend_on_the_order_of_descriptions() {
    let other = OpenApi::build(&[&reviews(), &namespaces(), &fischers(), &flunders()]);
    let one = build();
    assert_eq!(one.v2, other.v2);
    assert_eq!(one.v2_protobuf, other.v2_protobuf);
    assert_eq!(one.v3_index, other.v3_index);
    assert_eq!(one.v3, other.v3);
}

#[test]
fn a_server_without_kinds_still_answers() {
    let open_api = OpenApi::build(&[]);
    assert_eq!(
        operation_ids(&parse(&open_api.v2)),
        ["get /version/ getCodeVersion"]
    );
    assert_eq!(parse(&open_api.v3_index), json!({ "paths": {} }));
}
