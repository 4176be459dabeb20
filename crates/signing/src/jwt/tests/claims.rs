//! The claims, one by one. All of these tokens have a valid signature: only the types and values of
//! their claims differ.

use serde_json::{Value, json};

use super::{ISSUER, Issuer, NOW, Refusal, TTL_SECS, good_claims, good_json};
use crate::jwt::Claims;

const MALFORMED: Refusal = Refusal::Claims("not an object of the right types");
const NO_LIFETIME: Refusal = Refusal::Claims("no lifetime");
const STRANGE_TIME: Refusal = Refusal::Claims("a time out of range");
const TIMES: [&str; 3] = ["exp", "nbf", "iat"];

#[track_caller]
fn check_json(claims: &str, expected: Result<Claims, Refusal>) {
    let issuer = Issuer::new();
    let token = issuer.forge(issuer.header().as_bytes(), claims.as_bytes());
    assert_eq!(issuer.verify(&token), expected, "{claims}");
}

/// Verifies a token in which one claim has this value.
#[track_caller]
fn check(name: &str, value: Value, expected: Result<Claims, Refusal>) {
    let mut claims = good_json();
    claims[name] = value;
    check_json(&claims.to_string(), expected);
}

#[test]
fn the_unchanged_claims_are_accepted() {
    check_json(&good_json().to_string(), Ok(good_claims()));
}

#[test]
fn every_claim_is_required() {
    for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"] {
        let mut claims = good_json();
        claims.as_object_mut().unwrap().remove(name);
        check_json(&claims.to_string(), Err(MALFORMED));
        check(name, Value::Null, Err(MALFORMED));
    }
}

#[test]
fn a_claim_occurs_once() {
    for (name, value) in good_json().as_object().unwrap() {
        let good = good_json().to_string();
        let good = good.strip_suffix('}').unwrap();
        check_json(&format!(r#"{good},"{name}":{value}}}"#), Err(MALFORMED));
        // The same name with its first character escaped.
        let escaped = format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..]);
        check_json(&format!(r#"{good},"{escaped}":{value}}}"#), Err(MALFORMED));
    }
    let good = good_json().to_string();
    let good = good.strip_suffix('}').unwrap();
    let twice = format!(r#"{good},"groups":[],"groups":["system:masters"]}}"#);
    check_json(&twice, Err(MALFORMED));
}

#[test]
fn times_are_integers() {
    for name in TIMES {
        let good = if name == "exp" { NOW + TTL_SECS } else { NOW };
        let float = [json!(good as f64), json!(good as f64 + 0.5), json!(1e300)];
        let other = [
            json!(good.to_string()),
            json!(""),
            json!([good]),
            json!({}),
            json!(true),
        ];
        for value in float.into_iter().chain(other) {
            check(name, value, Err(MALFORMED));
        }
        for text in [
            "1e400",
            "1e9",
            "-0",
            "18446744073709551616",
            "NaN",
            "0x7f",
            "1_0",
            "+1",
            "01",
        ] {
            let mut claims = good_json();
            claims[name] = json!("$value");
            let claims = claims.to_string().replace(r#""$value""#, text);
            check_json(&claims, Err(MALFORMED));
        }
    }
}

#[test]
fn times_are_of_this_era() {
    for name in TIMES {
        for time in [-1, i64::MIN, 253_370_764_800, i64::MAX] {
            check(name, json!(time), Err(STRANGE_TIME));
        }
        check(name, json!(u64::MAX), Err(MALFORMED));
    }
    let last = 253_370_764_799;
    let expected = Claims {
        exp: last,
        ..good_claims()
    };
    check("exp", json!(last), Ok(expected));
}

#[test]
fn a_token_has_a_lifetime() {
    check("exp", json!(NOW), Err(NO_LIFETIME));
    check("exp", json!(0), Err(NO_LIFETIME));
    check("nbf", json!(NOW + TTL_SECS), Err(NO_LIFETIME));
    check("iat", json!(NOW + TTL_SECS), Err(NO_LIFETIME));
    check(
        "exp",
        json!(NOW + 1),
        Ok(Claims {
            exp: NOW + 1,
            ..good_claims()
        }),
    );
    check(
        "nbf",
        json!(0),
        Ok(Claims {
            nbf: 0,
            ..good_claims()
        }),
    );
    check(
        "iat",
        json!(0),
        Ok(Claims {
            iat: 0,
            ..good_claims()
        }),
    );
}

#[test]
fn the_issuer_is_compared_exactly() {
    let others = [
        "https://kubeconfigs.example/",
        "https://KUBECONFIGS.example",
        "HTTPS://kubeconfigs.example",
        "http://kubeconfigs.example",
        "https://kubeconfigs.example:443",
        "https://kubeconfigs.example.evil.example",
        " https://kubeconfigs.example",
        "kubeconfigs.example",
    ];
    for other in others {
        check("iss", json!(other), Err(Refusal::Issuer));
    }
    check("iss", json!(""), Err(Refusal::Claims("no issuer")));
    for other in [json!([ISSUER]), json!({}), json!(1), json!(true)] {
        check("iss", other, Err(MALFORMED));
    }
}

#[test]
fn subject_and_id_are_texts() {
    for (name, refusal) in [("sub", "no subject"), ("jti", "no id")] {
        check(name, json!(""), Err(Refusal::Claims(refusal)));
        for other in [json!(["x"]), json!({"x": 1}), json!(7), json!(false)] {
            check(name, other, Err(MALFORMED));
        }
    }
}

#[test]
fn names_that_a_hop_would_change_are_refused() {
    let subject = Refusal::Claims("an invalid subject");
    let group = Refusal::Claims("an invalid group");
    for name in [
        " alice",
        "alice\u{a0}",
        "\tsystem:masters",
        "system\u{ff1a}masters",
    ] {
        check("sub", json!(name), Err(subject));
        check("groups", json!(["dev", name]), Err(group));
    }
}

#[test]
fn the_audience_is_one_text_or_many() {
    let expected = |aud: &[&str]| {
        let aud = aud.iter().map(ToString::to_string).collect();
        Ok(Claims {
            aud,
            ..good_claims()
        })
    };
    check("aud", json!("one"), expected(&["one"]));
    check("aud", json!(["one"]), expected(&["one"]));
    check("aud", json!(["one", "two"]), expected(&["one", "two"]));
    for none in [json!([]), json!(""), json!([""]), json!(["one", ""])] {
        check("aud", none, Err(Refusal::Claims("no audience")));
    }
    for other in [
        json!(1),
        json!({"0": "one"}),
        json!([1]),
        json!([["one"]]),
        json!(["one", null]),
    ] {
        check("aud", other, Err(MALFORMED));
    }
}

#[test]
fn groups_are_optional_texts() {
    let groups = vec!["devs".to_owned()];
    check(
        "groups",
        json!(["devs"]),
        Ok(Claims {
            groups,
            ..good_claims()
        }),
    );
    check("groups", json!([]), Ok(good_claims()));
    for other in [
        json!(null),
        json!("devs"),
        json!([1]),
        json!([["devs"]]),
        json!({"devs": 1}),
    ] {
        check("groups", other, Err(MALFORMED));
    }
}

/// Required so that a replica of the previous version accepts the tokens that the next version
/// mints.
#[test]
fn unknown_claims_are_ignored() {
    check(
        "kubernetes.io",
        json!({"namespace": "default"}),
        Ok(good_claims()),
    );
    check("EXP", json!("never"), Ok(good_claims()));
}
