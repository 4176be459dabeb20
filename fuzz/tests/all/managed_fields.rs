//! FieldsV1, and server-side apply on objects whose entries a client wrote.

use api::ext::Kubeconfig;
use apiserver::description::KindSchema;
use fuzz::Target;
use jiff::Timestamp;
use machinery::decode;
use machinery::managed_fields::{FieldSet, Manager, apply};
use machinery::schema::Schema;
use serde_json::Value;

use crate::outcome;

const WORDS: &[&str] = &[
    "\"f:spec\":{}",
    "\".\":{}",
    "\"k:{\\\"type\\\":\\\"x\\\"}\":{}",
    "\"v:1\":{}",
    "\"i:0\":{}",
    "f:",
    "k:",
    "v:",
    "i:",
    "{",
    "}",
];

#[test]
fn fields_v1() {
    let target = Target {
        name: "fields_v1",
        seeds: &[
            br#"{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:clusters":{"v:\"a\"":{}}}}"#,
            br#"{"f:status":{"f:conditions":{"k:{\"type\":\"x\"}":{".":{},"f:status":{}}}},"i:3":{},"v:{\"a\":[1]}":{}}"#,
        ],
        dictionary: WORDS,
    };
    target.run(|input| {
        let Ok(decoded) = decode::json(input) else {
            return "no document".to_owned();
        };
        let read = FieldSet::from_fields_v1(&decoded.value);
        if let Ok(set) = &read {
            let written = set.to_fields_v1();
            assert_eq!(FieldSet::from_fields_v1(&written).as_ref(), Ok(set));
            assert_eq!(set.clone().union(set), *set);
            assert_eq!(set.intersection(set), *set);
            assert!(set.clone().difference(set).is_empty());
            assert!(set.paths().iter().all(|path| set.contains(&path.0)));
        }
        outcome(&read)
    });
}

#[test]
fn server_side_apply() {
    let kind = KindSchema::of::<Kubeconfig>();
    let schema = Schema::from_definitions(&kind.root(), &kind.definitions).unwrap();
    let target = Target {
        name: "apply",
        seeds: &[
            b"{\"metadata\":{\"name\":\"x\",\"managedFields\":[{\"manager\":\"m\",\"operation\":\"Apply\",\"apiVersion\":\"ext.cattle.io/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:ttl\":{}}}}]},\"spec\":{\"ttl\":1,\"clusters\":[\"a\"]}}\n{\"apiVersion\":\"ext.cattle.io/v1\",\"kind\":\"Kubeconfig\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"clusters\":[\"b\"],\"description\":\"d\"}}",
            b"{\"status\":{\"conditions\":[{\"type\":\"a\"},{\"type\":\"a\"}]}}\n{\"apiVersion\":\"ext.cattle.io/v1\",\"kind\":\"Kubeconfig\",\"status\":{\"conditions\":[{\"type\":\"a\",\"status\":\"True\"}]}}",
        ],
        dictionary: WORDS,
    };
    target.run_inputs(1500, |input| {
        let Some(at) = input.iter().position(|byte| *byte == b'\n') else {
            return "no document".to_owned();
        };
        let fitted = |bytes: &[u8]| -> Option<Value> {
            let mut value = decode::json(bytes).ok()?.value;
            decode::conform(&schema, &mut value).ok()?;
            value.is_object().then_some(value)
        };
        let (Some(live), Some(config)) = (fitted(&input[..at]), fitted(&input[at + 1..])) else {
            return "no object".to_owned();
        };
        let by = Manager {
            name: "m",
            api_version: "ext.cattle.io/v1",
            subresource: "",
            time: Timestamp::UNIX_EPOCH,
        };
        let applied = apply(&schema, Some(&live), &config, &by, true, &["status"]);
        if let Ok(first) = &applied {
            let again = apply(
                &schema,
                Some(&first.value),
                &config,
                &by,
                false,
                &["status"],
            );
            assert_eq!(
                again.unwrap().value,
                first.value,
                "applied twice is applied once"
            );
        }
        outcome(&applied)
    });
}
