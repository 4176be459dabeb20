use std::collections::BTreeMap;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};

use super::*;
use crate::delegated::fixtures::clock;
use crate::request_headers::NoHeaders;

/// 2020-01-01, the first second of all certificates in these tests, in seconds since 1970.
const START: u64 = 1_577_836_800;
/// 2030-01-01, their last second.
const END: u64 = 1_893_456_000;
const NOW: u64 = START + 1000;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn params(names: &[(DnType, &str)]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in names {
        params.distinguished_name.push(kind.clone(), *value);
    }
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 1);
    params
}

fn authority_params() -> CertificateParams {
    let mut params = params(&[(DnType::CommonName, "ca")]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    CertifiedIssuer::self_signed(authority_params(), key).unwrap()
}

fn intermediate(parent: &Authority) -> Authority {
    let mut params = authority_params();
    params
        .distinguished_name
        .push(DnType::CommonName, "intermediate");
    let key = KeyPair::generate().unwrap();
    CertifiedIssuer::signed_by(params, key, parent).unwrap()
}

fn leaf(issuer: &Authority, params: &CertificateParams) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    params.signed_by(&key, issuer).unwrap().der().clone()
}

fn alice() -> CertificateParams {
    params(&[
        (DnType::OrganizationName, "dev"),
        (DnType::CommonName, "alice"),
        (
            DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 57683, 2]),
            "u-1",
        ),
    ])
}

fn verifier(authorities: &[&Authority]) -> ClientCertificateVerifier {
    let bundle: Vec<_> = authorities.iter().map(|ca| ca.der().clone()).collect();
    ClientCertificateVerifier::new(&bundle).unwrap()
}

fn at(secs: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(secs))
}

/// Returns the name of the proven user, or the reason that the chain is invalid.
fn outcome(
    verifier: &ClientCertificateVerifier,
    chain: &[CertificateDer<'static>],
    secs: u64,
) -> Result<String, String> {
    let user = verifier.verify(chain, at(secs));
    user.map(|user| user.name)
        .map_err(|reason| reason.to_string())
}

fn refused(reason: &str) -> Result<String, String> {
    Err(format!("invalid peer certificate: {reason}"))
}

#[test]
fn subject_of_a_trusted_certificate_is_the_user() {
    let ca = authority();
    let certificate = leaf(&ca, &alice());
    let hex: String = fingerprint(&certificate)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let expected = UserInfo {
        name: "alice".to_owned(),
        uid: "u-1".to_owned(),
        groups: vec!["dev".to_owned()],
        extra: BTreeMap::from([(
            "authentication.kubernetes.io/credential-id".to_owned(),
            vec![format!("X509SHA256={hex}")],
        )]),
    };
    let verifier = verifier(&[&ca]);
    let chain = [certificate];
    assert_eq!(verifier.verify(&chain, at(NOW)), Ok(expected.clone()));
    assert_eq!(verifier.verify(&chain, at(NOW)), Ok(expected));
}

#[test]
fn last_common_name_and_all_organizations_count() {
    let certificate = bundle_from_pem(include_bytes!("../../testdata/subject.pem")).unwrap();
    let fingerprint = Fingerprint::default();
    let user = subject::user_of(&certificate[0], &fingerprint).unwrap();
    let expected = UserInfo {
        name: "alice".to_owned(),
        uid: "u-1".to_owned(),
        groups: vec!["dev".to_owned(), "ops".to_owned()],
        extra: user.extra.clone(),
    };
    assert_eq!(user, expected);
}

#[test]
fn subject_with_two_uids_is_refused() {
    let certificate = bundle_from_pem(include_bytes!("../../testdata/two-uids.pem")).unwrap();
    let refused = subject::user_of(&certificate[0], &Fingerprint::default());
    let reason = "the subject of the certificate has an empty uid or more than one";
    assert_eq!(refused, Err(FailureReason::new(reason)));
}

#[test]
fn extended_key_usage_must_be_client_auth_or_open() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let ca = authority();
    let verifier = verifier(&[&ca]);
    let verify = |usages: &[ExtendedKeyUsagePurpose]| {
        let mut params = alice();
        params.extended_key_usages = usages.to_vec();
        outcome(&verifier, &[leaf(&ca, &params)], NOW)
    };
    assert_eq!(verify(&[]), Ok("alice".to_owned()));
    assert_eq!(verify(&[ClientAuth]), Ok("alice".to_owned()));
    assert_eq!(verify(&[ServerAuth, ClientAuth]), Ok("alice".to_owned()));
    assert!(verify(&[ServerAuth]).is_err());
}

