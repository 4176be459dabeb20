use std::collections::BTreeMap;

use super::*;

fn secret(type_: &str, entries: &[(&str, &str)]) -> Secret {
    let data = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
    Secret {
        type_: Some(type_.to_owned()),
        data: Some(data.collect::<BTreeMap<_, _>>()),
        ..Secret::default()
    }
}

fn texts(errors: &[Error]) -> Vec<String> {
    errors.iter().map(Error::to_string).collect()
}

#[test]
fn types_require_their_entries() {
    #[track_caller]
    fn check(type_: &str, entries: &[(&str, &str)], expected: &[&str]) {
        assert_eq!(texts(&types::validate(&secret(type_, entries))), expected);
    }
    check("Opaque", &[], &[]);
    check("example.com/mine", &[], &[]);
    check(
        "kubernetes.io/tls",
        &[("tls.crt", ""), ("tls.key", "")],
        &[],
    );
    check(
        "kubernetes.io/tls",
        &[],
        &[
            "data[tls.crt]: Required value",
            "data[tls.key]: Required value",
        ],
    );
    check("kubernetes.io/basic-auth", &[("password", "p")], &[]);
    check(
        "kubernetes.io/basic-auth",
        &[],
        &[
            "data[username]: Required value",
            "data[password]: Required value",
        ],
    );
    check(
        "kubernetes.io/ssh-auth",
        &[],
        &["data[ssh-privatekey]: Required value"],
    );
    check(
        "kubernetes.io/dockerconfigjson",
        &[(".dockerconfigjson", "{}")],
        &[],
    );
    check(
        "kubernetes.io/dockerconfigjson",
        &[(".dockerconfigjson", "hunter2")],
        &[r#"data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": must be JSON"#],
    );
    check(
        "kubernetes.io/service-account-token",
        &[],
        &["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
    );
}

#[test]
fn string_data_goes_over_data_and_is_not_kept() {
    let mut object = secret("", &[("a", "old"), ("b", "kept")]);
    let new = [("a".to_owned(), "new".to_owned())];
    object.string_data = Some(BTreeMap::from(new));
    complete(&mut object, OPAQUE);
    assert_eq!(object, secret("Opaque", &[("a", "new"), ("b", "kept")]));
}

#[test]
fn immutable_secrets_keep_their_data() {
    #[track_caller]
    fn check(change: fn(&mut Secret), expected: &[&str]) {
        let live = Secret {
            immutable: Some(true),
            ..secret("Opaque", &[("a", "1")])
        };
        let mut object = live.clone();
        change(&mut object);
        assert_eq!(texts(&validate_update(&object, &live)), expected);
    }
    check(|_| {}, &[]);
    check(|object| object.metadata.labels = Some(BTreeMap::new()), &[]);
    check(
        |object| object.data = None,
        &["data: Forbidden: field is immutable when `immutable` is set"],
    );
    check(
        |object| object.immutable = None,
        &["immutable: Forbidden: field is immutable when `immutable` is set"],
    );
    check(
        |object| object.type_ = Some("kubernetes.io/tls".to_owned()),
        &[r#"type: Invalid value: "kubernetes.io/tls": field is immutable"#],
    );
}
