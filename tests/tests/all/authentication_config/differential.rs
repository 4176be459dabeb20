//! The same file and the same tokens at this server and at a real kube-apiserver: both see the same
//! users, and refuse the same tokens.

use std::time::Duration;

use e2e::host::issuer::Issuer;
use e2e::http::Client;
use e2e::poll;
use serde_json::{Map, Value, json};
use test_cluster::{Options, TestCluster};

use super::{ConfigurationFile, configuration, now, user};

/// The audience of all tokens.
const AUDIENCE: &str = "kubernetes";

/// Time limit for the first keys of an issuer.
const LIMIT: Duration = Duration::from_secs(20);

/// Two servers with the same file.
struct Servers {
    issuer: Issuer,
    ours: Client,
    theirs: Client,
    /// Both run while the clients are used.
    _running: (e2e::Server, TestCluster),
}

impl Servers {
    /// Starts servers with these issuers, by path. Each has one audience.
    fn start(issuers: &[(&str, Value)]) -> Self {
        let issuer = Issuer::start().unwrap();
        let complete = |(path, rules): &(&str, Value)| {
            let mut jwt = rules.clone();
            jwt["issuer"] = json!({
                "url": format!("{}/{path}", issuer.url()),
                "audiences": [AUDIENCE],
                "certificateAuthority": issuer.certificate(),
            });
            jwt
        };
        let jwt: Vec<Value> = issuers.iter().map(complete).collect();
        let server = ConfigurationFile::of(&jwt).start(&[AUDIENCE]);
        let options = Options {
            authentication_config: Some(configuration(&jwt)),
            ..Options::default()
        };
        let cluster = TestCluster::start(&options).unwrap();
        Self {
            issuer,
            ours: server.anonymous().unwrap(),
            theirs: cluster.admin().unwrap().without_credential(),
            _running: (server, cluster),
        }
    }

    /// Checks that both servers accept a token, once they have read the keys of its issuer.
    #[track_caller]
    fn check_accepted(&self, path: &str, claims: &Value) -> Value {
        let token = self.token(path, claims);
        let mut last = (Err(0), Err(0));
        let both = poll::until("both servers accept the token", LIMIT, || {
            let ours = user(&self.ours.with_token(&token));
            let theirs = user(&self.theirs.with_token(&token));
            last = (ours, theirs);
            Ok((last.0.is_ok() && last.1.is_ok()).then_some(()))
        });
        assert!(both.is_ok(), "{path} {claims}: {last:?}");
        let (ours, theirs) = last;
        assert_eq!(ours, theirs, "{path}: {claims}");
        ours.unwrap()
    }

    /// Checks that both servers see the same user in a token of an issuer with these claims, and
    /// returns that user.
    #[track_caller]
    fn check(&self, path: &str, claims: &Value) -> Result<Value, u16> {
        let token = self.token(path, claims);
        let ours = user(&self.ours.with_token(&token));
        let theirs = user(&self.theirs.with_token(&token));
        assert_eq!(ours, theirs, "{path}: {claims}");
        ours
    }

    #[track_caller]
    fn check_refused(&self, path: &str, claims: &Value) {
        assert_eq!(self.check(path, claims), Err(401), "{path}: {claims}");
    }

    /// Returns a token of an issuer with these claims. A null removes a claim.
    fn token(&self, path: &str, claims: &Value) -> String {
        let mut all = json!({
            "iss": format!("{}/{path}", self.issuer.url()),
            "aud": AUDIENCE,
            "sub": "alice",
            "exp": now() + 300,
        });
        for (claim, value) in claims.as_object().unwrap() {
            all[claim] = value.clone();
        }
        let fields = all.as_object_mut().unwrap();
        fields.retain(|_, value| *value != json!("(none)"));
        self.issuer.sign(&all).unwrap()
    }
}

/// The configuration of the documentation of Kubernetes, with other names. `map` is not in it: see
/// [`the_result_of_split_is_a_list_of_strings`].
fn documented() -> Value {
    json!({
        "claimValidationRules": [
            {"expression": "claims.hd == \"example.com\"", "message": "the hosted domain name must be example.com"},
            {"expression": "claims.exp - claims.nbf <= 86400", "message": "total token lifetime must not exceed 24 hours"},
        ],
        "claimMappings": {
            "username": {"expression": "claims.username + \":external-user\""},
            "groups": {"expression": "claims.roles.split(\",\").map(role, role)"},
            "uid": {"expression": "claims.sub"},
            "extra": [{"key": "example.com/tenant", "valueExpression": "claims.tenant"}],
        },
        "userValidationRules": [
            {"expression": "!user.username.startsWith('system:')", "message": "username cannot use reserved system: prefix"},
            {"expression": "user.groups.all(group, !group.startsWith('system:'))", "message": "groups cannot use reserved system: prefix"},
        ],
    })
}

