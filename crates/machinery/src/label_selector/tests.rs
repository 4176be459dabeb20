use std::collections::BTreeMap;

use proptest::prelude::{ProptestConfig, proptest};
use serde_json::{Value, json};

use super::{LabelSelector, Operator, Requirement, SelectorError};

/// Checks the canonical text of a selector.
#[track_caller]
fn check(text: &str, canonical: &str) {
    let selector = LabelSelector::parse(text).unwrap();
    assert_eq!(selector.to_string(), canonical);
    assert_eq!(
        LabelSelector::parse(canonical).unwrap().to_string(),
        canonical
    );
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    assert_eq!(
        LabelSelector::parse(text),
        Err(SelectorError(expected.to_owned()))
    );
}

#[track_caller]
fn check_match(text: &str, labels: &[(&str, &str)], expected: bool) {
    let labels: BTreeMap<String, String> = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(
        LabelSelector::parse(text)
            .unwrap()
            .matches(|key| labels.get(key).map(String::as_str)),
        expected
    );
}

#[test]
fn empty_selector_requires_nothing() {
    check("", "");
    check(" \t\r\n", "");
    assert!(LabelSelector::everything().is_empty());
    assert_eq!(
        LabelSelector::parse("").unwrap(),
        LabelSelector::everything()
    );
}

#[test]
fn every_operator_is_read() {
    check("x", "x");
    check("!x", "!x");
    check("! x", "!x");
    check("x=a", "x=a");
    check("x==a", "x==a");
    check("x!=a", "x!=a");
    check("x>1", "x>1");
    check("x<1", "x<1");
    check("x in (a)", "x in (a)");
    check("x notin (b,a)", "x notin (a,b)");
}

#[test]
fn blanks_and_order_do_not_matter() {
    check(" z = a ,\ty!=b,\nx ", "x,y!=b,z=a");
    check("x in( b , a,b )", "x in (a,b)");
}

#[test]
fn values_may_be_empty() {
    check("x=", "x=");
    check("x=,y!=", "x=,y!=");
    check("x in ()", "x in ()");
    check("x in (,)", "x in ()");
    check("x in (a,,b)", "x in (,a,b)");
    check("x in (,a)", "x in (,a)");
    check("x in (a,)", "x in (,a)");
}

#[test]
fn words_in_and_notin_are_keys_and_values_too() {
    check("in", "in");
    check("!notin", "!notin");
    check("in in (in,notin)", "in in (in,notin)");
    check("x=in", "x=in");
}

#[test]
fn keys_may_have_a_prefix() {
    check("cattle.io/user-id=u-1", "cattle.io/user-id=u-1");
}

#[test]
fn misplaced_tokens_are_named() {
    check_error(
        "==",
        "found '==', expected: !, identifier, or 'end of string'",
    );
    check_error(
        ",x",
        "found ',', expected: !, identifier, or 'end of string'",
    );
    check_error("x,", "found '', expected: identifier after ','");
    check_error("x,,y", "found ',', expected: identifier after ','");
    check_error("x=a y", "found 'y', expected: ',' or 'end of string'");
    check_error("!x=a", "found '=', expected: ',' or 'end of string'");
    check_error("x=a)", "found ')', expected: ',' or 'end of string'");
    check_error(
        "!",
        "unable to parse requirement: found '', expected: identifier",
    );
    check_error(
        "!!x",
        "unable to parse requirement: found '!', expected: identifier",
    );
    check_error(
        "x===a",
        "unable to parse requirement: found '=', expected: identifier",
    );
    check_error(
        "x y",
        "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt",
    );
    check_error(
        "x!a",
        "unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt",
    );
}

#[test]
fn misplaced_tokens_in_sets_are_named() {
    let prefix = "unable to parse requirement: ";
    check_error("x in a", &format!("{prefix}found 'a' expected: '('"));
    check_error(
        "x in (",
        &format!("{prefix}found '', expected: ',', ')' or identifier"),
    );
    check_error(
        "x in (=",
        &format!("{prefix}found '=', expected: ',', ')' or identifier"),
    );
    check_error(
        "x in (a",
        &format!("{prefix}found '', expected: ',' or ')'"),
    );
    check_error(
        "x in (a b)",
        &format!("{prefix}found 'b', expected: ',' or ')'"),
    );
    check_error(
        "x in (a,",
        &format!("{prefix}found '', expected: ',', or identifier"),
    );
    check_error(
        "x in (,=)",
        &format!("{prefix}found '=', expected: ',', or identifier"),
    );
}

