use serde_json::{Value, json};

use super::{Cause, Denial, DeniedTarget, Details, Status, uid_mismatch};
use crate::field::{Error, Path};
use crate::meta::{GroupKind, GroupResource};

static RESOURCE: GroupResource = GroupResource::from_static("ext.cattle.io", "kubeconfigs");
static KIND: GroupKind = GroupKind::from_static("ext.cattle.io", "Kubeconfig");

/// Checks the body of a failure, and that decoding it returns the same status.
#[track_caller]
fn check(status: &Status, code: u16, reason: &str, message: &str, details: Option<Value>) {
    let mut expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    if let Some(details) = details {
        expected["details"] = details;
    }
    let written = serde_json::to_value(status).unwrap();
    assert_eq!(written, expected);
    assert_eq!(&serde_json::from_value::<Status>(written).unwrap(), status);
    assert_eq!(status.http_code(), code);
    assert_eq!(status.to_string(), message);
}

fn named() -> Option<Value> {
    Some(json!({"name": "k", "group": "ext.cattle.io", "kind": "kubeconfigs"}))
}

#[test]
fn fields_are_in_go_order() {
    let mut status = Status::invalid(&KIND, "k", &[Error::required(&Path::root("a"), "")]);
    status.details.as_mut().unwrap().uid = "u".to_owned();
    let status = status.with_retry_after(3).with_continue("token");
    let expected = concat!(
        r#"{"kind":"Status","apiVersion":"v1","metadata":{"continue":"token"},"status":"Failure","#,
        r#""message":"Kubeconfig.ext.cattle.io \"k\" is invalid: a: Required value","#,
        r#""reason":"Invalid","details":{"name":"k","group":"ext.cattle.io","kind":"Kubeconfig","#,
        r#""uid":"u","causes":[{"reason":"FieldValueRequired","message":"Required value","#,
        r#""field":"a"}],"retryAfterSeconds":3},"code":422}"#,
    );
    assert_eq!(serde_json::to_string(&status).unwrap(), expected);
}

#[test]
fn success_has_neither_message_nor_code() {
    let status = Status::success(Details {
        name: "k".to_owned(),
        group: "ext.cattle.io".to_owned(),
        kind: "kubeconfigs".to_owned(),
        uid: "u".to_owned(),
        ..Details::default()
    });
    let expected = concat!(
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","#,
        r#""details":{"name":"k","group":"ext.cattle.io","kind":"kubeconfigs","uid":"u"}}"#,
    );
    assert_eq!(serde_json::to_string(&status).unwrap(), expected);
    assert_eq!(status.http_code(), 200);
}