/// Claims for [`documented`].
fn documented_claims(change: &Value) -> Value {
    let mut claims = json!({
        "jti": "7c337942807e73caa2c30c868ac0ce910bce02ddcbfebe8c23b8b5f27ad62873",
        "iat": now(), "nbf": now(), "hd": "example.com", "tenant": "72f988bf-86f1-41af-91ab-2d7cd011db4a",
        "roles": "user,admin", "username": "foo", "sub": "auth",
    });
    for (claim, value) in change.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    claims
}

#[test]
fn the_examples_of_the_documentation_have_the_same_results() {
    let by_claims = json!({
        "claimValidationRules": [{"claim": "tenant", "requiredValue": "blue"}, {"claim": "empty"}],
        "claimMappings": {
            "username": {"claim": "sub", "prefix": "oidc:"},
            "groups": {"claim": "groups", "prefix": "oidc:"},
            "uid": {"claim": "uid"},
        },
    });
    let by_email = json!({"claimMappings": {"username": {"claim": "email", "prefix": ""}}});
    let verified = json!({
        "claimValidationRules": [{"expression": "claims.?email_verified.orValue(true) == true"}],
        "claimMappings": {"username": {"expression": "claims.email"}},
    });
    let optional = json!({
        "claimMappings": {
            "username": {"expression": "claims.?preferred_username.orValue(claims.sub)"},
            "groups": {"expression": "claims.?realm_access.roles.orValue([])"},
            "uid": {"expression": "has(claims.oid) ? claims.oid : ''"},
            "extra": [
                {"key": "example.org/admin", "valueExpression": "(has(claims.is_admin) && claims.is_admin) ? \"true\":\"\""},
                {"key": "example.org/foo", "valueExpression": "'bar'"},
                {"key": "example.org/teams", "valueExpression": "claims.?teams.orValue(null)"},
            ],
        },
        "userValidationRules": [
            {"expression": "!('banned' in user.groups)"},
            {"expression": "!has(user.extra) || !('example.org/admin' in user.extra) || user.uid != ''"},
        ],
    });
    let servers = Servers::start(&[
        ("documented", documented()),
        ("claims", by_claims),
        ("email", by_email),
        ("verified", verified),
        ("optional", optional),
    ]);

    let foo = servers.check_accepted("documented", &documented_claims(&json!({})));
    let expected = json!({
        "username": "foo:external-user",
        "uid": "auth",
        "groups": ["user", "admin", "system:authenticated"],
        "extra": {
            "authentication.kubernetes.io/credential-id":
                ["JTI=7c337942807e73caa2c30c868ac0ce910bce02ddcbfebe8c23b8b5f27ad62873"],
            "example.com/tenant": ["72f988bf-86f1-41af-91ab-2d7cd011db4a"],
        },
    });
    assert_eq!(foo, expected);
    for accepted in [
        json!({"roles": ""}),
        json!({"roles": "user,,admin"}),
        json!({"roles": "one"}),
        json!({"tenant": ["a", "", "b"]}),
        json!({"tenant": ""}),
        json!({"tenant": null}),
        json!({"tenant": []}),
        json!({"jti": "(none)"}),
        json!({"jti": 5}),
        json!({"nbf": now() + 30}),
        json!({"exp": now() + 86400, "nbf": now()}),
        json!({"aud": ["other", AUDIENCE]}),
    ] {
        servers.check_accepted("documented", &documented_claims(&accepted));
    }
    for refused in [
        json!({"hd": "evil.com"}),
        json!({"hd": "(none)"}),
        json!({"hd": ["example.com"]}),
        json!({"username": "system:masters"}),
        json!({"roles": "user,system:masters"}),
        json!({"roles": ["user"]}),
        json!({"roles": "(none)"}),
        json!({"username": "(none)"}),
        json!({"username": 5}),
        json!({"tenant": {"a": "b"}}),
        json!({"tenant": ["a", 1]}),
        json!({"tenant": true}),
        json!({"sub": "(none)"}),
        json!({"sub": 5}),
        json!({"nbf": "(none)"}),
        json!({"exp": now() + 86400 * 2}),
        json!({"exp": now() - 1}),
        json!({"nbf": now() + 600}),
        json!({"aud": "other"}),
    ] {
        servers.check_refused("documented", &documented_claims(&refused));
    }

    let blue = |change: Value| {
        let mut claims = json!({"tenant": "blue", "empty": "", "uid": "u"});
        claims
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        claims
    };
    for accepted in [
        json!({}),
        json!({"groups": "dev"}),
        json!({"groups": ["dev", "ops"]}),
        json!({"groups": []}),
    ] {
        servers.check_accepted("claims", &blue(accepted));
    }
    for refused in [
        json!({"tenant": "red"}),
        json!({"tenant": ["blue"]}),
        json!({"tenant": "(none)"}),
        json!({"empty": "x"}),
        json!({"empty": "(none)"}),
        json!({"uid": 5}),
        json!({"uid": "(none)"}),
        json!({"groups": {"a": 1}}),
        json!({"groups": [1]}),
        json!({"sub": 1}),
    ] {
        servers.check_refused("claims", &blue(refused));
    }

    for path in ["email", "verified"] {
        for accepted in [json!({}), json!({"email_verified": true})] {
            let mut claims = accepted;
            claims["email"] = json!("a@example.com");
            servers.check_accepted(path, &claims);
        }
        for refused in [
            json!({"email": "a@example.com", "email_verified": false}),
            json!({"email": "a@example.com", "email_verified": "true"}),
            json!({"email_verified": true}),
        ] {
            servers.check_refused(path, &refused);
        }
    }

    for accepted in [
        json!({}),
        json!({"preferred_username": "bob", "realm_access": {"roles": ["a", "b"]}}),
        json!({"realm_access": {}}),
        json!({"realm_access": {"roles": "single"}}),
        json!({"is_admin": true, "oid": "x"}),
        json!({"is_admin": false}),
        json!({"teams": ["a", ""]}),
    ] {
        servers.check_accepted("optional", &accepted);
    }
    for refused in [
        json!({"preferred_username": 5}),
        json!({"preferred_username": ""}),
        json!({"realm_access": {"roles": [1]}}),
        json!({"realm_access": {"roles": ["banned"]}}),
        json!({"is_admin": true}),
        json!({"is_admin": "true"}),
        json!({"oid": 5}),
        json!({"teams": 5}),
    ] {
        servers.check_refused("optional", &refused);
    }
}

