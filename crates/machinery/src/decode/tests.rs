use serde_json::{Map, json};

use super::*;
use crate::schema::Schema;

#[track_caller]
fn check_json(text: &str, value: Value, duplicates: &[&str]) {
    let decoded = json(text.as_bytes()).unwrap();
    assert_eq!(decoded.value, value);
    assert_eq!(decoded.duplicates, duplicates);
}

#[track_caller]
fn check_yaml(text: &str, value: Value) {
    let expected = Decoded {
        value,
        duplicates: Vec::new(),
    };
    assert_eq!(yaml(text.as_bytes()), Ok(expected), "{text}");
}

#[track_caller]
fn check_yaml_refused(text: &str, cause: &str) {
    let error = yaml(text.as_bytes()).unwrap_err().to_string();
    assert!(
        error.starts_with("error converting YAML to JSON: yaml: ") && error.contains(cause),
        "{error}"
    );
}

fn schema() -> std::sync::Arc<Schema> {
    let definitions: Map<String, Value> = serde_json::from_value(json!({
        "Kubeconfig": {"properties": {
            "metadata": {"$ref": "#/d/v1.ObjectMeta"},
            "spec": {"$ref": "#/d/v1.KubeconfigSpec"},
            "data": {"additionalProperties": {"type": "string", "format": "byte"}},
        }},
        "v1.ObjectMeta": {"properties": {
            "labels": {"additionalProperties": {"type": "string"}},
            "creationTimestamp": {"type": "string", "format": "date-time"},
        }},
        "v1.KubeconfigSpec": {"properties": {
            "any": {"x-kubernetes-preserve-unknown-fields": true},
            "clusters": {"type": "array", "items": {"type": "string"}},
            "inline": {"properties": {"on": {"type": "boolean"}}},
            "list": {"type": "array", "items": {"$ref": "#/d/v1.Item"}},
            "port": {"x-kubernetes-int-or-string": true},
            "ratio": {"type": "number"},
            "small": {"type": "integer", "format": "int32"},
            "ttl": {"type": "integer", "format": "int64"},
        }},
        "v1.Item": {"properties": {"on": {"type": "boolean"}}},
    }))
    .unwrap();
    Schema::from_definitions(&json!({"$ref": "#/d/Kubeconfig"}), &definitions).unwrap()
}

#[track_caller]
fn check_conform(mut value: Value, conformed: Value, unknown: &[&str]) {
    let conformity = conform(&schema(), &mut value).unwrap();
    assert_eq!(value, conformed);
    assert_eq!(conformity.unknown, unknown);
}

#[track_caller]
fn check_type_error(mut value: Value, text: &str) {
    let error = conform(&schema(), &mut value).unwrap_err();
    assert_eq!(error.to_string(), text);
}

#[test]
fn json_reads_every_kind_of_value() {
    check_json(
        r#" {"a": [null, true, -1, 18446744073709551615, 1.5, "\u0000é\ud83d\ude00"], "B": {}} "#,
        json!({"a": [null, true, -1, 18446744073709551615_u64, 1.5, "\0é😀"], "B": {}}),
        &[],
    );
    check_json("1e3", json!(1000.0), &[]);
    check_json("99999999999999999999", json!(1e20), &[]);
}

