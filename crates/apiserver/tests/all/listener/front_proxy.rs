//! The authenticated user of a request at a real listener: raw requests, real certificates.

use std::sync::{Arc, Mutex};

use apiserver::GenericServer;
use apiserver::mount::{Access, MountedRequest, MountedService};
use async_trait::async_trait;
use auth::client_certificate::{ClientCertificate, ClientCertificateVerifier, bundle_from_pem};
use auth::front_proxy::{FrontProxy, RequestHeaderConfig};
use auth::{
    Attributes, Authentication, Authenticator, Authorizer, AuthorizerError, Credentials, Decision,
    Rules, UserInfo,
};
use axum::body::Body;
use http::Response;
use http_body_util::BodyExt;
use jiff::Timestamp;
use machinery::field_selector::FieldSelector;
use machinery::label_selector::LabelSelector;
use machinery::testing::ManualClock;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::service_fn;

use super::Listener;
use super::client::{Client, Version};
use super::identity::Identity;

/// 2026-01-01.
const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

type Authority = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 1);
    params
}

fn authority(name: &str) -> Authority {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn signed(issuer: &Authority, params: &CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    Identity {
        certificate: params.signed_by(&key, issuer).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

fn config(authorities: &[&Authority]) -> RequestHeaderConfig {
    let owned = |name: &str| vec![name.to_owned()];
    RequestHeaderConfig {
        client_ca: authorities.iter().map(|ca| ca.der().clone()).collect(),
        allowed_names: owned("front-proxy-client"),
        username_headers: owned("X-Remote-User"),
        uid_headers: owned("X-Remote-Uid"),
        group_headers: owned("X-Group"),
        extra_header_prefixes: owned("X-Remote-Extra-"),
    }
}

/// An authenticator that accepts only the token `good`.
struct Tokens;

#[async_trait]
impl Authenticator for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        match credentials.bearer {
            Some("good") => Authentication::of(UserInfo::named("carol")),
            Some(_) => Authentication::failed("a wrong token"),
            None => Authentication::NotRequested,
        }
    }
}

/// An authorizer that allows everything and records the attributes.
#[derive(Default)]
struct Everything(Mutex<Vec<Attributes>>);

#[async_trait]
impl Authorizer for Everything {
    async fn authorize(
        &self,
        _: &UserInfo,
        attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError> {
        self.0.lock().unwrap().push(attributes.clone());
        let reason = String::new();
        Ok(Decision::Allow { reason })
    }

    async fn rules(&self, _: &UserInfo, _: &str) -> Result<Rules, AuthorizerError> {
        Ok(Rules::default())
    }
}

/// Responds with the caller and the remaining headers.
fn who() -> MountedService {
    MountedService::new(service_fn(|mounted: MountedRequest| async move {
        let MountedRequest { cx, request } = mounted;
        let user = &cx.user;
        let mut headers: Vec<&str> = request.headers().keys().map(|name| name.as_str()).collect();
        headers.sort_unstable();
        let answer = json!({
            "name": user.name, "uid": user.uid, "groups": user.groups, "extra": user.extra.len(), "headers": headers,
        });
        Ok(Response::new(Body::from(answer.to_string())))
    }))
}

/// A server with a front proxy, client certificates and tokens.
struct World {
    listener: Listener,
    server: Identity,
    front_proxy_ca: Authority,
    user_ca: Authority,
    front_proxy: Arc<FrontProxy>,
    everything: Arc<Everything>,
}

impl World {
    async fn start() -> Self {
        let (front_proxy_ca, user_ca) = (authority("front-proxy-ca"), authority("user-ca"));
        let front_proxy =
            Arc::new(FrontProxy::new(config(&[&front_proxy_ca]), ManualClock::at(NOW)).unwrap());
        let users = bundle_from_pem(user_ca.pem().as_bytes()).unwrap();
        let users = Arc::new(ClientCertificateVerifier::new(&users).unwrap());
        let everything = Arc::<Everything>::default();
        let authorizer = Arc::clone(&everything) as Arc<dyn Authorizer>;
        let generic = GenericServer::builder(authorizer, ManualClock::at(NOW))
            .authenticator(Arc::clone(&front_proxy) as Arc<dyn Authenticator>)
            .authenticator(Arc::new(ClientCertificate::new(
                users,
                ManualClock::at(NOW),
            )))
            .authenticator(Arc::new(Tokens))
            .mount("/who", who(), Access::Authenticated)
            .mount("/open", who(), Access::Public)
            .build();
        let server = Identity::new("localhost");
        Self {
            listener: Listener::start(&server, generic.service()).await,
            server,
            front_proxy_ca,
            user_ca,
            front_proxy,
            everything,
        }
    }

    fn proxy(&self) -> Identity {
        signed(&self.front_proxy_ca, &params("front-proxy-client"))
    }

    /// Sends one request over a new connection. Returns the status code and the body.
    async fn get(&self, own: Option<&Identity>, path: &str, headers: &str) -> (u16, Value) {
        let stream = Client::stream(self.listener.address, &self.server, own, Version::Http1);
        let mut stream = stream.await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // The server does not always send a TLS close notification.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, serde_json::from_str(body).unwrap_or_default())
    }

    /// Returns the name of the user, if the request is accepted.
    async fn name(&self, own: Option<&Identity>, headers: &str) -> Option<String> {
        let (code, body) = self.get(own, "/who", headers).await;
        match code {
            200 => Some(body["name"].as_str().unwrap().to_owned()),
            401 => {
                assert_eq!(body["message"], "Unauthorized");
                None
            }
            _ => panic!("{code} {body}"),
        }
    }
}

const ALICE: &str = "X-Remote-User: alice\r\nX-Remote-Uid: u-1\r\nX-Group: dev\r\nX-Remote-Group: ops\r\n\
                     X-Remote-Extra-Scopes: read\r\n";

#[tokio::test]
async fn headers_count_with_the_certificate_of_a_front_proxy_alone() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let world = World::start().await;
    let proxy = |change: fn(&mut CertificateParams)| {
        let mut params = params("front-proxy-client");
        change(&mut params);
        signed(&world.front_proxy_ca, &params)
    };
    let good = [
        proxy(|_| {}),
        proxy(|params| params.extended_key_usages = vec![ClientAuth]),
    ];
    for proxy in &good {
        assert_eq!(
            world.name(Some(proxy), ALICE).await.as_deref(),
            Some("alice")
        );
    }
    let bad = [
        ("self-signed", Identity::new("front-proxy-client")),
        (
            "foreign",
            signed(&authority("front-proxy-ca"), &params("front-proxy-client")),
        ),
        (
            "expired",
            proxy(|params| params.not_after = date_time_ymd(2021, 1, 1)),
        ),
        (
            "not yet valid",
            proxy(|params| params.not_before = date_time_ymd(2027, 1, 1)),
        ),
        (
            "for servers",
            proxy(|params| params.extended_key_usages = vec![ServerAuth]),
        ),
        (
            "wrong name",
            signed(&world.front_proxy_ca, &params("alice")),
        ),
    ];
    assert_eq!(world.name(None, ALICE).await, None);
    for (what, identity) in &bad {
        assert_eq!(world.name(Some(identity), ALICE).await, None, "{what}");
        let open = world.get(Some(identity), "/open", ALICE).await.0;
        assert_eq!(open, 401, "{what}: a failure is never anonymous");
    }
    assert_eq!(
        world.name(Some(&good[0]), "").await,
        None,
        "it names nobody"
    );
}

#[tokio::test]
async fn who_is_no_front_proxy_stays_who_they_are() {
    let world = World::start().await;
    let bob = signed(&world.user_ca, &params("bob"));
    assert_eq!(world.name(Some(&bob), ALICE).await.as_deref(), Some("bob"));
    let token = format!("{ALICE}Authorization: Bearer good\r\n");
    assert_eq!(world.name(None, &token).await.as_deref(), Some("carol"));
    let foreign = Identity::new("front-proxy-client");
    assert_eq!(
        world.name(Some(&foreign), &token).await.as_deref(),
        Some("carol")
    );
    let wrong = format!("{ALICE}Authorization: Bearer wrong\r\n");
    assert_eq!(world.name(None, &wrong).await, None);
    assert_eq!(world.name(Some(&foreign), &wrong).await, None);
}

#[tokio::test]
async fn no_header_names_anybody_behind_authentication() {
    let world = World::start().await;
    let headers = format!("{ALICE}X-Remote-Other: x\r\nX_Remote_User: x\r\nX-Kept: x\r\n");
    let token = format!("{headers}Authorization: Bearer good\r\n");
    let bob = signed(&world.user_ca, &params("bob"));
    let left = json!(["connection", "host", "x-kept", "x_remote_user"]);
    let (_, alice) = world.get(Some(&world.proxy()), "/who", &token).await;
    let expected = json!({
        "name": "alice", "uid": "u-1", "groups": ["dev", "system:authenticated"], "extra": 1, "headers": left,
    });
    assert_eq!(alice, expected);
    for (own, path, headers, name) in [
        (Some(&bob), "/who", &headers, "bob"),
        (None, "/who", &token, "carol"),
        (None, "/open", &headers, "system:anonymous"),
    ] {
        let (_, answer) = world.get(own, path, headers).await;
        assert_eq!((&answer["name"], &answer["headers"]), (&json!(name), &left));
    }
}

#[tokio::test]
async fn front_proxies_change_between_the_requests_of_a_connection() {
    let world = World::start().await;
    let (old, next_ca) = (world.proxy(), authority("front-proxy-ca"));
    let next = signed(&next_ca, &params("front-proxy-client"));
    let address = world.listener.address;
    let mut open = Client::connect(address, &world.server, Some(&old), Version::Http1)
        .await
        .unwrap();
    let mut code = async || open.send_with("/who", ("x-remote-user", "alice")).await;
    assert_eq!(code().await, 200);
    assert_eq!(world.name(Some(&next), ALICE).await, None);
    let both = config(&[&world.front_proxy_ca, &next_ca]);
    world.front_proxy.replace(both).unwrap();
    assert_eq!(code().await, 200);
    assert_eq!(
        world.name(Some(&next), ALICE).await.as_deref(),
        Some("alice")
    );
    world.front_proxy.replace(config(&[&next_ca])).unwrap();
    assert_eq!(code().await, 401);
    assert_eq!(world.name(Some(&old), ALICE).await, None);
    assert_eq!(
        world.name(Some(&next), ALICE).await.as_deref(),
        Some("alice")
    );
}

#[tokio::test]
async fn authorizers_see_what_a_request_selects() {
    let world = World::start().await;
    let proxy = world.proxy();
    let query = "fieldSelector=metadata.name%21%3Dx&labelSelector=a+in+(1,2)";
    let cases = [
        (
            "/apis/g/v1/rs",
            query,
            "list",
            "metadata.name!=x",
            "a in (1,2)",
        ),
        ("/apis/g/v1/rs", "labelSelector=a&watch=1", "watch", "", "a"),
        (
            "/apis/g/v1/rs",
            "labelSelector=((&fieldSelector=a%3D1",
            "list",
            "a=1",
            "",
        ),
        ("/apis/g/v1/rs/x", query, "get", "", ""),
    ];
    for (path, query, verb, fields, labels) in cases {
        world
            .get(Some(&proxy), &format!("{path}?{query}"), ALICE)
            .await;
        let asked = world.everything.0.lock().unwrap().pop().unwrap();
        let seen = (
            asked.verb.as_str(),
            asked.field_selector,
            asked.label_selector,
        );
        let fields = FieldSelector::parse(fields).unwrap();
        let labels = LabelSelector::parse(labels).unwrap();
        assert_eq!(seen, (verb, fields, labels), "{path}?{query}");
    }
}

#[tokio::test]
async fn http2_connections_are_for_those_who_are_known() {
    let world = World::start().await;
    let bob = signed(&world.user_ca, &params("bob"));
    let address = world.listener.address;
    for (own, path, code, version, stays) in [
        (None, "/who", 401, Version::Http2, false),
        (None, "/open", 200, Version::Http2, false),
        (None, "/who", 401, Version::Http1, true),
        (None, "/open", 200, Version::Http1, true),
        (Some(&bob), "/who", 200, Version::Http2, true),
    ] {
        let client = Client::connect(address, &world.server, own, version).await;
        let mut client = client.unwrap();
        let answer = client.send(path).await.unwrap();
        assert_eq!(answer.status(), code, "{path}");
        answer.into_body().collect().await.unwrap();
        assert_eq!(client.stays().await, stays, "{version:?} {path}");
    }
}
