use serde_json::{Value, json};

use super::*;

/// Returns a valid issuer.
fn issuer() -> Value {
    json!({
        "issuer": {"url": "https://idp.example.com", "audiences": ["kubectl"]},
        "claimMappings": {"username": {"claim": "sub", "prefix": ""}},
    })
}

fn file(jwt: &[Value]) -> Value {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": jwt,
    })
}

fn parse(file: &Value) -> Result<Vec<Config>, String> {
    let surroundings = Surroundings {
        unbound: vec!["ci".to_owned()],
        disallowed_issuers: vec!["https://kubeconfigs.example.com".to_owned()],
    };
    let parsed = AuthenticationConfiguration::parse(&file.to_string(), &surroundings);
    let parsed = parsed.map(AuthenticationConfiguration::into_issuers);
    parsed.map_err(|error| error.to_string())
}

/// Sets a field of the valid issuer, by JSON pointer, and checks the error.
#[track_caller]
fn check(pointer: &str, value: Value, expected: &str) {
    let mut jwt = issuer();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    jwt.pointer_mut(parent).unwrap()[field] = value;
    let error = parse(&file(&[jwt])).unwrap_err();
    assert_eq!(error, expected, "{pointer}");
}

#[test]
fn valid_files_are_accepted() {
    assert!(parse(&file(&[])).unwrap().is_empty());
    let mut jwt = issuer();
    jwt["issuer"]["audiences"] = json!(["kubectl", "ci"]);
    jwt["issuer"]["audienceMatchPolicy"] = json!("MatchAny");
    jwt["issuer"]["discoveryURL"] = json!("https://idp.internal/.well-known/openid-configuration");
    let mut both = file(&[jwt]);
    both["apiVersion"] = json!("apiserver.config.k8s.io/v1beta1");
    let configs = parse(&both).unwrap();
    assert_eq!(configs.len(), 1);
    assert!(configs[0].accepts_unbound("ci"));
    assert!(!configs[0].accepts_unbound("kubectl"));
    assert_eq!(
        configs[0].discovery_url.as_deref(),
        Some("https://idp.internal/.well-known/openid-configuration")
    );
}

#[test]
fn files_of_another_form_are_refused() {
    let mut other = file(&[issuer()]);
    other["apiVersion"] = json!("apiserver.config.k8s.io/v2");
    other["kind"] = json!("AdmissionConfiguration");
    let expected = "[apiVersion: Unsupported value: \"apiserver.config.k8s.io/v2\": supported values: \"apiserver.config.k8s.io/v1\", \"apiserver.config.k8s.io/v1beta1\", kind: Unsupported value: \"AdmissionConfiguration\": supported values: \"AuthenticationConfiguration\"]";
    assert_eq!(parse(&other).unwrap_err(), expected);
    let mut anonymous = file(&[]);
    anonymous["anonymous"] = json!({"enabled": true});
    let expected = "anonymous: Forbidden: is not supported: anonymous callers reach only the health checks and the public documents";
    assert_eq!(parse(&anonymous).unwrap_err(), expected);
    for field in ["/spec", "/issuer/urls", "/claimMappings/username/claims"] {
        let mut jwt = issuer();
        let (parent, name) = field.rsplit_once('/').unwrap();
        jwt.pointer_mut(parent).unwrap()[name] = json!("x");
        let error = parse(&file(&[jwt])).unwrap_err();
        assert!(
            error.contains(&format!("unknown field `{name}`")),
            "{error}"
        );
        assert!(!error.contains('\n'));
    }
}