/// The documentation of Kubernetes has a mapping that kube-apiserver 1.36 refuses for every token,
/// because it does not recognise the list that `split` returns.
#[test]
fn the_result_of_split_is_a_list_of_strings() {
    let split = json!({"claimMappings": {
        "username": {"expression": "claims.sub"},
        "groups": {"expression": "claims.roles.split(',')"},
    }});
    let copied = json!({"claimMappings": {
        "username": {"expression": "claims.sub"},
        "groups": {"expression": "claims.roles.split(',').map(role, role)"},
    }});
    let servers = Servers::start(&[("split", split), ("copied", copied)]);
    let claims = json!({"roles": "user,admin"});
    let expected = servers.check_accepted("copied", &claims);
    let token = servers.token("split", &claims);
    assert_eq!(user(&servers.ours.with_token(&token)), Ok(expected));
    assert_eq!(user(&servers.theirs.with_token(&token)), Err(401));
}

/// The expressions of [`expressions_have_the_same_results`], over claims that each of them accepts.
const EXPRESSIONS: [&str; 46] = [
    "string(claims.big)",
    "string(claims.small) + string(claims.half)",
    "string(int(claims.big))",
    "string(claims.yes)",
    "string(1 + 2) + string(2u) + string(1.5)",
    "claims.text.upperAscii() + claims.text.lowerAscii()",
    "claims.text.charAt(1)",
    "claims.text.substring(1) + claims.text.substring(1, 3)",
    "claims.text.replace('a', 'o') + claims.text.replace('a', 'o', 1)",
    "string(claims.text.indexOf('a')) + string(claims.text.lastIndexOf('a'))",
    "claims.spaced.trim()",
    "claims.list.join('-') + claims.list.join()",
    "claims.text.split('a', 1).join('|')",
    "claims.text.split('a', 2).join('|')",
    "claims.text.matches('^b.n') ? 'y' : 'n'",
    "claims.text.contains('nan') && claims.text.endsWith('a') ? 'y' : 'n'",
    "claims.list + ['c']",
    "dyn(claims.list).filter(x, x != 'a')",
    "dyn(claims.list).map(x, x + '!')",
    "dyn(claims.list).map(x, x == 'a', x + '?')",
    "dyn(claims.list).exists_one(x, x == 'a') ? 'y' : 'n'",
    "claims.list[0] + claims['list'][1]",
    "claims.list.size() == 2 && size(claims.text) == 6 ? 'y' : 'n'",
    "dyn(claims.map).map(key, key).exists(key, key == 'k.1') ? 'y' : 'n'",
    "claims.map['k.1']",
    "claims.map[?'none'].orValue('y') + claims[?'none'].orValue('z')",
    "claims.?map.?inner.?x.orValue('none')",
    "claims.?text.hasValue() && !claims.?none.hasValue() ? 'y' : 'n'",
    "optional.of('a').or(optional.none()).value()",
    "optional.ofNonZeroValue('').orValue('empty')",
    "claims.big > 5 && claims.half < 1 && claims.small >= 3.0 && claims.small == 3 ? 'y' : 'n'",
    "claims.half * 2.0 + claims.small / 2.0 - 1.0 == 1.5 ? 'y' : 'n'",
    "type(claims.text) == string && type(claims.list) == list && type(claims.small) == double ? 'y' : 'n'",
    "claims.nothing == null ? 'y' : 'n'",
    "claims.text == claims.small ? 'y' : 'n'",
    "'a' in claims.list && !('k' in claims.map) ? 'y' : 'n'",
    "sets.contains(claims.list, ['a']) && sets.equivalent(claims.list, ['b', 'a', 'a']) ? 'y' : 'n'",
    "sets.intersects(claims.list, ['z']) ? 'y' : 'n'",
    "has(claims.map.inner) && !has(claims.map.outer) ? 'y' : 'n'",
    "[string(claims.text), 'a' + 'b']",
    "{'a': claims.text}['a']",
    "{'a': claims.text}.a",
    "claims.none == 1 || claims.yes ? 'y' : 'n'",
    "claims.no && claims.none == 1 ? 'y' : 'n'",
    "dyn(claims.list).all(x, x in ['a', 'b']) ? 'y' : 'n'",
    "dyn(claims.text) + string(double('1.5')) + string(int('7')) + string(bool('true'))",
];