#[test]
fn json_names_duplicates_once_and_the_last_one_wins() {
    check_json(
        r#"{"spec": {"d": 1, "d": 2, "d": 3, "list": [{}, {"x": 1, "x": 2}]}, "a.b": {"c": 1, "c": 1}}"#,
        json!({"spec": {"d": 3, "list": [{}, {"x": 2}]}, "a.b": {"c": 1}}),
        &["spec.d", "spec.list[1].x", "a.b.c"],
    );
    check_json(r#"[{"x": 1, "x": 2}]"#, json!([{"x": 2}]), &["[0].x"]);
}

#[test]
fn json_names_at_most_a_hundred_duplicates() {
    let fields: Vec<String> = (0..200).map(|n| format!(r#""f{n}":1,"f{n}":2"#)).collect();
    let decoded = json(format!("{{{}}}", fields.join(",")).as_bytes()).unwrap();
    assert_eq!(decoded.duplicates.len(), 100);
}

#[test]
fn json_nests_to_the_limit_and_no_deeper() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert!(json(&nested(MAX_DEPTH)).is_ok());
    let refused =
        |column| DecodeError::Json(format!("exceeded max depth at line 1 column {column}"));
    assert_eq!(json(&nested(MAX_DEPTH + 1)), Err(refused(102)));
    assert_eq!(json(&vec![b'['; 1_000_000]), Err(refused(101)));
    let objects = r#"{"a":"#.repeat(1_000_000);
    assert!(json(objects.as_bytes()).is_err());
}

#[test]
fn json_refuses_what_is_not_one_document() {
    #[track_caller]
    fn check(text: &[u8], error: &str) {
        assert_eq!(json(text).unwrap_err().to_string(), error);
    }
    check(b"", "unexpected end of JSON input");
    check(b"{\"a\":", "unexpected end of JSON input");
    check(b"{} {}", "trailing characters at line 1 column 4");
    check(b"kind: A", "expected value at line 1 column 1");
    check(
        b"\"\\ud800\"",
        "unexpected end of hex escape at line 1 column 8",
    );
    check(b"\"\xff\"", "invalid unicode code point at line 1 column 2");
    check(
        &vec![b'9'; 1_000_000],
        "number out of range at line 1 column 1000000",
    );
}

#[test]
fn yaml_types_scalars_as_kubernetes_does() {
    check_yaml(
        "a: 1\nb: -1.5\nc: yes\nd: ~\ne: '1'\nf: 0644\ng: 2020-01-01\nh: |\n  x\n  y\ni: [a, {b: c}]\n",
        json!({
            "a": 1, "b": -1.5, "c": true, "d": null, "e": "1", "f": 420, "g": "2020-01-01",
            "h": "x\ny\n", "i": ["a", {"b": "c"}],
        }),
    );
    check_yaml("1: a\ntrue: b\n", json!({"1": "a", "true": "b"}));
    check_yaml("a: !custom x\nb: !!str 1\n", json!({"a": "x", "b": "1"}));
    check_yaml(
        "a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n",
        json!({"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}),
    );
    check_yaml("", json!(null));
}

#[test]
fn yaml_reads_json() {
    let long = "x".repeat(5_000);
    let document = json!({"spec": {"long": long, "list": [long, 1]}, "n": null});
    check_yaml(&document.to_string(), document.clone());
    check_yaml(&format!("---\n{document}"), document.clone());
    check_yaml(&serde_json::to_string_pretty(&document).unwrap(), document);
    check_yaml("{a: 1, b: [c]}", json!({"a": 1, "b": ["c"]}));
}

#[test]
fn yaml_names_duplicates() {
    let decoded = yaml(b"spec:\n  d: 1\n  d: 2\n  list:\n  - x: 1\n    x: 2\n").unwrap();
    assert_eq!(decoded.value, json!({"spec": {"d": 2, "list": [{"x": 2}]}}));
    assert_eq!(decoded.duplicates, ["spec.d", "spec.list[0].x"]);
}

#[test]
fn yaml_holds_one_document() {
    check_yaml("---\na: 1\n---\n", json!({"a": 1}));
    check_yaml("a: 1\n---\n---\n\n", json!({"a": 1}));
    check_yaml("a: 1\n...\n", json!({"a": 1}));
    check_yaml("a: |\n  x\n  ---\n", json!({"a": "x\n---\n"}));
    check_yaml_refused("a: 1\n---\nb: 2\n", "multiple");
}

#[test]
fn yaml_refuses_what_json_cannot_say() {
    check_yaml_refused("a: .nan", "");
    check_yaml_refused("a: -.inf", "");
    check_yaml_refused("[a]: b", "");
    check_yaml_refused("? {a: b}\n: c", "");
    check_yaml_refused("a: b: c", "");
    check_yaml_refused("a: *missing", "");
    assert_eq!(
        yaml(b"a: \xff"),
        Err(DecodeError::Yaml("invalid UTF-8".to_owned()))
    );
}

#[test]
fn yaml_bombs_are_refused() {
    let mut aliases = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    let mut merges = "a0: &a0 {x: 1}\n".to_owned();
    for n in 1..10 {
        let before = vec![format!("*a{}", n - 1); 9].join(",");
        aliases += &format!("a{n}: &a{n} [{before}]\n");
        merges += &format!("a{n}: &a{n} {{<<: [{before}]}}\n");
    }
    let anchors: String = (0..100_000).map(|n| format!("- &a{n} x\n")).collect();
    let long = format!(
        "a: &a {}\nb: [{}]",
        "x".repeat(500_000),
        ["*a"; 100].join(",")
    );
    let nested: String = (0..500).map(|n| format!("&n{n} [")).collect();
    check_yaml_refused(&aliases, "RecordedAnchorEvents");
    check_yaml_refused(&merges, "RecordedAnchorEvents");
    check_yaml_refused(&anchors, "Anchors");
    check_yaml_refused(&long, "excessive aliasing");
    check_yaml_refused(&nested, "recursion limit");
    check_yaml_refused(&"[".repeat(1_000_000), "recursion limit");
    check_yaml_refused(&"{a: ".repeat(250_000), "recursion limit");
    check_yaml_refused(&"- ".repeat(500_000), "Depth");
    check_yaml_refused(&"? ".repeat(500_000), "Depth");
    check_yaml_refused(&format!("[{}]", "[],".repeat(350_000)), "Nodes");
    check_yaml_refused(&"&a ".repeat(300_000), "did not find expected");
    check_yaml_refused(&"!a ".repeat(300_000), "did not find expected");
    check_yaml_refused(&format!("a\n{}b", "---\n".repeat(250_000)), "multiple");
}

#[test]
fn yaml_nests_to_its_limit_and_no_deeper() {
    let nested = |depth: usize| {
        (0..depth)
            .map(|n| " ".repeat(n) + "a:\n")
            .collect::<String>()
    };
    assert!(yaml(nested(50).as_bytes()).is_ok());
    check_yaml_refused(&nested(51), "Depth");
}

#[test]
fn conform_keeps_what_the_kind_knows() {
    let value = json!({
        "metadata": {"labels": {"a": "b"}, "creationTimestamp": "2024-02-29T23:59:59.5+02:00"},
        "spec": {
            "any": {"x": [null]}, "clusters": ["a"], "inline": {"on": true}, "list": [{"on": false}],
            "port": 80, "ratio": 1, "small": -2147483648, "ttl": 9223372036854775807_i64,
        },
        "data": {"k": "aGk="},
    });
    check_conform(value.clone(), value, &[]);
    check_conform(
        json!({"spec": {"port": "http"}}),
        json!({"spec": {"port": "http"}}),
        &[],
    );
}

#[test]
fn conform_removes_unknown_fields() {
    check_conform(
        json!({"Spec": {}, "spec": {"TTL": 1, "foo": {"bar": 1}, "inline": {"x": 1}, "list": [{}, {"x": 1}]}}),
        json!({"spec": {"inline": {}, "list": [{}, {}]}}),
        &[
            "Spec",
            "spec.TTL",
            "spec.foo",
            "spec.inline.x",
            "spec.list[1].x",
        ],
    );
}

#[test]
fn conform_reads_null_as_the_zero_value() {
    check_conform(
        json!({
            "metadata": null,
            "spec": {"clusters": [null], "inline": {"on": null}, "list": [null], "ttl": null, "any": null},
            "data": {"k": null},
        }),
        json!({"spec": {"clusters": [""], "inline": {}, "list": [{}]}, "data": {"k": ""}}),
        &[],
    );
}

#[test]
fn conform_refuses_wrong_types() {
    let ttl = |value: Value| json!({"spec": {"ttl": value}});
    check_type_error(
        ttl(json!("1")),
        "json: cannot unmarshal string into Go struct field KubeconfigSpec.spec.ttl of type int64",
    );
    check_type_error(
        ttl(json!(1.5)),
        "json: cannot unmarshal number 1.5 into Go struct field KubeconfigSpec.spec.ttl of type int64",
    );
    check_type_error(
        ttl(json!(9223372036854775808_u64)),
        "json: cannot unmarshal number 9223372036854775808 into Go struct field KubeconfigSpec.spec.ttl of type int64",
    );
    check_type_error(
        json!({"spec": {"small": 2147483648_i64}}),
        "json: cannot unmarshal number 2147483648 into Go struct field KubeconfigSpec.spec.small of type int32",
    );
    check_type_error(
        json!({"metadata": {"labels": {"a": 1}}}),
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
    );
    check_type_error(
        json!({"metadata": {"labels": []}}),
        "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
    );
    check_type_error(
        json!({"spec": {"clusters": "a"}}),
        "json: cannot unmarshal string into Go struct field KubeconfigSpec.spec.clusters of type []string",
    );
    check_type_error(
        json!({"spec": {"list": [{}, {"on": {}}]}}),
        "json: cannot unmarshal object into Go struct field Item.spec.list.on of type bool",
    );
    check_type_error(
        json!({"spec": {"inline": {"on": 1}}}),
        "json: cannot unmarshal number into Go struct field KubeconfigSpec.spec.inline.on of type bool",
    );
    check_type_error(
        json!({"spec": true}),
        "json: cannot unmarshal bool into Go struct field Kubeconfig.spec of type KubeconfigSpec",
    );
    check_type_error(
        json!({"data": {"a": 1}}),
        "json: cannot unmarshal number into Go struct field Kubeconfig.data of type []uint8",
    );
    check_type_error(
        json!({"metadata": {"creationTimestamp": 1}}),
        "json: cannot unmarshal number into Go value of type string",
    );
    check_type_error(
        json!([]),
        "json: cannot unmarshal array into Go value of type Kubeconfig",
    );
}

#[test]
fn dates_are_read_as_go_reads_them() {
    #[track_caller]
    fn check(text: &str, error: &str) {
        assert_eq!(
            date_time::check(text),
            Err(format!("parsing time \"{text}\"{error}"))
        );
    }
    #[track_caller]
    fn check_mismatch(text: &str, rest: &str, element: &str) {
        let layout = "2006-01-02T15:04:05Z07:00";
        check(
            text,
            &format!(" as \"{layout}\": cannot parse \"{rest}\" as \"{element}\""),
        );
    }
    for text in [
        "2024-02-29T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "2024-01-01T00:00:00.123456789Z",
        "2024-01-01T00:00:00,5-11:30",
    ] {
        assert_eq!(date_time::check(text), Ok(()), "{text}");
    }
    check_mismatch("x", "x", "2006");
    check_mismatch("", "", "2006");
    check_mismatch("2024", "", "-");
    check_mismatch("2024-1-01T00:00:00Z", "1-01T00:00:00Z", "01");
    check_mismatch("2024-01-01", "", "T");
    check_mismatch("2024-01-01t00:00:00Z", "t00:00:00Z", "T");
    check_mismatch("2024-01-01T00:00:00", "", "Z07:00");
    check_mismatch("2024-01-01T00:00:00+0200", "+0200", "Z07:00");
    check("2024-13-01T00:00:00Z", ": month out of range");
    check("2023-02-29T00:00:00Z", ": day out of range");
    check("2024-01-01T24:00:00Z", ": hour out of range");
    check("2024-01-01T00:00:60Z", ": second out of range");
    check(
        "2024-01-01T00:00:00+25:00",
        ": time zone offset hour out of range",
    );
    check("2024-01-01T00:00:00Zé", ": extra text: \"é\"");
}

#[test]
fn base64_is_read_and_written_as_go_does() {
    #[track_caller]
    fn check(text: &str, expected: Result<&str, usize>) {
        let mut normalized = text.to_owned();
        let result = bytes::normalize(&mut normalized).map(|()| normalized.as_str());
        assert_eq!(result, expected, "{text:?}");
    }
    check("", Ok(""));
    check("aGVsbG8h", Ok("aGVsbG8h"));
    check("aGk=", Ok("aGk="));
    check("YQ==\n", Ok("YQ=="));
    check("aGVs\r\nbG8=\n", Ok("aGVsbG8="));
    check("YR==", Ok("YQ=="));
    check("aGl=", Ok("aGk="));
    check("a", Err(0));
    check("aGk", Err(0));
    check("aGVsbG8", Err(4));
    check("aGV*", Err(3));
    check("aGV_", Err(3));
    check("====", Err(0));
    check("YQ=", Err(3));
    check("YQ=a", Err(2));
    check("YQ==a", Err(4));
    check("aGk=aGk=", Err(4));
    check("aGVsé", Err(4));
    check_type_error(
        json!({"data": {"k": "a?"}}),
        "illegal base64 data at input byte 1",
    );
}

#[test]
fn field_validation_is_warn_unless_said() {
    let parsed = ["", "Ignore", "Strict", "Warn", "strict"].map(FieldValidation::parse);
    let expected = [
        Some(FieldValidation::Warn),
        Some(FieldValidation::Ignore),
        Some(FieldValidation::Strict),
        Some(FieldValidation::Warn),
        None,
    ];
    assert_eq!(parsed, expected);
    assert_eq!(FieldValidation::default(), FieldValidation::Warn);
}

#[test]
fn unknown_and_duplicate_fields_are_named() {
    let unknown = ["spec.foo".to_owned(), "a\"b".to_owned()];
    let duplicates = ["spec.description".to_owned()];
    assert_eq!(
        warnings(&unknown, &duplicates),
        [
            r#"unknown field "spec.foo""#,
            r#"unknown field "a\"b""#,
            r#"duplicate field "spec.description""#
        ]
    );
    assert_eq!(
        strict_error_text(&unknown[..1], &duplicates),
        r#"strict decoding error: unknown field "spec.foo", duplicate field "spec.description""#
    );
}

#[test]
fn failures_have_the_texts_of_kubernetes() {
    #[track_caller]
    fn check(body: &[u8], summary: &str) {
        let error = DecodeError::Json("bad".to_owned());
        let expected = format!(
            "the object provided is unrecognized (must be of type Kubeconfig): \
             couldn't get version/kind; json parse error: bad ({summary})"
        );
        assert_eq!(unrecognized_text("Kubeconfig", body, &error), expected);
    }
    check(b"", "<empty>");
    check(b"{\"kind\":", "{\"kind\":");
    check(
        &[b"{", "x".repeat(29).as_bytes()].concat(),
        &format!("{{{}", "x".repeat(29)),
    );
    check(
        &[b"{", "x".repeat(30).as_bytes()].concat(),
        &format!("{{{} ...", "x".repeat(29)),
    );
    check(b"kind", "6b696e64");
    check(&[0xff; 31], &format!("{} ...", "ff".repeat(30)));
    assert_eq!(
        unhandled_text(
            "Kubeconfig",
            "v1",
            "Kubeconfig",
            &strict_error_text(&["spec.foo".to_owned()], &[])
        ),
        "Kubeconfig in version \"v1\" cannot be handled as a Kubeconfig: \
         strict decoding error: unknown field \"spec.foo\""
    );
}
