use auth::request_headers::NoHeaders;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use machinery::testing::ManualClock;
use serde_json::{Value, json};

use super::*;
use crate::config::{Config, Options};
use crate::fixtures::{CLIENT, EC, NOW, RSA, STRANGER, claims, encode, key_set, options, unsigned};
use crate::issuers::Network;
use crate::key_set::KeySet;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// Creates an authenticator whose provider has both keys and is unreachable.
fn authenticator(options: Options) -> OidcAuthenticator {
    let authority = certificates::Validity::starting(now(), jiff::SignedDuration::ZERO);
    let authority = certificates::Authority::create("test", authority).unwrap();
    let config = Config::new(Options {
        certificate_authority: Some(authority.certificate_pem().to_owned()),
        ..options
    });
    of_configs(vec![config.unwrap()])
}

/// Creates an authenticator whose providers all have both keys.
fn of_configs(configs: Vec<Config>) -> OidcAuthenticator {
    let issuers = Issuers::new(configs, Network::default()).unwrap();
    for config in issuers.configs() {
        let issuer = issuers.of(&config.issuer).unwrap();
        let keys = key_set(&[&RSA, &EC]).to_string();
        let keys = KeySet::from_json(keys.as_bytes()).unwrap();
        issuer.provider().set_keys(keys);
    }
    OidcAuthenticator::new(Arc::new(issuers), ManualClock::at(now()))
}

/// Returns the result without its login.
async fn ask(options: Options, bearer: &str) -> Authentication {
    let credentials = Credentials {
        certificates: &[],
        bearer: Some(bearer),
        headers: &NoHeaders,
    };
    without_login(authenticator(options).authenticate(&credentials).await)
}

fn without_login(answer: Authentication) -> Authentication {
    match answer {
        Authentication::Authenticated(identity) => Authentication::of(identity.into_user()),
        other => other,
    }
}

/// Checks that a changed token of alice is refused with this reason.
#[track_caller]
fn check_refused(options: Options, bearer: &str, why: &str) {
    // The authenticator waits for a missing key. The paused clock makes that wait take no time.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let answer = runtime.unwrap().block_on(ask(options, bearer));
    assert_eq!(answer, Authentication::failed(why));
}

/// Like `check_refused`, for a token with a valid signature.
#[track_caller]
fn check_claims(change: Value, why: &str) {
    check_refused(options(), &with(change), why);
}

/// Returns a token with these claims in place of the valid ones. A null removes the claim.
fn with(change: Value) -> String {
    let mut claims = claims();
    for (claim, value) in change.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    RSA.sign(&RSA.header(), &claims)
}

fn right(name: &str, groups: &[&str]) -> Authentication {
    Authentication::of(UserInfo {
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        ..UserInfo::named(name)
    })
}

#[tokio::test]
async fn a_token_of_the_provider_is_a_login() {
    for key in [&*RSA, &*EC] {
        let token = key.sign(&key.header(), &claims());
        assert_eq!(ask(options(), &token).await, right("alice", &[]));
    }
    let nameless = RSA.sign(&json!({ "alg": "RS256" }), &claims());
    assert_eq!(ask(options(), &nameless).await, right("alice", &[]));
    let several = with(json!({ "aud": ["other", CLIENT], "nbf": NOW + 60, "exp": NOW + 1 }));
    assert_eq!(ask(options(), &several).await, right("alice", &[]));
}

#[tokio::test]
async fn a_login_has_the_issuer_and_the_issue_time_of_its_token() {
    for (change, issued) in [
        (json!({}), NOW),
        (json!({ "iat": NOW - 60 }), NOW - 60),
        (json!({ "iat": null }), 0),
        (json!({ "iat": "now" }), 0),
    ] {
        let token = with(change);
        let credentials = Credentials {
            certificates: &[],
            bearer: Some(&token),
            headers: &NoHeaders,
        };
        let answer = authenticator(options()).authenticate(&credentials).await;
        let Authentication::Authenticated(identity) = answer else {
            panic!("{answer:?}");
        };
        let issued = Timestamp::from_second(issued).unwrap();
        let expected = Login::by_id_token("https://idp.example.com", issued);
        assert_eq!(identity.login(), Some(&expected));
    }
}

