use jiff::{SignedDuration, Timestamp};

use super::*;

const LIFE: SignedDuration = SignedDuration::from_hours(24);

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn authority() -> Authority {
    Authority::create("test", Validity::starting(now(), LIFE)).unwrap()
}

fn serving(authority: &Authority) -> Pair {
    let names = ["a.b.svc", "10.0.0.1", "[::1]"].into_iter().collect();
    let validity = Validity::starting(now(), LIFE);
    authority.serving("server", &names, validity).unwrap()
}

#[test]
fn a_serving_certificate_says_what_was_asked_for() {
    let authority = authority();
    let pair = serving(&authority);
    let leaf = pair.read().unwrap();
    assert_eq!(leaf.subject, "CN=server");
    assert_eq!(leaf.issuer, "CN=test");
    assert_eq!(leaf.validity, Validity::starting(now(), LIFE));
    assert_eq!(
        leaf.names,
        ["10.0.0.1", "a.b.svc", "::1"].into_iter().collect()
    );
    assert!(!leaf.is_authority);
    assert!(leaf.is_signed_by(authority.certificate()));
}

#[test]
fn a_client_certificate_has_an_organization_for_each_group() {
    let authority = authority();
    for (groups, expected) in [
        (&[][..], "CN=ali,ce"),
        (&["team-a"], "O=team-a, CN=ali,ce"),
        (&["t\u{e9}am", "b", "a"], "O=t\u{e9}am, O=b, O=a, CN=ali,ce"),
    ] {
        let validity = Validity::starting(now(), LIFE);
        let pair = authority.client("ali,ce", groups, validity).unwrap();
        let leaf = pair.read().unwrap();
        assert_eq!(leaf.subject, expected);
        assert_eq!(leaf.validity, validity);
        assert!(!leaf.is_authority);
        assert!(leaf.is_signed_by(authority.certificate()));
    }
}

#[test]
fn an_authority_of_the_same_name_did_not_sign() {
    let leaf = serving(&authority()).read().unwrap();
    assert!(!leaf.is_signed_by(authority().certificate()));
}

#[test]
fn a_stored_authority_goes_on_signing() {
    let first = authority();
    let stored = Authority::from_pem(first.certificate_pem(), &first.key()).unwrap();
    let leaf = serving(&stored).read().unwrap();
    assert!(leaf.is_signed_by(first.certificate()));
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let (one, other) = (authority(), authority());
    let leaf = serving(&one);
    let error = |certificate: &str, key: &PrivateKeyPem| {
        Authority::from_pem(certificate, key)
            .err()
            .unwrap()
            .to_string()
    };
    let pem = one.certificate_pem();
    let mismatch = "the certificate and the key do not match";
    assert_eq!(error(pem, &other.key()), mismatch);
    assert_eq!(error(&leaf.certificate, &leaf.key), "not a CA certificate");
    let nothing = PrivateKeyPem::new(String::new());
    assert_eq!(error(pem, &nothing), "not a PEM-encoded private key");
    assert_eq!(error("", &one.key()), "not a PEM-encoded certificate");
    let cut = &pem[..pem.len() / 2];
    assert_eq!(error(cut, &one.key()), "not a PEM-encoded certificate");
    let swapped = Pair {
        key: other.key(),
        ..leaf
    };
    assert_eq!(swapped.read().unwrap_err().to_string(), mismatch);
}

#[test]
fn a_bundle_holds_all_certificates_or_is_refused() {
    let (one, other) = (authority(), authority());
    let bundle = format!("{}{}", one.certificate_pem(), other.certificate_pem());
    let read = Certificate::bundle_from_pem(bundle.as_bytes()).unwrap();
    let expected = [one.certificate().clone(), other.certificate().clone()];
    assert_eq!(read, expected);
    let cut = &bundle.as_bytes()[..bundle.len() - 40];
    assert!(Certificate::bundle_from_pem(cut).is_err());
    assert!(Certificate::bundle_from_pem(b"").is_err());
}
