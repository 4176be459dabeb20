//! Fuzz targets for ID tokens and key sets: no claim is accepted that no key has signed; and for
//! expressions: none panics, when the file is loaded or for a token.

use ::fuzz::Target;
use api::plugin::id_token::IdToken;
use jiff::Timestamp;
use serde_json::json;

use crate::claims::{Claims, Refusal};
use crate::config::Config;
use crate::expression::{Compiler, Name, Variable};
use crate::fixtures::{EC, NOW, RSA, claims, key_set, options};
use crate::id_token::Header;
use crate::key_set::KeySet;

#[test]
fn id_tokens() {
    let config = Config::new(options()).unwrap();
    let keys = KeySet::from_json(key_set(&[&RSA, &EC]).to_string().as_bytes()).unwrap();
    let minted = [&*RSA, &*EC].map(|key| key.sign(&key.header(), &claims()));
    let now = Timestamp::from_second(NOW).unwrap();
    let check = |token: &IdToken<'_>| {
        let header = Header::of(token, &config.algorithms)?;
        keys.verify(token, &header)?;
        let claims = token.claims().ok_or(Refusal::Header)?;
        Claims::verified(claims).user(&config, now)
    };
    let target = Target {
        name: "id_token",
        seeds: &[
            minted[0].as_bytes(),
            minted[1].as_bytes(),
            b"eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLmNvbSJ9.",
        ],
        dictionary: &[".", "=", "eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJub25lIn0"],
    };
    target.run_inputs(2000, |input| {
        let text = String::from_utf8_lossy(input);
        let Some(token) = IdToken::split(&text) else {
            return "no token".to_owned();
        };
        match check(&token) {
            Ok(user) => {
                let is_signed = |minted: &String| minted.starts_with(token.signed);
                assert!(minted.iter().any(is_signed), "{text}");
                assert_eq!(user.name, "alice");
                "ok".to_owned()
            }
            Err(refusal) => format!("{refusal:?}").chars().take(40).collect(),
        }
    });
}

#[test]
fn key_sets() {
    let document = key_set(&[&RSA, &EC]).to_string();
    let token = EC.sign(&EC.header(), &claims());
    let token = IdToken::split(&token).unwrap();
    let config = Config::new(options()).unwrap();
    let header = Header::of(&token, &config.algorithms).unwrap();
    let target = Target {
        name: "key_set",
        seeds: &[
            document.as_bytes(),
            br#"{"keys":[{"kty":"oct","k":"AA"},{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#,
        ],
        dictionary: &[
            "\"kty\":\"EC\"",
            "\"crv\":\"P-384\"",
            "\"use\":\"enc\"",
            "\"alg\":\"RS256\"",
            "\"kid\":null",
            "{}",
            ",",
        ],
    };
    target.run(|input| match KeySet::from_json(input) {
        Ok(keys) => format!("{:?}", keys.verify(&token, &header)),
        Err(error) => format!("{:?}", error.classify()),
    });
}

#[test]
fn expressions() {
    let compiler = Compiler::new();
    let claims = json!({
        "sub": "alice", "exp": 1.7e9, "n": -1, "roles": "a,b", "admin": true, "none": null,
        "groups": ["dev", "ops", 1], "map": { "a.b": { "c": ["d"] }, "text": "\u{e9}\u{1f600}" },
    });
    let target = Target {
        name: "expression",
        seeds: &[
            b"claims.exp - claims.n <= 86400 && !claims.sub.startsWith('system:')",
            b"claims.?map.?text.orValue('x').substring(0, 1) + string(int(claims.exp) / 3 % 2)",
            b"claims.groups.filter(g, type(g) == string).map(g, g + claims.sub[0])",
            b"claims.roles.split(',', 1).join('-').replace('a', 'b', -1).charAt(2)",
            b"has(claims.map.text) ? [?claims.?a, {?'b': claims[?'n'], 'c': 1u}] : -claims.n * 1.5e300",
            b"sets.contains(claims.groups, [1, 'dev']) || claims.sub.matches('^(a|b)*$') || 1 in claims.groups",
        ],
        dictionary: &[
            "claims", ".", "?", "[", "]", "{", "}", "(", ")", "'", "9223372036854775807", "-", "/ 0",
            "% 0", ".all(x, ", ".exists_one(x, ", ".indexOf(", ".lastIndexOf('a', ", "optional.of(",
            "size(", "uint(", "double('NaN')", "b'\\377'", "\\u00e9", "null", " == ", " ? ", " : ",
        ],
    };
    target.run(|input| {
        let text = String::from_utf8_lossy(input);
        let expression = match compiler.compile(&text, Name::Claims) {
            Ok(expression) => expression,
            Err(error) => return error.chars().take(60).collect(),
        };
        match expression.evaluate(&Variable::new(Name::Claims, &claims)) {
            Ok(value) => format!("{:?}", value.type_of()),
            Err(error) => error.to_string().rsplit(": ").next().unwrap().to_owned(),
        }
    });
}
