//! Fuzz target for ID tokens and key sets: no claim is accepted that no key has signed.

use ::fuzz::Target;
use jiff::Timestamp;

use crate::claims::{Claims, Refusal};
use crate::config::Config;
use crate::fixtures::{EC, NOW, RSA, claims, key_set, options};
use crate::id_token::IdToken;
use crate::key_set::KeySet;

#[test]
fn id_tokens() {
    let config = Config::new(options()).unwrap();
    let keys = KeySet::from_json(key_set(&[&RSA, &EC]).to_string().as_bytes()).unwrap();
    let minted = [&*RSA, &*EC].map(|key| key.sign(&key.header(), &claims()));
    let now = Timestamp::from_second(NOW).unwrap();
    let check = |token: &IdToken<'_>| {
        let header = token.header(&config.algorithms)?;
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
    let header = token.header(&config.algorithms).unwrap();
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
