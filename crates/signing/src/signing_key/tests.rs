use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    KeyError, KeySchedule, SIGNATURE_BYTES, SigningKey, SigningKeyRecord, low_s::tests::twin,
};
use crate::secret::SecretString;

fn schedule() -> KeySchedule {
    KeySchedule {
        created: "2026-01-01T00:00:00Z".parse().unwrap(),
        activates: "2026-01-02T00:00:00Z".parse().unwrap(),
        retires: "2026-04-02T00:00:00Z".parse().unwrap(),
        expires: "2026-07-01T00:00:10Z".parse().unwrap(),
    }
}

fn record() -> SigningKeyRecord {
    SigningKeyRecord::generate(schedule()).unwrap()
}

fn key() -> SigningKey {
    SigningKey::load(&record()).unwrap()
}

#[test]
fn a_record_survives_the_store() {
    let record = record();
    let stored: Value = serde_json::to_value(&record).unwrap();
    assert_eq!(
        stored,
        json!({
            "kid": record.kid,
            "pkcs8": record.pkcs8.expose(),
            "created": "2026-01-01T00:00:00Z",
            "activates": "2026-01-02T00:00:00Z",
            "retires": "2026-04-02T00:00:00Z",
            "expires": "2026-07-01T00:00:10Z",
        })
    );
    let read: SigningKeyRecord = serde_json::from_value(stored).unwrap();
    assert_eq!(read, record);
    let message = b"minted before the restart";
    let signature = SigningKey::load(&record).unwrap().sign(message).unwrap();
    assert!(
        SigningKey::load(&read)
            .unwrap()
            .verifies(message, &signature)
    );
}

#[test]
fn debug_output_holds_no_private_key() {
    let record = record();
    let private = record.pkcs8.expose();
    let key = SigningKey::load(&record).unwrap();
    for printed in [format!("{record:?}"), format!("{key:?}")] {
        assert!(printed.contains(&record.kid), "{printed}");
        assert!(!printed.contains(&private[60..80]), "{printed}");
    }
}

#[test]
fn every_key_is_another() {
    assert_ne!(record().kid, record().kid);
}

#[test]
fn a_damaged_record_is_refused() {
    #[track_caller]
    fn check(pkcs8: String) {
        let mut record = record();
        record.pkcs8 = SecretString::new(pkcs8);
        let expected = KeyError::Malformed {
            kid: record.kid.clone(),
        };
        assert_eq!(SigningKey::load(&record).unwrap_err(), expected);
    }
    let whole = record().pkcs8.expose().to_owned();
    check(String::new());
    check("not base64".to_owned());
    check(whole[..whole.len() / 2].to_owned());
    let other_curve = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    check(STANDARD.encode(other_curve.to_pkcs8v1().unwrap()));
}

#[test]
fn a_key_under_a_foreign_name_is_refused() {
    let mut record = record();
    record.kid = key().kid().to_string();
    let expected = KeyError::ForeignName {
        kid: record.kid.clone(),
    };
    assert_eq!(SigningKey::load(&record).unwrap_err(), expected);
}

#[test]
fn a_signature_is_of_one_key_and_one_message() {
    let (key, other) = (key(), key());
    let signature = key.sign(b"message").unwrap();
    assert!(key.verifies(b"message", &signature));
    assert!(!key.verifies(b"massage", &signature));
    assert!(!other.verifies(b"message", &signature));
}

#[test]
fn of_two_signatures_that_ecdsa_accepts_only_the_lower_is_ours() {
    let key = key();
    for round in 0..32_u8 {
        let signature = key.sign(&[round]).unwrap();
        let twin = twin(&signature);
        assert!(key.public.verify_sig(&[round], &twin).is_ok());
        assert!(key.verifies(&[round], &signature));
        assert!(!key.verifies(&[round], &twin));
    }
}

#[test]
fn a_signature_of_another_length_is_refused() {
    let key = key();
    let signature = key.sign(b"message").unwrap();
    for length in 0..SIGNATURE_BYTES {
        assert!(!key.verifies(b"message", &signature[..length]), "{length}");
    }
    assert!(!key.verifies(b"message", &[&signature[..], &[0]].concat()));
    assert!(!key.verifies(b"message", &[0; SIGNATURE_BYTES]));
}