#[test]
fn issuers_are_checked_as_kubernetes_does() {
    let url = "/issuer/url";
    check(url, json!(""), "jwt[0].issuer.url: Required value");
    for (value, why) in [
        ("http://idp", "URL scheme must be https"),
        (
            "https://a@idp",
            "URL must not contain a username or password",
        ),
        ("https://idp?a=b", "URL must not contain a query"),
        ("https://idp#a", "URL must not contain a fragment"),
        (
            "https://kubeconfigs.example.com",
            "URL must not overlap with disallowed issuers: [https://kubeconfigs.example.com]",
        ),
    ] {
        let expected = format!("jwt[0].issuer.url: Invalid value: \"{value}\": {why}");
        check(url, json!(value), &expected);
    }
    check(
        "/issuer/discoveryURL",
        json!("https://idp.example.com/"),
        "jwt[0].issuer.discoveryURL: Invalid value: \"https://idp.example.com/\": discoveryURL must be different from URL",
    );
    check(
        "/issuer/audiences",
        json!([]),
        "jwt[0].issuer.audiences: Required value: at least one jwt[0].issuer.audiences is required",
    );
    check(
        "/issuer/audiences",
        json!(["a", "a"]),
        "[jwt[0].issuer.audiences[1]: Duplicate value: \"a\", jwt[0].issuer.audienceMatchPolicy: Invalid value: \"\": audienceMatchPolicy must be MatchAny for multiple audiences]",
    );
    check(
        "/issuer/audiences",
        json!([""]),
        "jwt[0].issuer.audiences[0]: Required value",
    );
    check(
        "/issuer/audienceMatchPolicy",
        json!("MatchAll"),
        "jwt[0].issuer.audienceMatchPolicy: Invalid value: \"MatchAll\": audienceMatchPolicy must be empty or MatchAny for single audience",
    );
    check(
        "/issuer/certificateAuthority",
        json!("x"),
        "jwt[0].issuer.certificateAuthority: Invalid value: \"<omitted>\": the CA bundle contains no certificate",
    );
    check(
        "/issuer/egressSelectorType",
        json!("cluster"),
        "jwt[0].issuer.egressSelectorType: Forbidden: is not supported: set HTTPS_PROXY and NO_PROXY in the environment of the server",
    );
}

#[test]
fn issuers_are_unique_and_few() {
    let error = parse(&file(&[issuer(), issuer()])).unwrap_err();
    assert_eq!(
        error,
        "jwt[1].issuer.url: Duplicate value: \"https://idp.example.com\""
    );
    let discovered = |name: &str| {
        let mut jwt = issuer();
        jwt["issuer"]["url"] = json!(format!("https://{name}"));
        jwt["issuer"]["discoveryURL"] = json!("https://discovery");
        jwt
    };
    let error = parse(&file(&[discovered("a"), discovered("b")])).unwrap_err();
    assert_eq!(
        error,
        "jwt[1].issuer.discoveryURL: Duplicate value: \"https://discovery\""
    );
    let many: Vec<Value> = vec![issuer(); 65];
    let error = parse(&file(&many)).unwrap_err();
    assert_eq!(error, "jwt: Too many: 65: must have at most 64 items");
}

#[test]
fn claim_rules_are_checked_as_kubernetes_does() {
    let rules = "/claimValidationRules";
    let at = "jwt[0].claimValidationRules";
    for (rule, expected) in [
        (
            json!([{}]),
            "[0]: Required value: claim or expression is required",
        ),
        (
            json!([{"claim": "a", "expression": "true"}]),
            "[0]: Invalid value: \"a\": claim and expression can't both be set",
        ),
        (
            json!([{"claim": "a", "message": "b"}]),
            "[0].message: Invalid value: \"b\": may not be specified when claim is set",
        ),
        (
            json!([{"expression": "true", "requiredValue": "b"}]),
            "[0].requiredValue: Invalid value: \"b\": may not be specified when expression is set",
        ),
        (
            json!([{"claim": "a"}, {"claim": "a"}]),
            "[1].claim: Duplicate value: \"a\"",
        ),
        (
            json!([{"expression": "true"}, {"expression": "true"}]),
            "[1].expression: Duplicate value: \"true\"",
        ),
        (
            json!([{"expression": "claims.a"}]),
            "[0].expression: Invalid value: \"claims.a\": must evaluate to bool",
        ),
        (
            json!([{"expression": "user.a == 1"}]),
            "[0].expression: Invalid value: \"user.a == 1\": compilation failed: undeclared reference to 'user'",
        ),
    ] {
        check(rules, rule, &format!("{at}{expected}"));
    }
    let at = "jwt[0].userValidationRules";
    for (rule, expected) in [
        (json!([{}]), "[0].expression: Required value"),
        (
            json!([{"expression": "true"}, {"expression": "true"}]),
            "[1].expression: Duplicate value: \"true\"",
        ),
        (
            json!([{"expression": "user.username"}]),
            "[0].expression: Invalid value: \"user.username\": must evaluate to bool",
        ),
    ] {
        check("/userValidationRules", rule, &format!("{at}{expected}"));
    }
}