#[test]
fn expressions_have_the_same_results() {
    let rules = |expression: &str| {
        json!({"claimMappings": {
            "username": {"expression": "claims.sub"},
            "extra": [{"key": "example.org/result", "valueExpression": expression}],
        }})
    };
    let paths: Vec<String> = (0..EXPRESSIONS.len())
        .map(|number| format!("e{number}"))
        .collect();
    let issuers = paths.iter().zip(EXPRESSIONS);
    let issuers: Vec<_> = issuers
        .map(|(path, text)| (path.as_str(), rules(text)))
        .collect();
    let servers = Servers::start(&issuers);
    let claims = json!({
        "text": "banana", "spaced": " a b ", "list": ["a", "b"], "map": {"k.1": "v", "inner": {"x": "deep"}},
        "big": 12345678, "small": 3, "half": 0.5, "yes": true, "no": false, "nothing": null,
    });
    // The same claims with values of other types, and without them.
    let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    let all = |value: Value| -> Value {
        let fields = names.iter().map(|name| ((*name).clone(), value.clone()));
        Value::Object(fields.collect::<Map<_, _>>())
    };
    let others = [
        all(json!("(none)")),
        all(json!("text")),
        all(json!("")),
        all(json!(7)),
        all(json!(-1.25e-9)),
        all(json!(true)),
        all(json!(null)),
        all(json!(["a", 1, {"x": null}])),
        all(json!([])),
        // One key only: kube-apiserver iterates over a map in any order.
        all(json!({"k.1": {"x": 1}})),
        all(json!({"inner": ["y"]})),
        all(json!("\u{e9}A-\u{1f600}a,b")),
    ];
    let mut differences = Vec::new();
    for (path, expression) in paths.iter().zip(EXPRESSIONS) {
        servers.check_accepted(path, &claims);
        for other in &others {
            let token = servers.token(path, other);
            let ours = user(&servers.ours.with_token(&token));
            let theirs = user(&servers.theirs.with_token(&token));
            if ours != theirs {
                let value = &other["text"];
                differences.push(format!("{expression} of {value}: {ours:?}, not {theirs:?}"));
            }
        }
    }
    assert_eq!(differences, Vec::<String>::new());
}
