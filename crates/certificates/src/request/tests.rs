use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use x509_parser::parse_x509_certificate;

use super::*;
use crate::{Authority, Certificate, Names, Validity};

/// Returns a request that asks for every privilege.
fn greedy(key: &KeyPair) -> String {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "system:admin");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "system:masters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::Any,
    ];
    params.subject_alt_names = vec![SanType::DnsName("kubernetes".try_into().unwrap())];
    params.serialize_request(key).unwrap().pem().unwrap()
}

#[test]
fn only_the_key_of_a_request_counts() {
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let authority = Validity::starting(now, SignedDuration::from_hours(24));
    let authority = Authority::create("test", authority).unwrap();
    let key = KeyPair::generate().unwrap();
    let request = CertificateRequest::from_pem(&greedy(&key)).unwrap();

    let validity = Validity::starting(now, SignedDuration::from_mins(10));
    let pem = authority
        .client_for("alice", &[], &request, validity)
        .unwrap();

    let leaf = Certificate::from_pem(pem.as_bytes()).unwrap();
    assert_eq!(leaf.subject, "CN=alice");
    assert_eq!(leaf.validity, validity);
    assert_eq!(leaf.names, Names::default());
    assert_eq!(leaf.public_key, key.subject_public_key_info());
    assert!(!leaf.is_authority);
    assert!(leaf.is_signed_by(authority.certificate()));
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    let (_, parsed) = parse_x509_certificate(&block.contents).unwrap();
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert_eq!(
        (usage.client_auth, usage.server_auth, usage.any),
        (true, false, false)
    );
}

#[test]
fn what_is_no_request_is_refused() {
    let request = greedy(&KeyPair::generate().unwrap());
    let certificate = CertificateParams::default();
    let certificate = certificate.self_signed(&KeyPair::generate().unwrap());
    let cases = [
        String::new(),
        "hello".to_owned(),
        certificate.unwrap().pem(),
        format!("{request}{request}"),
        request.replace("-----END", "-----"),
    ];
    for text in cases {
        let error = CertificateRequest::from_pem(&text).unwrap_err();
        assert!(matches!(error, Error::NoRequest), "{text}");
    }
}

#[test]
fn a_request_that_its_key_did_not_sign_is_refused() {
    let text = greedy(&KeyPair::generate().unwrap());
    let mut blocks = Pem::iter_from_buffer(text.as_bytes());
    let mut der = blocks.next().unwrap().unwrap().contents;
    let name = der.windows(12).position(|bytes| bytes == b"system:admin");
    der[name.unwrap()] ^= 1;
    let changed = format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        STANDARD.encode(&der)
    );
    let error = CertificateRequest::from_pem(&changed).unwrap_err();
    assert!(matches!(error, Error::NoRequest));
}

#[test]
fn keys_of_every_usual_kind_are_taken() {
    for kind in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let key = KeyPair::generate_for(kind).unwrap();
        assert!(
            CertificateRequest::from_pem(&greedy(&key)).is_ok(),
            "{kind:?}"
        );
    }
}
