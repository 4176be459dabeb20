use serde_json::json;

use super::*;

fn claims() -> Json {
    json!({
        "sub": "alice", "exp": 1_700_086_400, "nbf": 1_700_000_000, "admin": true,
        "roles": "a,b", "groups": ["dev", "ops"], "nested": { "a.b": "c", "n": 1.5 }, "none": null,
    })
}

/// Checks the result of an expression over the claims, as text.
#[track_caller]
fn check(source: &str, expected: &str) {
    let expression = Compiler::new().compile(source, Name::Claims).unwrap();
    let claims = claims();
    let result = expression.evaluate(&Variable::new(Name::Claims, &claims));
    let text = match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.problem,
    };
    assert_eq!(text, expected, "{source}");
}

#[test]
fn claims_are_selected_compared_and_computed_with() {
    for (source, expected) in [
        ("'oidc:' + claims.sub", r#"String("oidc:alice")"#),
        ("claims.exp - claims.nbf <= 86400", "Bool(true)"),
        ("claims.exp == 1700086400", "Bool(true)"),
        ("claims.roles.split(',')[1]", r#"String("b")"#),
        ("claims.?missing.orValue('x')", r#"String("x")"#),
        ("claims.?sub.orValue('x')", r#"String("alice")"#),
        ("claims.nested['a.b']", r#"String("c")"#),
        ("has(claims.nested.n) && !has(claims.missing)", "Bool(true)"),
        ("claims.groups.exists(group, group == 'ops')", "Bool(true)"),
        ("claims.groups.map(g, g + '!')[0]", r#"String("dev!")"#),
        ("sets.contains(claims.groups, ['ops'])", "Bool(true)"),
        ("sets.contains(['ops'], claims.groups)", "Bool(false)"),
        (
            "sets.equivalent(claims.groups, ['ops', 'dev', 'dev'])",
            "Bool(true)",
        ),
        ("sets.equivalent(claims.groups, ['ops'])", "Bool(false)"),
        ("sets.intersects(claims.groups, ['ops', 'x'])", "Bool(true)"),
        ("sets.intersects(claims.groups, ['x'])", "Bool(false)"),
        ("string(claims.exp)", r#"String("1.7000864e+09")"#),
        ("string(claims.admin) + string(1)", r#"String("true1")"#),
        ("claims.groups.indexOf('ops')", "Int(1)"),
        (
            "(claims.groups + claims.groups).lastIndexOf('dev')",
            "Int(2)",
        ),
        ("claims.groups.lastIndexOf('x')", "Int(-1)"),
        ("claims.none", "Null"),
        ("type(claims.sub) == string", "Bool(true)"),
        ("has(claims.sub.x)", "Bool(false)"),
        ("claims.?sub.?x.orValue('none')", r#"String("none")"#),
        ("claims.groups[?5].orValue('none')", r#"String("none")"#),
        ("claims.sub == 5", "Bool(false)"),
    ] {
        check(source, expected);
    }
}

/// A fault in a token must not satisfy a rule that negates it.
#[test]
fn faults_have_no_result() {
    let fails = "cannot be evaluated for this token";
    for (source, expected) in [
        ("claims.missing", "no such key: missing"),
        ("!claims.missing.x", "no such key: missing"),
        ("!claims.sub.x", fails),
        ("claims.exp + 1", fails),
        ("claims.sub + claims.exp", fails),
        ("!claims.sub", fails),
        ("claims.?groups.?x.orValue('none')", fails),
        ("!has(claims.groups.x)", fails),
        ("claims.groups[2]", fails),
        ("claims.groups.all(g, g.n == 1)", fails),
        ("int(claims.sub)", fails),
        ("claims.sub.matches('(')", fails),
        ("string(claims.groups)", fails),
    ] {
        check(source, expected);
    }
}

#[test]
fn what_cel_computes_in_another_way_is_refused_at_load() {
    #[track_caller]
    fn check(source: &str, variable: Name, expected: &str) {
        let error = Compiler::new().compile(source, variable).unwrap_err();
        assert_eq!(error, format!("compilation failed: {expected}"), "{source}");
    }
    for (source, expected) in [
        ("sub", "undeclared reference to 'sub'"),
        ("user.username", "undeclared reference to 'user'"),
        ("claims.groups.map(g, h)", "undeclared reference to 'h'"),
        ("lists.range(9)", "undeclared reference to 'range'"),
        (
            "'%s'.format([claims.sub])",
            "undeclared reference to 'format'",
        ),
        (
            "timestamp(claims.exp)",
            "undeclared reference to 'timestamp'",
        ),
        ("max(1, 2)", "undeclared reference to 'max'"),
        ("url(claims.sub)", "undeclared reference to 'url'"),
        ("cel.bind(x, 1, x)", "undeclared reference to 'bind'"),
        (
            "claims.sub.replace('a', claims.sub)",
            "the arguments of replace must be literals",
        ),
        (
            "claims.sub.split(claims.sub)",
            "the arguments of split must be literals",
        ),
        (
            "claims.sub.split('')",
            "the separator of split must not be empty",
        ),
        (
            "claims.a__dot__b",
            "escaped field 'a__dot__b' is not supported: use an index, as in claims['a.b']",
        ),
        (
            "claims.?__in__",
            "escaped field '__in__' is not supported: use an index, as in claims['a.b']",
        ),
        ("claims.X{}", "objects are not supported"),
        (
            "claims.g.all(a, claims.g.all(b, claims.g.all(c, claims.g.all(d, d == a))))",
            "may not nest more than 3 iterations",
        ),
    ] {
        check(source, Name::Claims, expected);
    }
    check("user.name", Name::User, "undefined field 'name'");
    check("user['name']", Name::User, "undefined field 'name'");
    check("claims.sub", Name::User, "undeclared reference to 'claims'");
    let deep = vec!["1"; 100].join(" + ");
    check(&deep, Name::Claims, "may not have more than 24 levels");
    let long = format!("'{}'", "a".repeat(MAX_BYTES));
    let error = Compiler::new().compile(&long, Name::Claims).unwrap_err();
    assert_eq!(error, "may not be more than 8192 bytes");
}

#[test]
fn syntax_errors_name_their_place() {
    let error = Compiler::new()
        .compile("claims.", Name::Claims)
        .unwrap_err();
    assert!(
        error.starts_with("compilation failed: ERROR: <input>:1:"),
        "{error}"
    );
    assert!(!error.contains('\n'));
}

#[test]
fn rules_must_be_booleans_by_their_form() {
    let compiler = Compiler::new();
    let rule = |source: &str| compiler.compile_rule(source, Name::Claims).map(|_| ());
    for source in [
        "true",
        "claims.a == 1",
        "claims.a && claims.b",
        "!claims.a",
        "has(claims.a)",
        "claims.a.all(x, x == 1)",
        "claims.a.exists(x, x.b)",
        "claims.a.exists_one(x, x == 1)",
        "claims.a.startsWith('b')",
        "claims.?a.hasValue()",
        "'a' in claims.b",
        "claims.a == 1 ? true : has(claims.b)",
        "sets.contains(claims.a, ['b'])",
        "claims.?email_verified.orValue(true) == true",
    ] {
        assert_eq!(rule(source), Ok(()), "{source}");
    }
    for source in [
        "claims.a",
        "'true'",
        "claims.?a.orValue(true)",
        "claims.a.map(x, true)",
        "claims.a ? true : claims.b",
        "[true]",
        "1",
    ] {
        let refused = Err("must evaluate to bool".to_owned());
        assert_eq!(rule(source), refused, "{source}");
    }
}

#[test]
fn a_large_token_ends_no_thread() {
    let claims = json!({ "groups": vec!["a".repeat(10); 1500], "text": "a,".repeat(10_000) });
    let compiler = Compiler::new();
    let problem = |source: &str| {
        let expression = compiler.compile(source, Name::Claims).unwrap();
        let result = expression.evaluate(&Variable::new(Name::Claims, &claims));
        result.map_err(|error| error.problem)
    };
    let much = Err("has too much to compute for this token".to_owned());
    assert_eq!(
        problem("claims.groups.all(a, claims.groups.all(b, b == a))"),
        much
    );
    assert_eq!(problem("claims.groups.all(a, a in claims.groups)"), much);
    assert_eq!(problem("claims.text.split(',').map(a, a)"), much);
    assert_eq!(
        problem("claims.groups.all(a, a in ['aaaaaaaaaa'])"),
        Ok(Value::Bool(true))
    );
    assert_eq!(
        problem("claims.text.split(',').size()"),
        Ok(Value::Int(10_001))
    );
}

#[test]
fn fields_of_the_claims_are_found() {
    let compiler = Compiler::new();
    let selects = |source: &str| {
        let expression = compiler.compile(source, Name::Claims).unwrap();
        expression.selects(Name::Claims, "email")
    };
    for source in [
        "claims.email",
        "claims.?email.orValue('')",
        "'a' + claims.email.b",
        "has(claims.email) ? 'a' : 'b'",
        "claims.a.map(x, claims.email)",
        "{'a': [claims.email]}",
    ] {
        assert!(selects(source), "{source}");
    }
    for source in [
        "claims.a.email",
        "claims['email']",
        "claims.mail",
        "'email'",
    ] {
        assert!(!selects(source), "{source}");
    }
}

/// The deepest expression is evaluated on a small stack.
#[test]
fn the_deepest_expression_fits_the_stack() {
    let deep = format!("{}claims.sub == 'alice'{}", "!(".repeat(20), ")".repeat(20));
    let sum = vec!["1"; 23].join(" + ");
    for source in [deep, sum] {
        let expression = Compiler::new().compile(&source, Name::Claims).unwrap();
        let evaluated = std::thread::Builder::new()
            .stack_size(1280 * 1024)
            .spawn(move || {
                let claims = claims();
                expression
                    .evaluate(&Variable::new(Name::Claims, &claims))
                    .is_ok()
            });
        assert!(evaluated.unwrap().join().unwrap());
    }
}

#[test]
fn no_text_exhausts_the_stack_of_the_parser() {
    for (part, end) in [
        ("(", ""),
        ("-!", "1"),
        ("a?a:", "a"),
        ("[0]", ""),
        ("!", "true"),
        ("-", "1"),
        ("[", ""),
        ("{'a':", ""),
        ("claims.a(", ""),
        ("true ? true : ", "true"),
        ("true && ", "true"),
        ("1 + ", "1"),
        ("claims.a[", ""),
        ("claims.", "a"),
        ("a.", "a"),
        ("1+", "1"),
        ("a.?", "a"),
        ("has(", ""),
        ("claims.all(a, ", "a"),
    ] {
        let source = format!("{}{end}", part.repeat(MAX_BYTES / part.len() - 2));
        // The result does not matter: some of these are valid and shallow.
        let _ = Compiler::new().compile(&source, Name::Claims);
    }
}
