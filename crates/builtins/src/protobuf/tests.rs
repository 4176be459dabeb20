//! Tests of the tables with objects that Kubernetes' own serializer wrote (`k8s.io/api` v0.36.3).
//!
//! `objects.txt` holds three objects of each kind as a name, the bytes in hexadecimal and the JSON
//! of the same object: with no field set, with pointers to empty values, and with all fields set.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use machinery::decode;
use machinery::decode::protobuf::Message;
use machinery::decode::protobuf::meta::DELETE_OPTIONS;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;

const OBJECTS: &str = include_str!("tests/objects.txt");

/// Returns the bytes and the JSON of one object.
fn object(name: &str) -> (Vec<u8>, Value) {
    let mut lines = OBJECTS.lines().skip_while(|line| *line != name).skip(1);
    let (hex, json) = (lines.next().unwrap(), lines.next().unwrap());
    let digits = hex.as_bytes().chunks(2);
    let bytes = digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    (bytes, serde_json::from_str(json).unwrap())
}

#[track_caller]
fn check<T>(kind: &str, message: &Message)
where
    T: DeserializeOwned + PartialEq + std::fmt::Debug,
{
    for fill in ["zero", "pointers", "full"] {
        let (bytes, json) = object(&format!("{kind} {fill}"));
        let tree = decode::protobuf(&bytes, message).unwrap().value;
        if fill == "full" {
            assert_eq!(tree, json);
        }
        let expected: T = serde_json::from_value(json).unwrap();
        let typed: T = serde_json::from_value(tree).unwrap();
        assert_eq!(typed, expected, "{kind} {fill}");
    }
}

#[test]
fn core_kinds_are_read_as_kubernetes_writes_them() {
    check::<Namespace>("Namespace", &NAMESPACE);
    check::<Secret>("Secret", &SECRET);
    check::<ConfigMap>("ConfigMap", &CONFIG_MAP);
}

#[test]
fn roles_and_bindings_are_read_as_kubernetes_writes_them() {
    check::<ClusterRole>("ClusterRole", &CLUSTER_ROLE);
    check::<Role>("Role", &ROLE);
    check::<ClusterRoleBinding>("ClusterRoleBinding", &CLUSTER_ROLE_BINDING);
    check::<RoleBinding>("RoleBinding", &ROLE_BINDING);
}

#[test]
fn reviews_are_read_as_kubernetes_writes_them() {
    check::<SelfSubjectReview>("SelfSubjectReview", &SELF_SUBJECT_REVIEW);
    check::<SelfSubjectAccessReview>("SelfSubjectAccessReview", &SELF_SUBJECT_ACCESS_REVIEW);
    check::<SelfSubjectRulesReview>("SelfSubjectRulesReview", &SELF_SUBJECT_RULES_REVIEW);
    check::<SubjectAccessReview>("SubjectAccessReview", &SUBJECT_ACCESS_REVIEW);
    check::<LocalSubjectAccessReview>("LocalSubjectAccessReview", &LOCAL_SUBJECT_ACCESS_REVIEW);
}

#[test]
fn delete_options_are_read_as_kubernetes_writes_them() {
    check::<DeleteOptions>("DeleteOptions", &DELETE_OPTIONS);
}
