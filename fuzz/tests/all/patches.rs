//! Patches of all three kinds. An input is a document and a patch, with a line break between them.

use api::ext::Kubeconfig;
use apiserver::description::KindSchema;
use fuzz::Target;
use k8s_openapi::api::core::v1::Secret;
use machinery::decode::{self, MAX_DEPTH};
use machinery::patch::{self, json_patch, merge_patch, strategic_merge_patch};
use machinery::schema::Schema;
use serde_json::Value;

use crate::outcome;

fn split(input: &[u8]) -> Option<(Value, &[u8])> {
    let at = input.iter().position(|byte| *byte == b'\n')?;
    let document = decode::json(&input[..at]).ok()?.value;
    Some((document, &input[at + 1..]))
}

fn is_shallow(value: &Value, left: usize) -> bool {
    match value {
        Value::Array(items) => left > 0 && items.iter().all(|item| is_shallow(item, left - 1)),
        Value::Object(fields) => {
            left > 0 && fields.values().all(|field| is_shallow(field, left - 1))
        }
        _ => true,
    }
}

#[test]
fn json_patches() {
    let target = Target {
        name: "json_patch",
        seeds: &[
            b"{\"a\":[1,2],\"b\":{\"c\":\"d\"}}\n[{\"op\":\"add\",\"path\":\"/a/-\",\"value\":3},{\"op\":\"test\",\"path\":\"/b/c\",\"value\":\"d\"}]",
            b"{\"a\":{\"b\":{}}}\n[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/b/c\"},{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/x~1y~0z\"}]",
            b"{\"a\":1}\n[{\"op\":\"replace\",\"path\":\"\",\"value\":{}},{\"op\":\"remove\",\"path\":\"/a\"}]",
        ],
        dictionary: &["{\"op\":\"copy\",\"from\":\"\",\"path\":\"/a\"},", "\"/a/0\"", "\"/-\"", "~0", "~1", "\"test\"", "\"move\"", "/01", "/-1"],
    };
    target.run(|input| {
        let Some((document, patch)) = split(input) else {
            return "no document".to_owned();
        };
        let patched = json_patch::apply(&document, patch);
        if let Ok(patched) = &patched {
            assert!(is_shallow(&patched.value, MAX_DEPTH), "it is too deep");
        }
        outcome(&patched)
    });
}

#[test]
fn merge_patches() {
    let target = Target {
        name: "merge_patch",
        seeds: &[
            b"{\"a\":{\"b\":1},\"c\":[1]}\n{\"a\":{\"b\":null,\"d\":{\"e\":null}},\"c\":{\"x\":1}}",
            b"[]\n{\"a\":{}}",
        ],
        dictionary: &["\"a\":", "null", "{}", "[]", "{\"a\":"],
    };
    target.run(|input| {
        let Some((document, patch)) = split(input) else {
            return "no document".to_owned();
        };
        let decoded = patch::object(patch);
        if let Ok(patch) = &decoded {
            let once = merge_patch::apply(&document, &patch.value);
            assert_eq!(
                merge_patch::apply(&once, &patch.value),
                once,
                "twice is once"
            );
        }
        outcome(&decoded)
    });
}

#[test]
fn strategic_merge_patches() {
    let kinds = [KindSchema::of::<Secret>(), KindSchema::of::<Kubeconfig>()];
    let schemas = kinds
        .each_ref()
        .map(|kind| Schema::from_definitions(&kind.root(), &kind.definitions).unwrap());
    let target = Target {
        name: "strategic_merge_patch",
        seeds: &[
            b"{\"metadata\":{\"ownerReferences\":[{\"uid\":\"1\",\"name\":\"a\"}],\"finalizers\":[\"x\"]}}\n{\"metadata\":{\"ownerReferences\":[{\"uid\":\"1\",\"$patch\":\"delete\"},{\"uid\":\"2\"}],\"$setElementOrder/ownerReferences\":[{\"uid\":\"2\"}],\"$deleteFromPrimitiveList/finalizers\":[\"x\"]}}",
            b"{\"data\":{\"a\":\"eA==\"}}\n{\"data\":{\"$patch\":\"replace\",\"b\":\"eA==\"},\"$retainKeys\":[\"data\"]}",
            b"{\"spec\":{\"clusters\":[\"a\"]},\"status\":{\"conditions\":[{\"type\":\"x\"}]}}\n{\"status\":{\"conditions\":[{\"type\":\"x\",\"status\":\"True\"}]}}",
        ],
        dictionary: &["\"$patch\":\"delete\"", "\"$patch\":\"replace\"", "\"$patch\":\"merge\"", "\"$retainKeys\":[]", "\"$setElementOrder/finalizers\":[\"x\"]", "\"$deleteFromPrimitiveList/finalizers\":[]", "null"],
    };
    target.run(|input| {
        let Some((document, patch)) = split(input) else {
            return "no document".to_owned();
        };
        let Ok(patch) = patch::object(patch) else {
            return "no patch".to_owned();
        };
        let outcomes = schemas.each_ref().map(|schema| {
            let patched = strategic_merge_patch::apply(schema, &document, &patch.value);
            outcome(&patched)
        });
        outcomes.join("|")
    });
}
