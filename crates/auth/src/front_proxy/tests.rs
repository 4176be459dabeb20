use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};

use super::*;
use crate::delegated::fixtures::clock;
use crate::user::CREDENTIAL_ID;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Headers as sent.
struct Sent(Vec<(&'static str, &'static [u8])>);

impl RequestHeaders for Sent {
    fn entries(&self) -> Box<dyn Iterator<Item = (&str, &[u8])> + '_> {
        Box::new(self.0.iter().copied())
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 1);
    params
}

fn authority() -> Authority {
    let mut params = params("front-proxy-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn signed(issuer: &Authority, params: &CertificateParams) -> Vec<CertificateDer<'static>> {
    let key = KeyPair::generate().unwrap();
    vec![params.signed_by(&key, issuer).unwrap().der().clone()]
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn config(ca: &Authority) -> RequestHeaderConfig {
    RequestHeaderConfig {
        client_ca: vec![ca.der().clone()],
        allowed_names: owned(&["front-proxy-client"]),
        username_headers: owned(&["X-Remote-User"]),
        uid_headers: owned(&["X-Remote-Uid"]),
        group_headers: owned(&["X-Remote-Group"]),
        extra_header_prefixes: owned(&["X-Remote-Extra-"]),
    }
}

/// Creates a front proxy with a clock at the beginning of 2026. The certificates are valid from
/// 2020 to 2029.
fn front_proxy(config: RequestHeaderConfig) -> FrontProxy {
    FrontProxy::new(config, clock()).unwrap()
}

async fn ask(
    front_proxy: &FrontProxy,
    certificates: &[CertificateDer<'static>],
    headers: &[(&'static str, &'static [u8])],
) -> Authentication {
    let credentials = Credentials {
        certificates,
        bearer: None,
        headers: &Sent(headers.to_vec()),
    };
    front_proxy.authenticate(&credentials).await
}

fn alice() -> Authentication {
    by_host(UserInfo::named("alice"), "host")
}

/// Returns the result for a user whom the host logged in now.
fn by_host(user: UserInfo, source: &str) -> Authentication {
    let login = Login {
        source: source.to_owned(),
        issued: clock().now(),
    };
    Authentication::by_login(user, login)
}

const ALICE: &[(&str, &[u8])] = &[("x-remote-user", b"alice")];

#[tokio::test]
async fn user_is_who_the_headers_say_and_nothing_of_the_certificate() {
    let ca = authority();
    let mut proxy = params("front-proxy-client");
    let organization = DnType::OrganizationName;
    proxy.distinguished_name.push(organization, "proxies");
    let headers: &[(&str, &[u8])] = &[
        ("x-remote-user", "Zo\u{eb}".as_bytes()),
        ("X-Remote-Uid", b"u-1"),
        ("x-remote-group", b"dev"),
        ("x-remote-group", b"ops"),
        ("x-remote-group", b""),
        ("x-remote-extra-Scopes", b"read"),
        ("x-remote-extra-scopes", b"write"),
        ("X-REMOTE-EXTRA-example.com%2Ftenant%20ID", b"t"),
        ("x-remote-extra-bad%zz", b""),
        (
            "x-remote-extra-authentication.kubernetes.io%2fcredential-id",
            b"JTI=1",
        ),
        ("accept", b"\xff"),
    ];
    let extra = [
        ("scopes", &["read", "write"][..]),
        ("example.com/tenant id", &["t"]),
        ("bad%zz", &[""]),
        (CREDENTIAL_ID, &["JTI=1"]),
    ];
    let expected = UserInfo {
        name: "Zo\u{eb}".to_owned(),
        uid: "u-1".to_owned(),
        groups: owned(&["dev", "ops"]),
        extra: extra
            .map(|(key, values)| (key.to_owned(), owned(values)))
            .into(),
    };
    let outcome = ask(&front_proxy(config(&ca)), &signed(&ca, &proxy), headers).await;
    assert_eq!(outcome, by_host(expected, "host:JTI"));
}

#[tokio::test]
async fn certificate_decides_whether_the_headers_count() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let ca = authority();
    let front_proxy = front_proxy(config(&ca));
    let answer = async |issuer: &Authority, params: &CertificateParams| {
        ask(&front_proxy, &signed(issuer, params), ALICE).await
    };
    let proxy = params("front-proxy-client");
    let usages = |usages: &[ExtendedKeyUsagePurpose]| {
        let mut params = proxy.clone();
        params.extended_key_usages = usages.to_vec();
        params
    };
    let years = |from, to| {
        let mut params = proxy.clone();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        params
    };
    let failed = |outcome| matches!(outcome, Authentication::Failed(_));

    assert_eq!(
        ask(&front_proxy, &[], ALICE).await,
        Authentication::NotRequested
    );
    assert_eq!(answer(&ca, &proxy).await, alice());
    assert_eq!(answer(&ca, &usages(&[ClientAuth])).await, alice());
    assert!(failed(answer(&ca, &usages(&[ServerAuth])).await));
    assert!(failed(answer(&ca, &years(2020, 2021)).await));
    assert!(failed(answer(&ca, &years(2027, 2030)).await));
    assert!(failed(answer(&authority(), &proxy).await));
    let own_key = KeyPair::generate().unwrap();
    let self_signed = proxy.self_signed(&own_key).unwrap().der().clone();
    assert!(failed(ask(&front_proxy, &[self_signed], ALICE).await));
    let wrong = Authentication::failed("\"alice\" is not the name of a front proxy");
    assert_eq!(answer(&ca, &params("alice")).await, wrong);
}

#[tokio::test]
async fn any_name_is_allowed_where_none_is_named() {
    let ca = authority();
    let open = RequestHeaderConfig {
        allowed_names: Vec::new(),
        ..config(&ca)
    };
    let outcome = ask(&front_proxy(open), &signed(&ca, &params("x")), ALICE).await;
    assert_eq!(outcome, alice());
}

#[tokio::test]
async fn first_header_with_a_value_names_the_user() {
    let ca = authority();
    let proxy = signed(&ca, &params("front-proxy-client"));
    let two = RequestHeaderConfig {
        username_headers: owned(&["X-Remote-User", "X-User"]),
        ..config(&ca)
    };
    let front_proxy = front_proxy(two);
    let check = async |headers: &[(&'static str, &'static [u8])], expected: Authentication| {
        let outcome = ask(&front_proxy, &proxy, headers).await;
        assert_eq!(outcome, expected, "{headers:?}");
    };
    let nobody = Authentication::NotRequested;
    let no_text = Authentication::failed("a header of the front proxy is not valid UTF-8");
    check(&[], nobody.clone()).await;
    check(&[("x-remote-user", b"")], nobody.clone()).await;
    check(&[("x_remote_user", b"alice")], nobody.clone()).await;
    check(&[("x-remote-users", b"alice")], nobody.clone()).await;
    check(&[("x-remote-group", b"dev")], nobody).await;
    check(&[("X-REMOTE-user", b"alice")], alice()).await;
    check(
        &[("x-remote-user", b"alice"), ("x-remote-user", b"bob")],
        alice(),
    )
    .await;
    check(&[("x-user", b"bob"), ("x-remote-user", b"alice")], alice()).await;
    check(&[("x-remote-user", b""), ("x-user", b"alice")], alice()).await;
    check(&[("x-remote-user", b"\xff")], no_text.clone()).await;
    check(&[ALICE[0], ("x-remote-group", b"\xff")], no_text.clone()).await;
    check(&[ALICE[0], ("x-remote-extra-a", b"\xff")], no_text).await;
}

#[tokio::test]
async fn new_configuration_counts_at_once_and_a_bad_one_not_at_all() {
    let (old, new) = (authority(), authority());
    let front_proxy = front_proxy(config(&old));
    let names = "front-proxy-client";
    let chains = [signed(&old, &params(names)), signed(&new, &params(names))];
    let accepted = async || {
        let mut accepted = Vec::new();
        for chain in &chains {
            accepted.push(ask(&front_proxy, chain, ALICE).await == alice());
        }
        accepted
    };
    assert_eq!(accepted().await, [true, false]);
    let mut both = config(&old);
    both.client_ca.push(new.der().clone());
    front_proxy.replace(both).unwrap();
    assert_eq!(accepted().await, [true, true]);
    front_proxy.replace(config(&new)).unwrap();
    assert_eq!(accepted().await, [false, true]);

    let damaged = |damage: fn(&mut RequestHeaderConfig)| {
        let mut config = config(&old);
        damage(&mut config);
        front_proxy.replace(config).unwrap_err().to_string()
    };
    let errors = [
        damaged(|config| config.client_ca.clear()),
        damaged(|config| config.client_ca = vec![CertificateDer::from(vec![1, 2, 3])]),
        damaged(|config| config.username_headers.clear()),
        damaged(|config| config.extra_header_prefixes.push(String::new())),
        damaged(|config| config.group_headers.push("X Group".to_owned())),
    ];
    let expected = [
        "no CA is configured for the front proxy",
        "the CA of the front proxy cannot be used",
        "no header is configured for the user name",
        "invalid header name \"\"",
        "invalid header name \"X Group\"",
    ];
    assert_eq!(errors, expected);
    assert_eq!(accepted().await, [false, true]);
    assert_eq!(front_proxy.issuers().len(), 1);
}

#[tokio::test]
async fn names_that_a_hop_may_have_changed_are_refused() {
    let ca = authority();
    let front_proxy = front_proxy(config(&ca));
    let proxy = signed(&ca, &params("front-proxy-client"));
    for (headers, reason) in [
        (
            &[("x-remote-user", &b" system:admin"[..])][..],
            r#"user name " system:admin" must not begin or end with white space"#,
        ),
        (
            &[ALICE[0], ("x-remote-group", b"system:masters\t")],
            r#"group "system:masters\t" must not begin or end with white space"#,
        ),
        (
            &[ALICE[0], ("Upgrade", b"websocket")],
            "an upgrade request uses HTTP/1.1, which does not preserve white space around user names",
        ),
    ] {
        let outcome = ask(&front_proxy, &proxy, headers).await;
        assert_eq!(outcome, Authentication::failed(reason));
    }
}

#[test]
fn headers_that_are_read_are_known() {
    let ca = authority();
    let front_proxy = front_proxy(RequestHeaderConfig {
        username_headers: owned(&["X-User"]),
        ..config(&ca)
    });
    let read = |name| front_proxy.reads_header(name);
    assert!(["x-user", "X-USER", "x-remote-group", "x-remote-extra-a"].map(read) == [true; 4]);
    assert!(["x-remote-user", "x-user-", "x-remote-extr", "accept"].map(read) == [false; 4]);
}
