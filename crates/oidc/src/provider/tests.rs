use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use certificates::{Authority, Validity};
use hyper_util::client::proxy::matcher::Matcher;
use jiff::{SignedDuration, Timestamp};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::Options;
use crate::fixtures::{EC, RSA, STRANGER, SigningKey, claims, key_set, options};

/// A provider that sends the configured responses.
struct Answers {
    url: String,
    authority: String,
    looks: AtomicUsize,
    keys: Mutex<Value>,
    issuer: Mutex<String>,
}

impl Answers {
    async fn start(keys: &[&SigningKey]) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let now = Timestamp::from_second(1_767_323_045).unwrap();
        // The fetcher uses the system clock, as TLS does.
        let validity = Validity {
            not_before: now,
            not_after: now + SignedDuration::from_hours(24 * 365 * 20),
        };
        let authority = Authority::create("test", validity).unwrap();
        let names = ["127.0.0.1"].into_iter().collect();
        let pair = authority.serving("provider", &names, validity).unwrap();
        let chain = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.expose().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        let answers = Arc::new(Self {
            issuer: Mutex::new(url.clone()),
            url,
            authority: authority.certificate_pem().to_owned(),
            looks: AtomicUsize::new(0),
            keys: Mutex::new(key_set(keys)),
        });
        let (own, tls) = (Arc::clone(&answers), TlsAcceptor::from(Arc::new(tls)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                own.answer(&tls, stream).await;
            }
        });
        answers
    }

    async fn answer(&self, tls: &TlsAcceptor, stream: TcpStream) {
        let Ok(mut stream) = tls.accept(stream).await else {
            return;
        };
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let body = match request.starts_with(b"GET /.well-known/openid-configuration HTTP/1.1") {
            true => {
                self.looks.fetch_add(1, Ordering::SeqCst);
                let issuer = self.issuer.lock().unwrap().clone();
                json!({ "issuer": issuer, "jwks_uri": format!("{}/keys", self.url) })
            }
            false => self.keys.lock().unwrap().clone(),
        };
        let body = body.to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let answer = format!("{head}{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        // Wait until the client has closed the connection.
        let _ = stream.read_u8().await;
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    fn follow(&self, authority: &str) -> Arc<Provider> {
        self.follow_by(authority, Network::default())
    }

    fn follow_by(&self, authority: &str, network: Network) -> Arc<Provider> {
        let provider = Provider::new(&config(&self.url, authority), network);
        let provider = Arc::new(provider.unwrap());
        tokio::spawn(Arc::clone(&provider).run(CancellationToken::new()));
        provider
    }
}

fn config(issuer: &str, authority: &str) -> Config {
    let options = Options {
        issuer_url: issuer.to_owned(),
        certificate_authority: Some(authority.to_owned()),
        ..options()
    };
    Config::new(options).unwrap()
}

async fn verify(provider: &Provider, key: &SigningKey) -> Result<(), Refusal> {
    let token = key.sign(&key.header(), &claims());
    let token = IdToken::split(&token).unwrap();
    let header = Header::of(&token, &[key.algorithm]).unwrap();
    provider.verify(&token, &header).await
}

/// Advances the clock by the pause between two refreshes.
async fn pass_the_pause() {
    tokio::time::pause();
    tokio::time::advance(PAUSE).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_key_that_is_new_at_the_provider_is_found_after_a_pause() {
    let answers = Answers::start(&[&EC]).await;
    let provider = answers.follow(&answers.authority);
    assert_eq!(verify(&provider, &EC).await, Ok(()));
    assert_eq!(answers.looks(), 1);
    *answers.keys.lock().unwrap() = key_set(&[&EC, &RSA]);
    for _ in 0..20 {
        assert_eq!(verify(&provider, &RSA).await, Err(Refusal::UnknownKey));
    }
    assert_eq!(answers.looks(), 1, "the provider was hammered");
    pass_the_pause().await;
    assert_eq!(verify(&provider, &RSA).await, Ok(()));
    assert_eq!(answers.looks(), 2);
}

#[tokio::test]
async fn many_tokens_with_a_new_key_cause_one_look() {
    let answers = Answers::start(&[&EC]).await;
    let provider = answers.follow(&answers.authority);
    assert_eq!(verify(&provider, &EC).await, Ok(()));
    *answers.keys.lock().unwrap() = key_set(&[&RSA]);
    pass_the_pause().await;
    let all = (0..50).map(|_| {
        let provider = Arc::clone(&provider);
        tokio::spawn(async move { verify(&provider, &RSA).await })
    });
    for one in all.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), Ok(()));
    }
    assert_eq!(answers.looks(), 2);
    assert_eq!(
        verify(&provider, &EC).await,
        Err(Refusal::UnknownKey),
        "taken back"
    );
}

#[tokio::test]
async fn a_provider_that_is_not_the_issuer_is_not_believed_until_it_is() {
    let answers = Answers::start(&[&EC]).await;
    *answers.issuer.lock().unwrap() = "https://other.example.com".to_owned();
    let provider = answers.follow(&answers.authority);
    assert_eq!(verify(&provider, &EC).await, Err(Refusal::NoKeys));
    answers.issuer.lock().unwrap().clone_from(&answers.url);
    pass_the_pause().await;
    assert_eq!(verify(&provider, &EC).await, Ok(()));
}