#[test]
fn keys_and_values_are_validated() {
    check_error(
        "a/b/c",
        "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a valid label key must \
         consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
         alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain \
         prefix and '/' (e.g. 'example.com/MyName')",
    );
    check_error(
        "x=a@b",
        "unable to parse requirement: values[0][x]: Invalid value: \"a@b\": a valid label must be \
         an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
         and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
         regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    );
    check_error(
        "x>a",
        "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, \
         the value must be an integer",
    );
}

#[test]
fn operators_decide_on_present_labels() {
    let labels = [("x", "5"), ("e", "")];
    for text in [
        "x",
        "x=5",
        "x==5",
        "x!=4",
        "x>4",
        "x<6",
        "x in (4,5)",
        "x notin (4)",
        "e=",
        "e",
    ] {
        check_match(text, &labels, true);
    }
    for text in [
        "!x",
        "x=4",
        "x!=5",
        "x>5",
        "x<5",
        "x in (4)",
        "x notin (4,5)",
        "e!=",
        "e>0",
    ] {
        check_match(text, &labels, false);
    }
}

#[test]
fn operators_decide_on_absent_labels() {
    for text in ["!x", "x!=4", "x notin (4)", ""] {
        check_match(text, &[], true);
    }
    for text in ["x", "x=", "x=4", "x>0", "x<9", "x in (4)", "x in ()"] {
        check_match(text, &[], false);
    }
}

#[test]
fn all_requirements_must_hold() {
    check_match("x=1,y=2", &[("x", "1"), ("y", "2")], true);
    check_match("x=1,y=2", &[("x", "1"), ("y", "3")], false);
    check_match("x=1,x=2", &[("x", "1")], false);
}

/// Checks the canonical text, or the error, of a selector in an object.
#[track_caller]
fn check_structured(selector: Value, expected: Result<&str, &str>) {
    let selector = serde_json::from_value(selector).unwrap();
    let actual = LabelSelector::from_label_selector(&selector)
        .map(|selector| selector.to_string())
        .map_err(|error| error.to_string());
    assert_eq!(actual, expected.map(str::to_owned).map_err(str::to_owned));
}

#[test]
fn structured_selectors_are_converted() {
    check_structured(json!({}), Ok(""));
    check_structured(
        json!({
            "matchLabels": {"b": "1"},
            "matchExpressions": [
                {"key": "d", "operator": "Exists"},
                {"key": "c", "operator": "DoesNotExist"},
                {"key": "a", "operator": "In", "values": ["y", "x"]},
                {"key": "e", "operator": "NotIn", "values": ["z"]},
            ],
        }),
        Ok("a in (x,y),b=1,!c,d,e notin (z)"),
    );
    check_structured(
        json!({"matchExpressions": [{"key": "a", "operator": "Is"}]}),
        Err(r#""Is" is not a valid label selector operator"#),
    );
    check_structured(
        json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
        Err("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"),
    );
    check_structured(
        json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}),
        Err(
            r#"values: Invalid value: ["b"]: values set must be empty for exists and does not exist"#,
        ),
    );
}

#[test]
fn all_errors_of_a_requirement_are_told() {
    let error = Requirement::new("", Operator::Equals, Vec::new()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("[key: Invalid value: \"\": name part must be non-empty; ")
    );
    assert!(error.to_string().ends_with(
        ", values: Invalid value: []: exact-match compatibility requires one single value]"
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_parses_has_a_stable_canonical_text(text in "[a-b0-1inot =!<>(),./\\PC]{0,24}") {
        if let Ok(selector) = LabelSelector::parse(&text) {
            let canonical = selector.to_string();
            let again = LabelSelector::parse(&canonical).unwrap();
            assert_eq!(again.to_string(), canonical);
        }
    }
}