#[test]
fn unknown_reasons_and_fields_are_tolerated() {
    let status: Status =
        serde_json::from_str(r#"{"kind":"Status","status":"Failure","reason":"New","x":1}"#)
            .unwrap();
    assert_eq!(status, Status::default());
    assert_eq!(status.http_code(), 500);
}

#[test]
fn errors_about_the_request() {
    check(&Status::bad_request("no"), 400, "BadRequest", "no", None);
    check(
        &Status::unauthorized(),
        401,
        "Unauthorized",
        "Unauthorized",
        None,
    );
    check(
        &Status::method_not_allowed(&RESOURCE, "watch"),
        405,
        "MethodNotAllowed",
        r#"watch is not supported on resources of kind "kubeconfigs.ext.cattle.io""#,
        Some(json!({"group": "ext.cattle.io", "kind": "kubeconfigs"})),
    );
    check(
        &Status::not_acceptable(&["application/json", "application/yaml"]),
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml",
        None,
    );
    check(
        &Status::request_entity_too_large(3_145_728),
        413,
        "RequestEntityTooLarge",
        "Request entity too large: limit is 3145728",
        None,
    );
    check(
        &Status::unsupported_media_type(&["application/json"]),
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: \
         application/json",
        None,
    );
    check(
        &Status::inapplicable_patch(),
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
        Some(json!({})),
    );
}

#[test]
fn forbidden_names_what_the_request_names() {
    check(
        &Status::forbidden(&RESOURCE, "k", "no"),
        403,
        "Forbidden",
        r#"kubeconfigs.ext.cattle.io "k" is forbidden: no"#,
        named(),
    );
    check(
        &Status::forbidden(&RESOURCE, "", "no"),
        403,
        "Forbidden",
        "kubeconfigs.ext.cattle.io is forbidden: no",
        Some(json!({"group": "ext.cattle.io", "kind": "kubeconfigs"})),
    );
    check(
        &Status::forbidden(&GroupResource::default(), "", "no"),
        403,
        "Forbidden",
        "forbidden: no",
        Some(json!({})),
    );
}

#[track_caller]
fn check_denial(target: DeniedTarget<'_>, reason: &str, message: &str) {
    let denial = Denial {
        user: "<u>",
        verb: "get",
        target,
        reason,
    };
    assert_eq!(Status::denied(&denial).message, message);
}

#[test]
fn denials_say_who_may_not_do_what() {
    let target = |subresource, namespace, name| DeniedTarget::Resource {
        resource: &RESOURCE,
        subresource,
        namespace,
        name,
    };
    check_denial(
        target("", "", "k"),
        "",
        r#"kubeconfigs.ext.cattle.io "k" is forbidden: User "&lt;u&gt;" cannot get resource "kubeconfigs" in API group "ext.cattle.io" at the cluster scope"#,
    );
    check_denial(
        target("status", "ns", ""),
        "a < b",
        r#"kubeconfigs.ext.cattle.io is forbidden: User "&lt;u&gt;" cannot get resource "kubeconfigs/status" in API group "ext.cattle.io" in the namespace "ns": a < b"#,
    );
    check_denial(
        DeniedTarget::Path("/x"),
        "",
        r#"forbidden: User "&lt;u&gt;" cannot get path "/x""#,
    );
}

#[test]
fn errors_about_existence() {
    check(
        &Status::not_found(&RESOURCE, "k"),
        404,
        "NotFound",
        r#"kubeconfigs.ext.cattle.io "k" not found"#,
        named(),
    );
    check(
        &Status::already_exists(&RESOURCE, "k"),
        409,
        "AlreadyExists",
        r#"kubeconfigs.ext.cattle.io "k" already exists"#,
        named(),
    );
    check(
        &Status::already_exists_terminating(&RESOURCE, "k"),
        409,
        "AlreadyExists",
        r#"object is being deleted: kubeconfigs.ext.cattle.io "k" already exists"#,
        named(),
    );
    let message = r#"kubeconfigs.ext.cattle.io "k" already exists, the server was not able to generate a unique name for the object"#;
    let mut details = named().unwrap();
    details["retryAfterSeconds"] = json!(1);
    let status = Status::generate_name_conflict(&RESOURCE, "k");
    check(&status, 409, "AlreadyExists", message, Some(details));
    check(&Status::gone("gone"), 410, "Gone", "gone", None);
}

#[test]
fn conflicts() {
    check(
        &Status::object_modified(&RESOURCE, "k"),
        409,
        "Conflict",
        r#"Operation cannot be fulfilled on kubeconfigs.ext.cattle.io "k": the object has been modified; please apply your changes to the latest version and try again"#,
        named(),
    );
    let kind_named = json!({"name": "k", "group": "ext.cattle.io", "kind": "Kubeconfig"});
    check(
        &Status::uid_precondition(&KIND, "k", "A", "B"),
        409,
        "Conflict",
        r#"Operation cannot be fulfilled on Kubeconfig.ext.cattle.io "k": the UID in the precondition (A) does not match the UID in record (B). The object might have been deleted and then recreated"#,
        Some(kind_named.clone()),
    );
    check(
        &Status::version_precondition(&KIND, "k", "1", "2"),
        409,
        "Conflict",
        r#"Operation cannot be fulfilled on Kubeconfig.ext.cattle.io "k": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (2). The object might have been modified"#,
        Some(kind_named),
    );
    assert_eq!(
        uid_mismatch("/k", "A", "B"),
        "StorageError: invalid object, Code: 4, Key: /k, ResourceVersion: 0, AdditionalErrorMsg: \
         Precondition failed: UID in precondition: A, UID in object meta: B"
    );
    let cause = Cause {
        reason: "FieldManagerConflict".into(),
        message: r#"conflict with "m""#.to_owned(),
        field: ".spec.x".to_owned(),
    };
    check(
        &Status::apply_conflict("Apply failed with 1 conflict", vec![cause]),
        409,
        "Conflict",
        "Apply failed with 1 conflict",
        Some(json!({"causes": [
            {"reason": "FieldManagerConflict", "message": r#"conflict with "m""#, "field": ".spec.x"},
        ]})),
    );
}

#[test]
fn invalid_has_one_cause_per_error() {
    let path = Path::root("spec");
    let errors = [
        Error::required(&path.child("a"), ""),
        Error::forbidden(&path.child("b"), "no"),
    ];
    check(
        &Status::invalid(&KIND, "k", &errors),
        422,
        "Invalid",
        r#"Kubeconfig.ext.cattle.io "k" is invalid: [spec.a: Required value, spec.b: Forbidden: no]"#,
        Some(
            json!({"name": "k", "group": "ext.cattle.io", "kind": "Kubeconfig", "causes": [
                {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.a"},
                {"reason": "FieldValueForbidden", "message": "Forbidden: no", "field": "spec.b"},
            ]}),
        ),
    );
    check(
        &Status::invalid(&KIND, "", &[]),
        422,
        "Invalid",
        r#"Kubeconfig.ext.cattle.io "" is invalid"#,
        Some(json!({"group": "ext.cattle.io", "kind": "Kubeconfig"})),
    );
}

#[test]
fn expired_versions_and_tokens() {
    let message = "The resourceVersion for the provided list is too old.";
    check(&Status::expired_list(), 410, "Expired", message, None);
    let message = "too old resource version: 5 (90)";
    check(&Status::expired_watch(5, 90), 410, "Expired", message, None);
    let status = Status::expired_continue("abc");
    assert_eq!(status.metadata.continue_, "abc");
    assert!(status.message.starts_with(
        "The provided continue parameter is too old to display a consistent list result. You can \
         start a new list without the continue parameter, or use the continue token"
    ));
    let message = "invalid continue token: bad";
    check(
        &Status::invalid_continue("bad"),
        400,
        "BadRequest",
        message,
        None,
    );
    let message = "specifying resource version is not allowed when using continue";
    check(
        &Status::continue_with_version(),
        400,
        "BadRequest",
        message,
        None,
    );
}

#[test]
fn errors_of_the_server() {
    let retry = |seconds: u32| Some(json!({"retryAfterSeconds": seconds}));
    let status = Status::storage_initializing(2);
    check(
        &status,
        429,
        "TooManyRequests",
        "storage is (re)initializing",
        retry(2),
    );
    assert_eq!(status.retry_after_secs(), Some(2));
    check(
        &Status::store_read_error("bad"),
        500,
        "StorageReadError",
        "bad",
        None,
    );
    check(
        &Status::internal("boom"),
        500,
        "InternalError",
        "Internal error occurred: boom",
        Some(json!({"causes": [{"message": "boom"}]})),
    );
    check(
        &Status::server_timeout(&RESOURCE, "create", 2),
        500,
        "ServerTimeout",
        "The create operation against kubeconfigs.ext.cattle.io could not be completed at this \
         time, please try again.",
        Some(json!({
            "name": "create", "group": "ext.cattle.io", "kind": "kubeconfigs", "retryAfterSeconds": 2,
        })),
    );
    let status = Status::service_unavailable("down", None);
    check(&status, 503, "ServiceUnavailable", "down", None);
    assert_eq!(status.retry_after_secs(), None);
    let status = Status::service_unavailable("down", Some(1));
    check(&status, 503, "ServiceUnavailable", "down", retry(1));
    check(
        &Status::timeout("slow", 0),
        504,
        "Timeout",
        "Timeout: slow",
        Some(json!({})),
    );
    check(
        &Status::too_large_resource_version(9, 3, 1),
        504,
        "Timeout",
        "Timeout: Too large resource version: 9, current: 3",
        Some(json!({"retryAfterSeconds": 1, "causes": [
            {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"},
        ]})),
    );
}

#[test]
fn a_status_stays_cheap_to_return() {
    assert!(size_of::<Status>() <= 112);
}
