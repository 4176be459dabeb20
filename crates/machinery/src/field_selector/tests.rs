use super::FieldSelector;

/// Checks the canonical text, or the error.
#[track_caller]
fn check(text: &str, expected: Result<&str, &str>) {
    let actual = FieldSelector::parse(text)
        .map(|selector| selector.to_string())
        .map_err(|error| error.to_string());
    assert_eq!(actual, expected.map(str::to_owned).map_err(str::to_owned));
}

#[test]
fn operators_are_read() {
    check("", Ok(""));
    check("a=1", Ok("a=1"));
    check("a==1", Ok("a=1"));
    check("a!=1", Ok("a!=1"));
    check("b=2,,a=1,", Ok("a=1,b=2"));
    check("a=", Ok("a="));
    check("a!=", Ok("a!="));
    check("=", Ok(""));
    check("a!b=c", Ok("a!b=c"));
}

#[test]
fn escapes_stand_for_the_plain_character() {
    check(r"a=1\,2", Ok(r"a=1\,2"));
    check(r"a=1\=2", Ok(r"a=1\=2"));
    check(r"a=1\\,b=2", Ok(r"a=1\\,b=2"));
    let selector = FieldSelector::parse(r"a=\\\,\=").unwrap();
    assert_eq!(selector.exact("a"), Some(r"\,="));
}

#[test]
fn malformed_selectors_are_refused() {
    check(
        "bad",
        Err("invalid selector: 'bad'; can't understand 'bad'"),
    );
    check(
        "a=1,bad",
        Err("invalid selector: 'a=1,bad'; can't understand 'bad'"),
    );
    check(
        r"a=\x",
        Err(r"invalid field selector: invalid escape sequence: \x"),
    );
    check(
        r"a=1\",
        Err(r"invalid field selector: invalid escape sequence: \"),
    );
    check(
        "a===1",
        Err("invalid field selector: unescaped character in value: 61"),
    );
}

#[track_caller]
fn check_match(text: &str, expected: bool) {
    let has = |field: &str, value: &str| match field {
        "metadata.name" => value == "k",
        "spec.clusters" => ["a", "b"].contains(&value),
        _ => value.is_empty(),
    };
    assert_eq!(FieldSelector::parse(text).unwrap().matches(has), expected);
}

#[test]
fn all_requirements_must_hold() {
    for text in [
        "",
        "metadata.name=k",
        "metadata.name!=l",
        "metadata.namespace=",
        "x!=y",
    ] {
        check_match(text, true);
    }
    for text in [
        "metadata.name=l",
        "metadata.name!=k",
        "metadata.name=k,x=y",
        "x!=",
    ] {
        check_match(text, false);
    }
}

#[track_caller]
fn check_known(text: &str, expected: Result<(), &str>) {
    let known = ["metadata.name", "metadata.namespace"];
    let actual = FieldSelector::parse(text).unwrap().validate(&known);
    assert_eq!(
        actual.map_err(|error| error.to_string()),
        expected.map_err(str::to_owned)
    );
}

#[test]
fn unknown_fields_are_refused() {
    check_known("", Ok(()));
    check_known("metadata.name=k,metadata.namespace!=n", Ok(()));
    check_known(
        "metadata.name=k,spec.x=1",
        Err(
            r#""spec.x" is not a known field selector: only "metadata.name", "metadata.namespace""#,
        ),
    );
    check_known(
        "=x",
        Err(r#""" is not a known field selector: only "metadata.name", "metadata.namespace""#),
    );
}

#[test]
fn only_equality_is_exact() {
    let selector = FieldSelector::parse("a=1,b!=2").unwrap();
    assert_eq!(selector.exact("a"), Some("1"));
    assert_eq!(selector.exact("b"), None);
    assert_eq!(selector.exact("c"), None);
}