#[test]
fn certificate_counts_only_within_its_validity() {
    let ca = authority();
    let verifier = verifier(&[&ca]);
    let chain = [leaf(&ca, &alice())];
    #[track_caller]
    fn check(
        verifier: &ClientCertificateVerifier,
        chain: &[CertificateDer<'static>],
        secs: u64,
        is_valid: bool,
    ) {
        assert_eq!(outcome(verifier, chain, secs).is_ok(), is_valid, "{secs}");
    }
    check(&verifier, &chain, START - 1, false);
    check(&verifier, &chain, START, true);
    check(&verifier, &chain, END, true);
    check(&verifier, &chain, END + 1, false);
    check(&verifier, &chain, START - 1, false);
}

#[test]
fn foreign_and_self_signed_certificates_are_refused() {
    let (ours, theirs) = (authority(), authority());
    let verifier = verifier(&[&ours]);
    let foreign = outcome(&verifier, &[leaf(&theirs, &alice())], NOW);
    assert_eq!(foreign, refused("BadSignature"));
    let key = KeyPair::generate().unwrap();
    let self_signed = alice().self_signed(&key).unwrap().der().clone();
    assert_eq!(
        outcome(&verifier, &[self_signed], NOW),
        refused("UnknownIssuer")
    );
    let garbage = CertificateDer::from(vec![1, 2, 3]);
    assert_eq!(outcome(&verifier, &[garbage], NOW), refused("BadEncoding"));
}

#[test]
fn intermediates_come_from_the_client() {
    let root = authority();
    let middle = intermediate(&root);
    let certificate = leaf(&middle, &alice());
    let alone = outcome(&verifier(&[&root]), std::slice::from_ref(&certificate), NOW);
    assert_eq!(alone, refused("UnknownIssuer"));
    let chain = [certificate, middle.der().clone()];
    assert_eq!(
        outcome(&verifier(&[&root]), &chain, NOW),
        Ok("alice".to_owned())
    );
}

#[test]
fn certificate_without_a_common_name_is_refused() {
    let ca = authority();
    let no_name = "the subject of the certificate has no common name";
    for names in [
        &[][..],
        &[(DnType::OrganizationName, "dev")],
        &[(DnType::CommonName, "")],
    ] {
        let chain = [leaf(&ca, &params(names))];
        assert_eq!(
            outcome(&verifier(&[&ca]), &chain, NOW),
            Err(no_name.to_owned())
        );
    }
}

#[test]
fn new_bundle_acts_at_once_on_known_certificates_too() {
    let (old, new) = (authority(), authority());
    let verifier = verifier(&[&old]);
    let chain = [leaf(&old, &alice())];
    assert_eq!(outcome(&verifier, &chain, NOW), Ok("alice".to_owned()));
    verifier
        .replace(&[old.der().clone(), new.der().clone()])
        .unwrap();
    assert_eq!(outcome(&verifier, &chain, NOW), Ok("alice".to_owned()));
    verifier.replace(&[new.der().clone()]).unwrap();
    assert_eq!(outcome(&verifier, &chain, NOW), refused("BadSignature"));
    verifier.replace(&[]).unwrap();
    let nobody = "no certificate authority is trusted".to_owned();
    assert_eq!(outcome(&verifier, &chain, NOW), Err(nobody));
}

#[test]
fn damaged_bundle_keeps_the_former() {
    let ca = authority();
    let verifier = verifier(&[&ca]);
    let garbage = CertificateDer::from(vec![1, 2, 3]);
    let error = verifier.replace(&[garbage]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the CA bundle contains an invalid certificate"
    );
    let chain = [leaf(&ca, &alice())];
    assert_eq!(outcome(&verifier, &chain, NOW), Ok("alice".to_owned()));
}

#[tokio::test]
async fn only_a_presented_certificate_is_judged() {
    let ca = authority();
    let (trusted, foreign) = (leaf(&ca, &alice()), leaf(&authority(), &alice()));
    let authenticator = ClientCertificate::new(Arc::new(verifier(&[&ca])), clock());
    let ask = async |certificates: &[CertificateDer<'static>]| {
        let credentials = Credentials {
            certificates,
            bearer: None,
            headers: &NoHeaders,
        };
        authenticator.authenticate(&credentials).await
    };
    assert_eq!(ask(&[]).await, Authentication::NotRequested);
    let failed = Authentication::failed("invalid peer certificate: BadSignature");
    assert_eq!(ask(&[foreign]).await, failed);
    let issued = Timestamp::from_second(START as i64).unwrap();
    let Authentication::Authenticated(identity) = ask(&[trusted]).await else {
        panic!("the certificate is not accepted");
    };
    assert_eq!(identity.login(), Some(&Login::by_certificate(issued)));
}

#[test]
fn bundles_share_an_authority_by_its_key() {
    let (ours, theirs) = (authority(), authority());
    let renewed = {
        let mut params = params(&[(DnType::CommonName, "renewed")]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(ours.key()).unwrap().der().clone()
    };
    let share = |other: &[CertificateDer<'static>]| {
        share_an_authority(&[ours.der().clone()], other).unwrap()
    };
    assert!(share(&[theirs.der().clone(), ours.der().clone()]));
    assert!(share(&[renewed]));
    assert!(!share(&[theirs.der().clone()]));
    assert!(!share(&[]));
}
