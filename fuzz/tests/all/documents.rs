//! Bodies: JSON, YAML, protobuf, and fitting them to a kind.

use std::fmt::Debug;

use api::ext::{Kubeconfig, Token};
use api::management::Cluster;
use apiserver::description::KindSchema;
use apiserver::review::Review;
use builtins::access_review::SelfSubjectAccessReviews;
use builtins::self_subject_review::SelfSubjectReviews;
use fuzz::Target;
use k8s_openapi::api::authentication::v1::TokenReview;
use machinery::decode::{self, Decoded, MAX_DEPTH};
use machinery::schema::Schema;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::outcome;

const JSON: &[&[u8]] = &[
    br#"{"apiVersion":"ext.cattle.io/v1","kind":"Kubeconfig","metadata":{"name":"x","labels":{"a":"b"}},"spec":{"clusters":["c-1","c-2"],"ttl":3600,"description":"\u00e4\ud83d\ude00","generateToken":false}}"#,
    br#"{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"t","audiences":["a"]},"status":{"user":{"groups":["g"],"extra":{"k":["v"]}}}}"#,
    br#"{"spec":{"connection":{"server":"https://x","credentialSecretRef":{"name":"a","namespace":"b"}},"displayName":null}}"#,
    b"118446744073709551616",
    br#"[1,-2.5e-7,true,null,"x",{"a":[[[[]]]]}]"#,
];

const YAML: &[&[u8]] = &[
    b"apiVersion: v1\nkind: Kubeconfig\nmetadata:\n  name: x\nspec:\n  clusters: [a, b]\n  ttl: 0x10\n  text: |\n    one\n    two\n",
    b"a: &a [1, 2]\nb: *a\nc: {<<: {x: y}, z: !!str 1}\n---\nd: 2001-01-01\n",
    b"? a\n: >-\n  folded\n  text\n\"b\": 'c''d'\nn: ~\nt: yes\n",
    br#"{"json": ["too"]}"#,
];

const YAML_WORDS: &[&str] = &[
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "!!binary ",
    "---\n",
    "...\n",
    "? ",
    ": ",
    "- ",
    "|\n",
    ">-\n",
    "'",
    "\"",
    "#",
    "{",
    "}",
    "[",
    "]",
    "\n  ",
    "0x",
    "0o",
    ".inf",
    "~",
    "%YAML 1.2\n",
];

const JSON_WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\u0000",
    "\\ud800",
    "\"spec\":",
    "\"metadata\":",
    "\"a\":{",
    "null",
    "1e308",
    "-0",
];

fn depth(value: &Value) -> usize {
    let deepest = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + deepest.unwrap_or_default()
}

fn has_fractions(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fractions),
        Value::Object(fields) => fields.values().any(has_fractions),
        _ => false,
    }
}

#[track_caller]
fn check(decoded: &Decoded) {
    assert!(depth(&decoded.value) <= MAX_DEPTH, "it is too deep");
    let text = decoded.value.to_string();
    let again = decode::json(text.as_bytes()).unwrap();
    // serde_json reads the last digit of fractions in its own way; no kind has any.
    if !has_fractions(&decoded.value) {
        assert_eq!(
            again.value, decoded.value,
            "what was read is written and read alike"
        );
    }
    fits::<Kubeconfig>(&decoded.value);
    fits::<Token>(&decoded.value);
    fits::<Cluster>(&decoded.value);
    fits::<TokenReview>(&decoded.value);
}

/// A value that was made to fit a schema is read as the type, and fits again as it is.
#[track_caller]
fn fits<T: JsonSchema + DeserializeOwned + Serialize + Debug>(value: &Value) {
    let kind = KindSchema::of::<T>();
    let schema = Schema::from_definitions(&kind.root(), &kind.definitions).unwrap();
    let mut fitted = value.clone();
    if decode::conform(&schema, &mut fitted).is_err() {
        return;
    }
    let mut again = fitted.clone();
    let second = decode::conform(&schema, &mut again).unwrap();
    assert_eq!((again, second.unknown), (fitted.clone(), Vec::new()));
    // The handlers compare these with the path before.
    if let Some(fields) = fitted.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    if fitted.is_object() {
        let object: T = serde_json::from_value(fitted).unwrap();
        serde_json::to_value(&object).unwrap();
    }
}

#[test]
fn json() {
    let target = Target {
        name: "json",
        seeds: JSON,
        dictionary: JSON_WORDS,
    };
    target.run_inputs(3000, |input| {
        let decoded = decode::json(input);
        decoded.iter().for_each(check);
        outcome(&decoded)
    });
}

#[test]
fn yaml() {
    let target = Target {
        name: "yaml",
        seeds: YAML,
        dictionary: YAML_WORDS,
    };
    target.run_inputs(3000, |input| {
        let decoded = decode::yaml(input);
        decoded.iter().for_each(check);
        outcome(&decoded)
    });
}

#[test]
fn protobuf() {
    let target = Target {
        name: "protobuf",
        seeds: &[
            b"k8s\0\n\x1a\n\x05v1\x12\x10SelfSubjectReview\x12\x04\n\x02\n\0\x1a\0\"\0",
            b"\n\x0c\n\x04name\x12\0\x1a\0\"\0\x12\x0e\n\x0c\n\x03n-1\x12\x03get\"\0",
            b"\x12\x80\x80\x80\x80\x08",
        ],
        dictionary: &["\n\u{1}", "\u{12}\u{2}", "\u{1a}\0", "\"\u{3}"],
    };
    let (reviews, access) = (SelfSubjectReviews::new(), SelfSubjectAccessReviews::new());
    let messages = [reviews.protobuf().unwrap(), access.protobuf().unwrap()];
    target.run(|input| {
        let decoded = messages.map(|message| decode::protobuf(input, message));
        for decoded in decoded.iter().flatten() {
            assert!(depth(&decoded.value) <= MAX_DEPTH, "it is too deep");
        }
        decoded.each_ref().map(outcome).join("|")
    });
}