#[test]
fn claim_mappings_are_checked_as_kubernetes_does() {
    let at = "jwt[0].claimMappings";
    let prefix = "prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing";
    let email = "Invalid value: \"claims.email\": claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression";
    for (field, value, expected) in [
        (
            "username",
            json!({}),
            "username: Required value: claim or expression is required".to_owned(),
        ),
        (
            "username",
            json!({"claim": "a"}),
            format!("username.{prefix}"),
        ),
        ("groups", json!({"claim": "a"}), format!("groups.{prefix}")),
        (
            "username",
            json!({"claim": "a", "prefix": "", "expression": "claims.a"}),
            "username: Invalid value: \"\": claim and expression can't both be set".to_owned(),
        ),
        (
            "groups",
            json!({"prefix": "b", "expression": "claims.a"}),
            "groups.prefix: Invalid value: \"b\": may not be specified when expression is set"
                .to_owned(),
        ),
        (
            "uid",
            json!({"claim": "a", "expression": "claims.a"}),
            "uid: Invalid value: \"\": claim and expression can't both be set".to_owned(),
        ),
        (
            "username",
            json!({"expression": "claims.email"}),
            format!("username.expression: {email}"),
        ),
    ] {
        let pointer = format!("/claimMappings/{field}");
        check(&pointer, value, &format!("{at}.{expected}"));
    }
}

#[test]
fn extra_keys_are_checked_as_kubernetes_does() {
    let value = "claims.a";
    let kubernetes = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use";
    let ours = "cattle.io and its subdomains are reserved for this server";
    let path = "must be a domain-prefixed path (such as \"acme.io/foo\")";
    for (key, expected) in [
        ("", "Required value".to_owned()),
        ("foo", format!("Invalid value: \"foo\": {path}")),
        ("/foo", format!("Invalid value: \"/foo\": {path}")),
        ("acme.io/", format!("Invalid value: \"acme.io/\": {path}")),
        ("acme.io/A", "Invalid value: \"acme.io/A\": must be lowercase".to_owned()),
        ("k8s.io/a", format!("Invalid value: \"k8s.io/a\": {kubernetes}")),
        (
            "authentication.kubernetes.io/credential-id",
            format!("Invalid value: \"authentication.kubernetes.io/credential-id\": {kubernetes}"),
        ),
        ("ext.cattle.io/a", format!("Invalid value: \"ext.cattle.io/a\": {ours}")),
        (
            "acme.io/ä",
            "Invalid value: \"ä\": Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')".to_owned(),
        ),
    ] {
        check(
            "/claimMappings/extra",
            json!([{"key": key, "valueExpression": value}]),
            &format!("jwt[0].claimMappings.extra[0].key: {expected}"),
        );
    }
    check(
        "/claimMappings/extra",
        json!([{"key": "acme.io/a", "valueExpression": value}, {"key": "acme.io/a", "valueExpression": value}]),
        "jwt[0].claimMappings.extra[1].key: Duplicate value: \"acme.io/a\"",
    );
    check(
        "/claimMappings/extra",
        json!([{"key": "acme.io/a"}]),
        "jwt[0].claimMappings.extra[0].valueExpression: Required value",
    );
    check(
        "/claimMappings/extra",
        json!([{"key": "notk8s.io/a", "valueExpression": "a"}]),
        "jwt[0].claimMappings.extra[0].valueExpression: Invalid value: \"a\": compilation failed: undeclared reference to 'a'",
    );
}

/// The example of docs/login.md, for people and GitHub Actions.
#[test]
fn the_example_of_the_documentation_is_valid() {
    let page = include_str!("../../../../docs/login.md");
    let lines = page
        .lines()
        .skip_while(|line| *line != "    apiVersion: apiserver.config.k8s.io/v1");
    let example: Vec<&str> = lines.map_while(|line| line.strip_prefix("    ")).collect();
    let parsed = AuthenticationConfiguration::parse(&example.join("\n"), &Surroundings::default());
    let issuers = parsed.unwrap().into_issuers();
    let urls: Vec<&str> = issuers.iter().map(Config::issuer).collect();
    let expected = [
        "https://login.example.com",
        "https://token.actions.githubusercontent.com",
    ];
    assert_eq!(urls, expected);
    assert_eq!(issuers[1].claim_rules.len(), 1);
}