#[tokio::test]
async fn tokens_of_others_are_left_to_others() {
    let other = with(json!({ "iss": "https://other.example.com" }));
    for bearer in [
        "abc",
        "a.b.c",
        "a.b.c.d",
        &other,
        &with(json!({ "iss": null })),
    ] {
        let answer = ask(options(), bearer).await;
        assert_eq!(answer, Authentication::NotRequested, "{bearer}");
    }
}

#[test]
fn a_signature_that_is_not_the_providers_is_refused() {
    let none = format!("{}.", unsigned(&json!({ "alg": "none" }), &claims()));
    check_refused(options(), &none, "the token's algorithm is not allowed");

    let public = RSA.jwk["n"].as_str().unwrap().as_bytes();
    let header = json!({ "alg": "HS256", "kid": "rsa" });
    let signed = unsigned(&header, &claims());
    let secret = EncodingKey::from_secret(public);
    let signature = crypto::sign(signed.as_bytes(), &secret, Algorithm::HS256).unwrap();
    let confused = format!("{signed}.{signature}");
    check_refused(options(), &confused, "the token's algorithm is not allowed");

    let mismatch = "the token's signature does not match";
    let stranger = STRANGER.sign(&STRANGER.header(), &claims());
    check_refused(options(), &stranger, mismatch);
    let of_another_kind = EC.sign(&json!({ "alg": "ES256", "kid": "rsa" }), &claims());
    check_refused(options(), &of_another_kind, mismatch);
    let token = with(json!({}));
    let (signed, _) = token.rsplit_once('.').unwrap();
    check_refused(options(), &format!("{signed}."), mismatch);
    let (_, signature) = token.rsplit_once('.').unwrap();
    let mut claims = claims();
    claims["sub"] = json!("bob");
    let changed = format!("{}.{signature}", unsigned(&RSA.header(), &claims));
    check_refused(options(), &changed, mismatch);
}

#[test]
fn an_algorithm_that_was_not_allowed_is_refused() {
    let only_rsa = Options {
        signing_algs: vec!["RS256".to_owned()],
        ..options()
    };
    let token = EC.sign(&EC.header(), &claims());
    check_refused(only_rsa, &token, "the token's algorithm is not allowed");
    // The key names RS256 as its only algorithm, and the token uses another.
    let both = Options {
        signing_algs: vec!["RS256".to_owned(), "RS512".to_owned()],
        ..options()
    };
    let token = RSA.sign(&json!({ "alg": "RS512", "kid": "rsa" }), &claims());
    check_refused(both, &token, "the token's signature does not match");
}