#[tokio::test]
async fn a_provider_behind_another_authority_is_not_believed() {
    let answers = Answers::start(&[&EC]).await;
    let other = Answers::start(&[]).await;
    let provider = answers.follow(&other.authority);
    assert_eq!(verify(&provider, &EC).await, Err(Refusal::NoKeys));
    assert_eq!(answers.looks(), 0);
}

#[tokio::test]
async fn a_provider_at_an_address_that_is_not_allowed_is_not_asked() {
    let answers = Answers::start(&[&EC]).await;
    let network = Network {
        allows: Arc::new(|address| !address.is_loopback()),
        ..Network::default()
    };
    let provider = answers.follow_by(&answers.authority, network);
    assert_eq!(verify(&provider, &EC).await, Err(Refusal::NoKeys));
    assert_eq!(answers.looks(), 0);
}

#[tokio::test]
async fn keys_for_other_uses_verify_nothing() {
    let answers = Answers::start(&[]).await;
    let mut key = EC.jwk.clone();
    key["use"] = json!("enc");
    let unknown = json!({ "kty": "unheard-of", "kid": "x" });
    *answers.keys.lock().unwrap() = json!({ "keys": [unknown, key] });
    let provider = answers.follow(&answers.authority);
    assert_eq!(verify(&provider, &EC).await, Err(Refusal::UnknownKey));
}

#[test]
fn authorities_that_are_none_are_refused() {
    for pem in ["", "hello"] {
        let config = config("https://idp.example.com", pem);
        let error = Provider::new(&config, Network::default()).err().unwrap();
        let cause = std::error::Error::source(&error).unwrap();
        let expected = [
            "the certificate authorities of the provider cannot be used",
            "the CA bundle contains no certificate",
        ];
        assert_eq!([error.to_string(), cause.to_string()], expected);
    }
}

#[tokio::test]
async fn a_new_key_of_an_old_name_is_found() {
    let answers = Answers::start(&[&STRANGER]).await;
    let provider = answers.follow(&answers.authority);
    assert_eq!(verify(&provider, &STRANGER).await, Ok(()));
    *answers.keys.lock().unwrap() = key_set(&[&RSA]);
    assert_eq!(verify(&provider, &RSA).await, Err(Refusal::Signature));
    pass_the_pause().await;
    assert_eq!(verify(&provider, &RSA).await, Ok(()));
}

/// A proxy that records the hosts that clients ask for, and connects them to one address.
async fn proxy(target: String) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:pass@{}", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            heads.lock().unwrap().push(head);
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut server = TcpStream::connect(&target).await.unwrap();
            tokio::spawn(async move {
                tokio::io::copy_bidirectional(&mut client, &mut server)
                    .await
                    .ok();
            });
        }
    });
    Proxy { url, seen }
}

struct Proxy {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn network(&self, exceptions: &str) -> Network {
        let proxies = Matcher::builder().https(self.url.clone()).no(exceptions);
        Network {
            proxies: Arc::new(proxies.build()),
            ..Network::default()
        }
    }
}

#[tokio::test]
async fn keys_are_read_through_the_proxy() {
    let answers = Answers::start(&[&EC]).await;
    let address = answers.url.trim_start_matches("https://").to_owned();
    let proxy = proxy(address.clone()).await;
    let provider = answers.follow_by(&answers.authority, proxy.network(""));
    assert_eq!(verify(&provider, &EC).await, Ok(()));
    let seen = proxy.seen.lock().unwrap().clone();
    let expected = format!("CONNECT {address} HTTP/1.1\r\n");
    assert_eq!(seen.len(), 2);
    for head in seen {
        assert!(head.starts_with(&expected), "{head}");
        assert!(
            head.to_ascii_lowercase()
                .contains("proxy-authorization: basic dxnlcjpwyxnz")
        );
    }
}

#[tokio::test]
async fn an_exception_needs_no_proxy() {
    let answers = Answers::start(&[&EC]).await;
    let proxy = proxy("127.0.0.1:1".to_owned()).await;
    let provider = answers.follow_by(&answers.authority, proxy.network("127.0.0.1"));
    assert_eq!(verify(&provider, &EC).await, Ok(()));
    assert!(proxy.seen.lock().unwrap().is_empty());
}

/// The address of the proxy and that of the provider must both be allowed.
#[tokio::test]
async fn a_proxy_at_an_address_that_is_not_allowed_is_not_asked() {
    for refused in [0, 1] {
        let answers = Answers::start(&[&EC]).await;
        let proxy = proxy(answers.url.trim_start_matches("https://").to_owned()).await;
        let asked = AtomicUsize::new(0);
        let network = Network {
            allows: Arc::new(move |_| asked.fetch_add(1, Ordering::SeqCst) != refused),
            ..proxy.network("")
        };
        let provider = answers.follow_by(&answers.authority, network);
        assert_eq!(verify(&provider, &EC).await, Err(Refusal::NoKeys));
        assert!(proxy.seen.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_discovery_document_is_where_the_file_says() {
    let answers = Answers::start(&[&EC]).await;
    let mut config = config("https://unreachable.example.com", &answers.authority);
    config.discovery_url = Some(format!("{}/.well-known/openid-configuration", answers.url));
    *answers.issuer.lock().unwrap() = "https://unreachable.example.com".to_owned();
    let provider = Arc::new(Provider::new(&config, Network::default()).unwrap());
    tokio::spawn(Arc::clone(&provider).run(CancellationToken::new()));
    assert_eq!(verify(&provider, &EC).await, Ok(()));
}