#[test]
fn a_header_that_is_not_understood_is_refused() {
    let crit = json!({ "alg": "RS256", "kid": "rsa", "crit": ["b64"], "b64": true });
    let token = RSA.sign(&crit, &claims());
    check_refused(
        options(),
        &token,
        "the token's header has critical extensions that are not supported",
    );
    for header in [
        json!({ "kid": "rsa" }),
        json!({ "alg": 1 }),
        json!(["RS256"]),
    ] {
        let token = RSA.sign(&header, &claims());
        check_refused(options(), &token, "the token's header is malformed");
    }
    let twice = format!(
        "{}.{}",
        encode(br#"{"alg":"none","alg":"RS256"}"#),
        encode(claims().to_string().as_bytes())
    );
    check_refused(
        options(),
        &format!("{twice}.c2ln"),
        "the token's header is malformed",
    );
}

#[test]
fn a_key_that_the_provider_has_not_is_refused() {
    let token = RSA.sign(&json!({ "alg": "RS256", "kid": "other" }), &claims());
    check_refused(
        options(),
        &token,
        "the token's key is not a key of the provider",
    );
}

#[test]
fn a_token_for_somebody_else_or_another_time_is_refused() {
    let audience = "the token is for another client";
    for other in [
        json!("other"),
        json!(["other"]),
        json!([]),
        json!(null),
        json!({}),
    ] {
        check_claims(json!({ "aud": other }), audience);
    }
    let expired = "the token has expired or has no expiry";
    for over in [json!(NOW), json!(NOW - 1), json!(null), json!("9999999999")] {
        check_claims(json!({ "exp": over }), expired);
    }
    for later in [json!(NOW + 61), json!("1")] {
        check_claims(json!({ "nbf": later }), "the token is not yet valid");
    }
}

#[test]
fn a_token_without_a_name_is_refused() {
    for name in [json!(null), json!(1), json!(""), json!(["alice"])] {
        check_claims(
            json!({ "sub": name }),
            "claim sub is missing or is not a string",
        );
    }
}

#[tokio::test]
async fn an_address_counts_unless_the_provider_doubts_it() {
    let by_email = || Options {
        username_claim: "email".to_owned(),
        ..options()
    };
    let token =
        |verified: Value| with(json!({ "email": "a@example.com", "email_verified": verified }));
    for verified in [json!(null), json!(true)] {
        let answer = ask(by_email(), &token(verified)).await;
        assert_eq!(answer, right("a@example.com", &[]));
    }
    for doubted in [json!(false), json!("true"), json!(1)] {
        let answer = ask(by_email(), &token(doubted)).await;
        let why = "the e-mail address is not verified";
        assert_eq!(answer, Authentication::failed(why));
    }
    // The name comes from another claim, so the address need not be verified.
    let answer = ask(options(), &token(json!(false))).await;
    assert_eq!(answer, right("alice", &[]));
}

#[tokio::test]
async fn names_and_groups_get_their_prefixes() {
    let prefixed = || Options {
        username_prefix: Some("oidc.".to_owned()),
        groups_claim: "teams".to_owned(),
        groups_prefix: "team.".to_owned(),
        ..options()
    };
    for (teams, groups) in [
        (json!(["dev", "ops"]), &["team.dev", "team.ops"][..]),
        (json!("dev"), &["team.dev"]),
        (json!([]), &[]),
        (json!(null), &[]),
    ] {
        let answer = ask(prefixed(), &with(json!({ "teams": teams }))).await;
        assert_eq!(answer, right("oidc.alice", groups));
    }
    for teams in [json!(1), json!({ "dev": true }), json!(["dev", 1])] {
        let answer = ask(prefixed(), &with(json!({ "teams": teams }))).await;
        let why = "claim teams is neither a string nor a list of strings";
        assert_eq!(answer, Authentication::failed(why));
    }
}

#[test]
fn names_of_kubernetes_are_refused() {
    let with_groups = || Options {
        groups_claim: "groups".to_owned(),
        ..options()
    };
    let why = |name: &str| format!("{name:?} is reserved by Kubernetes");
    for name in ["system:admin", "system:", "system:admin\t"] {
        check_claims(json!({ "sub": name }), &why(name));
    }
    for group in ["system:masters", "system:authenticated", "system:masters\t"] {
        let token = with(json!({ "groups": ["dev", group] }));
        check_refused(with_groups(), &token, &why(group));
    }
    // Other spellings of reserved names, and characters that a header would lose.
    for (name, problem) in [
        (" system:admin", "must not begin or end with white space"),
        ("\u{a0}alice", "must not begin or end with white space"),
        (
            "System:admin",
            "must not be another spelling of a name that begins with \"system:\"",
        ),
        (
            "system\u{ff1a}admin",
            "must not be another spelling of a name that begins with \"system:\"",
        ),
        ("ali\u{202e}ce", "must not contain the character U+202E"),
    ] {
        check_claims(
            json!({ "sub": name }),
            &format!("user name {name:?} {problem}"),
        );
        let token = with(json!({ "groups": ["dev", name] }));
        check_refused(with_groups(), &token, &format!("group {name:?} {problem}"));
    }
    // The prefix and the claim together form a reserved name.
    let halves = Options {
        username_prefix: Some("system:".to_owned()),
        ..options()
    };
    check_refused(halves, &with(json!({})), &why("system:alice"));
}

#[test]
fn required_claims_are_required() {
    let required = || Options {
        required_claims: [("tenant".to_owned(), "blue".to_owned())].into(),
        ..options()
    };
    for other in [json!("red"), json!("Blue"), json!("")] {
        let token = with(json!({ "tenant": other }));
        check_refused(
            required(),
            &token,
            "claim tenant does not have the required value",
        );
    }
    for none in [json!(null), json!(["blue"]), json!(true)] {
        let token = with(json!({ "tenant": none }));
        check_refused(
            required(),
            &token,
            "claim tenant is missing or is not a string",
        );
    }
}

#[test]
fn a_token_that_is_too_long_is_nobodys() {
    let long = with(json!({ "name": "a".repeat(64 * 1024) }));
    assert!(IdToken::split(&long).is_none());
}

/// Binding to one server, as the plugin does it.
mod binding {
    use api::plugin::ServerUrl;
    use api::plugin::login_binding::LoginBinding;

    use super::*;

    const REAL: &str = "https://real.example";
    const EVIL: &str = "https://evil.example";

    struct Headers(Vec<(&'static str, Vec<u8>)>);

    impl RequestHeaders for Headers {
        fn entries(&self) -> Box<dyn Iterator<Item = (&str, &[u8])> + '_> {
            Box::new(self.0.iter().map(|(name, value)| (*name, value.as_slice())))
        }
    }

    fn binding() -> LoginBinding {
        LoginBinding::new([7; 32])
    }

    /// Returns the nonce of a login to this server.
    fn nonce(server: &str) -> Value {
        json!(binding().nonce(&server.parse::<ServerUrl>().unwrap()))
    }

    /// Authenticates at the server [`REAL`], which accepts unbound tokens of these clients.
    fn answer(unbound: &[&str], bearer: &str, sent: Vec<&[u8]>) -> Authentication {
        let headers = sent
            .into_iter()
            .map(|value| ("Kubeconfig-Login-Binding", value.to_vec()));
        let headers = Headers(headers.collect());
        let unbound = unbound.iter().map(|&client| client.to_owned());
        let authenticator = authenticator(Options {
            unbound_client_ids: unbound.collect(),
            ..options()
        });
        let authenticator = authenticator.bound_to(Arc::new(|| REAL.parse().ok()));
        let credentials = Credentials {
            certificates: &[],
            bearer: Some(bearer),
            headers: &headers,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        let asked = authenticator.authenticate(&credentials);
        without_login(runtime.unwrap().block_on(asked))
    }

    #[track_caller]
    fn check(unbound: &[&str], bearer: &str, sent: &[&str], expected: Result<(), &str>) {
        let sent = sent.iter().map(|value| value.as_bytes()).collect();
        let expected = match expected {
            Ok(()) => right("alice", &[]),
            Err(why) => Authentication::failed(why),
        };
        assert_eq!(answer(unbound, bearer, sent), expected);
    }

    const UNBOUND: &str = "the token is not bound to this server, and its client is not listed in --oidc-unbound-client-ids";
    const ELSEWHERE: &str = "the token was issued for a login at another server";
    const MALFORMED: &str = "the header kubeconfig-login-binding is malformed";

    #[test]
    fn a_token_of_a_login_for_another_server_is_refused() {
        let random = binding().encode();
        let bound = with(json!({ "nonce": nonce(REAL) }));
        check(&[], &bound, &[&random], Ok(()));
        let elsewhere = with(json!({ "nonce": nonce(EVIL) }));
        let other = LoginBinding::new([8; 32]).encode();
        for (bearer, sent) in [
            (&elsewhere, vec![random.as_str()]),
            (&elsewhere, vec![]),
            (&bound, vec![other.as_str()]),
            (&bound, vec![]),
        ] {
            check(&[], bearer, &sent, Err(ELSEWHERE));
            // The same holds if the administrator lists the client as unbound, because the plugin
            // binds its tokens anyway.
            check(&[CLIENT], bearer, &sent, Err(ELSEWHERE));
        }
    }

    #[test]
    fn a_token_without_binding_is_accepted_for_named_clients_only() {
        let random = binding().encode();
        for nonce in [json!(null), json!("of another program"), json!(5)] {
            let bearer = with(json!({ "nonce": nonce }));
            check(&[], &bearer, &[], Err(UNBOUND));
            check(&[], &bearer, &[&random], Err(UNBOUND));
            check(&["other"], &bearer, &[], Err(UNBOUND));
            check(&[CLIENT], &bearer, &[], Ok(()));
        }
        let of_other = with(json!({ "aud": "kubelogin" }));
        check(&["kubelogin"], &of_other, &[], Ok(()));
        check(&[], &of_other, &[], Err("the token is for another client"));
        let of_both = with(json!({ "aud": ["kubelogin", CLIENT] }));
        check(&["kubelogin"], &of_both, &[], Err(UNBOUND));
        check(&["kubelogin", CLIENT], &of_both, &[], Ok(()));
    }

    #[test]
    fn a_refreshed_token_needs_the_token_of_its_login() {
        let random = binding().encode();
        let refreshed = with(json!({ "nonce": null, "iat": NOW + 1 }));
        let login = |change: Value| {
            let mut claims = json!({ "nonce": nonce(REAL), "exp": NOW - 3600 });
            let change = change.as_object().unwrap().clone();
            claims.as_object_mut().unwrap().extend(change);
            format!("{random}.{}", with(claims))
        };
        check(&[], &refreshed, &[&login(json!({}))], Ok(()));
        for (change, why) in [
            (json!({ "nonce": nonce(EVIL) }), ELSEWHERE),
            (json!({ "nonce": null }), ELSEWHERE),
            (
                json!({ "sub": "bob" }),
                "the ID token of the login belongs to another user",
            ),
            (
                json!({ "sub": null }),
                "the ID token of the login belongs to another user",
            ),
            (json!({ "aud": "other" }), "the token is for another client"),
            (
                json!({ "iss": "https://other.example.com" }),
                "the ID token of the login has a different issuer",
            ),
        ] {
            check(&[], &refreshed, &[&login(change.clone())], Err(why));
            check(&[CLIENT], &refreshed, &[&login(change)], Err(why));
        }
        let signed = login(json!({}));
        let (signed, _) = signed.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{}", encode(b"forged"));
        check(
            &[],
            &refreshed,
            &[&forged],
            Err("the token's signature does not match"),
        );
        let malformed = format!("{random}.abc");
        let why = "the ID token of the login is malformed";
        check(&[], &refreshed, &[&malformed], Err(why));
    }

    #[test]
    fn a_header_of_another_form_is_refused() {
        let random = binding().encode();
        let bound = with(json!({ "nonce": nonce(REAL) }));
        for sent in [vec![""], vec!["abc"], vec![&random, &random]] {
            check(&[], &bound, &sent, Err(MALFORMED));
            check(&[CLIENT], &with(json!({})), &sent, Err(MALFORMED));
        }
        let binary = answer(&[], &bound, vec![b"\xff"]);
        assert_eq!(binary, Authentication::failed(MALFORMED));
    }

    #[test]
    fn the_header_does_not_travel_on() {
        let plain = authenticator(options());
        assert!(!plain.reads_header("kubeconfig-login-binding"));
        let bound = plain.bound_to(Arc::new(|| None));
        assert!(bound.reads_header("Kubeconfig-Login-Binding"));
        assert!(!bound.reads_header("authorization"));
    }
}

/// Issuers of a file.
mod file {
    use super::*;
    use crate::authentication_configuration::{AuthenticationConfiguration, Surroundings};

    const CI: &str = "https://ci.example.com";

    fn configs(jwt: Value) -> Vec<Config> {
        let file = json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
            "jwt": jwt,
        });
        let surroundings = Surroundings {
            unbound: vec!["open".to_owned()],
            ..Surroundings::default()
        };
        let file = AuthenticationConfiguration::parse(&file.to_string(), &surroundings);
        file.unwrap().into_issuers()
    }

    fn jwt(url: &str, change: Value) -> Value {
        let mut jwt = json!({
            "issuer": { "url": url, "audiences": [CLIENT, "open", "https://real.example"], "audienceMatchPolicy": "MatchAny" },
            "claimMappings": { "username": { "claim": "sub", "prefix": "" } },
        });
        let change = change.as_object().unwrap().clone();
        jwt.as_object_mut().unwrap().extend(change);
        jwt
    }

    async fn answer(authenticator: &OidcAuthenticator, bearer: &str) -> Authentication {
        let credentials = Credentials {
            certificates: &[],
            bearer: Some(bearer),
            headers: &NoHeaders,
        };
        without_login(authenticator.authenticate(&credentials).await)
    }

    /// Checks the user of a token of an issuer with these rules.
    #[track_caller]
    fn check(rules: Value, claims: Value, expected: Result<UserInfo, &str>) {
        let authenticator = of_configs(configs(json!([jwt("https://idp.example.com", rules)])));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        let bearer = with(claims);
        let answer = runtime.unwrap().block_on(answer(&authenticator, &bearer));
        let expected = match expected {
            Ok(user) => Authentication::of(user),
            Err(why) => Authentication::failed(why),
        };
        assert_eq!(answer, expected);
    }

    fn mapped(name: &str, value: Value) -> Value {
        let mut mappings = json!({ "username": { "claim": "sub", "prefix": "" } });
        mappings[name] = value;
        json!({ "claimMappings": mappings })
    }

    #[test]
    fn expressions_map_all_parts_of_a_user() {
        let rules = json!({ "claimMappings": {
            "username": { "expression": "'u:' + claims.sub" },
            "groups": { "expression": "claims.roles.split(',')" },
            "uid": { "expression": "claims.oid" },
            "extra": [
                { "key": "example.org/tenant", "valueExpression": "claims.tenant" },
                { "key": "example.org/none", "valueExpression": "''" },
            ],
        }});
        let claims = json!({ "roles": "a,,b", "oid": "7", "tenant": ["x", ""], "jti": "t1" });
        let user = UserInfo {
            name: "u:alice".to_owned(),
            uid: "7".to_owned(),
            groups: vec!["a".to_owned(), "b".to_owned()],
            extra: [
                ("authentication.kubernetes.io/credential-id", "JTI=t1"),
                ("example.org/tenant", "x"),
            ]
            .map(|(key, value)| (key.to_owned(), vec![value.to_owned()]))
            .into(),
        };
        check(rules, claims, Ok(user));
    }

    #[test]
    fn results_of_the_wrong_type_are_refused() {
        for (part, expression, problem) in [
            ("username", "claims.iat", "must return a string"),
            ("username", "''", "must not be empty"),
            ("uid", "claims.iat", "must return a string"),
            (
                "groups",
                "claims.iat",
                "must return a string or a list of strings",
            ),
            (
                "groups",
                "['a', claims.iat]",
                "must return a string or a list of strings",
            ),
            ("groups", "claims.none", "no such key: none"),
        ] {
            let why = format!("expression {expression:?}: {problem}");
            let rules = mapped(part, json!({ "expression": expression }));
            check(rules, json!({}), Err(&why));
        }
    }

    #[test]
    fn rules_about_claims_and_users_are_enforced() {
        let rule = json!({ "claimValidationRules": [
            { "expression": "claims.hd == 'a'", "message": "wrong domain" },
        ]});
        check(
            rule.clone(),
            json!({ "hd": "a" }),
            Ok(UserInfo::named("alice")),
        );
        let why = "the validation expression \"claims.hd == 'a'\" failed: wrong domain";
        check(rule.clone(), json!({ "hd": "b" }), Err(why));
        let why = "expression \"claims.hd == 'a'\": no such key: hd";
        check(rule, json!({}), Err(why));
        let rule = json!({ "userValidationRules": [
            { "expression": "user.username != 'bob'", "message": "no bob" },
        ]});
        check(rule.clone(), json!({}), Ok(UserInfo::named("alice")));
        let why = "the validation expression \"user.username != 'bob'\" failed: no bob";
        check(rule, json!({ "sub": "bob" }), Err(why));
    }

    #[test]
    fn expressions_give_no_name_of_kubernetes() {
        let rules = mapped(
            "username",
            json!({ "expression": "'system:' + claims.sub" }),
        );
        let why = "\"system:alice\" is reserved by Kubernetes";
        check(rules, json!({}), Err(why));
        let rules = mapped("groups", json!({ "expression": "['system:masters']" }));
        let why = "\"system:masters\" is reserved by Kubernetes";
        check(rules, json!({}), Err(why));
    }

    /// A provider that stores the groups elsewhere is never understood as one without groups.
    #[test]
    fn distributed_groups_are_refused() {
        let names = json!({ "_claim_names": { "groups": "src1" } });
        let why = "claim groups is distributed: the provider stores it at another address, which this server does not read";
        for mapping in [
            json!({ "claim": "groups", "prefix": "" }),
            json!({ "expression": "claims.?groups.orValue([])" }),
        ] {
            check(mapped("groups", mapping), names.clone(), Err(why));
        }
        let other = json!({ "claim": "roles", "prefix": "" });
        check(
            mapped("groups", other),
            names.clone(),
            Ok(UserInfo::named("alice")),
        );
        check(json!({}), names, Ok(UserInfo::named("alice")));
        let mut both = json!({ "_claim_names": { "groups": "src1" } });
        both["groups"] = json!(["dev"]);
        let user = UserInfo {
            groups: vec!["dev".to_owned()],
            ..UserInfo::named("alice")
        };
        let mapping = json!({ "claim": "groups", "prefix": "" });
        check(mapped("groups", mapping), both, Ok(user));
    }

    #[tokio::test(start_paused = true)]
    async fn each_issuer_has_rules_of_its_own() {
        let prefix =
            json!({ "claimMappings": { "username": { "claim": "sub", "prefix": "ci:" } } });
        let both = json!([jwt("https://idp.example.com", json!({})), jwt(CI, prefix)]);
        let authenticator = of_configs(configs(both));
        let person = with(json!({}));
        let workflow = with(json!({ "iss": CI }));
        assert_eq!(answer(&authenticator, &person).await, right("alice", &[]));
        assert_eq!(
            answer(&authenticator, &workflow).await,
            right("ci:alice", &[])
        );

        // An issuer that is removed is refused at once, and the other one keeps its keys.
        let one = configs(json!([jwt("https://idp.example.com", json!({}))]));
        authenticator.issuers.replace(one).unwrap();
        assert_eq!(answer(&authenticator, &person).await, right("alice", &[]));
        let refused = answer(&authenticator, &workflow).await;
        assert_eq!(refused, Authentication::NotRequested);

        // A provider at another address has no keys yet.
        let mut moved = jwt("https://idp.example.com", json!({}));
        moved["issuer"]["discoveryURL"] = json!("https://other.example.com");
        let moved = configs(json!([moved]));
        authenticator.issuers.replace(moved).unwrap();
        let why =
            "the keys of the provider are not available: the provider has not been reached yet";
        let refused = answer(&authenticator, &person).await;
        assert_eq!(refused, Authentication::failed(why));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_for_the_url_of_the_server_needs_no_binding() {
        let one = configs(json!([jwt("https://idp.example.com", json!({}))]));
        let authenticator = of_configs(one);
        let authenticator =
            authenticator.bound_to(Arc::new(|| "https://real.example".parse().ok()));
        let unbound = Authentication::failed(
            "the token is not bound to this server, and its client is not listed in --oidc-unbound-client-ids",
        );
        for (audience, expected) in [
            (json!("https://real.example"), right("alice", &[])),
            (json!([CLIENT, "https://real.example"]), right("alice", &[])),
            (json!("open"), right("alice", &[])),
            (json!(["open", CLIENT]), unbound.clone()),
            (json!(CLIENT), unbound.clone()),
        ] {
            let bearer = with(json!({ "aud": audience }));
            assert_eq!(
                answer(&authenticator, &bearer).await,
                expected,
                "{audience}"
            );
        }
        // A URL that is not an audience of the issuer names nothing.
        let mut other = jwt("https://idp.example.com", json!({}));
        other["issuer"]["audiences"] = json!([CLIENT]);
        authenticator
            .issuers
            .replace(configs(json!([other])))
            .unwrap();
        let bearer = with(json!({ "aud": [CLIENT, "https://real.example"] }));
        assert_eq!(answer(&authenticator, &bearer).await, unbound);
    }
}
