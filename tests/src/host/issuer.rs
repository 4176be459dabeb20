//! Issuers of OIDC tokens, like those of a company or a CI system: two documents over HTTPS, and
//! signed tokens. Each path of the server is an issuer.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// The audience of its tokens.
const AUDIENCE: &str = "host";

/// Lifetime of a token, longer than any test.
const LIFE: Duration = Duration::from_secs(10 * 60 * 60);

/// The path of the discovery document, below that of an issuer.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// A running server of issuers with one key. Runs until the process ends.
pub struct Issuer {
    url: String,
    /// The certificate of its server, PEM, which clients trust.
    certificate: String,
    key: EcdsaKeyPair,
}

impl Issuer {
    /// Starts an issuer on a free port of this machine.
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("https://{}", listener.local_addr()?);
        let own = rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()])?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![own.cert.der().clone()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der())),
            )?;
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let documents = Documents {
            url: url.clone(),
            keys: keys(&key)?,
        };
        let (config, documents) = (Arc::new(config), Arc::new(documents));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (config, documents) = (Arc::clone(&config), Arc::clone(&documents));
                // A client that disconnects tries again.
                thread::spawn(move || answer(client, &config, &documents));
            }
        });
        Ok(Self {
            url,
            certificate: own.cert.pem(),
            key,
        })
    }

    /// Returns the URL of the issuer at the root. Others have a path below it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the certificate of the server, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Returns the file for `--authentication-config` of a kube-apiserver that accepts its tokens.
    /// User names are not changed.
    pub fn authentication_config(&self) -> String {
        let file = json!({
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "jwt": [{
                "issuer": {
                    "url": self.url,
                    "audiences": [AUDIENCE],
                    "certificateAuthority": self.certificate,
                },
                "claimMappings": {"username": {"claim": "sub", "prefix": ""}},
            }],
        });
        file.to_string()
    }

    /// Returns a token for a user.
    #[expect(
        clippy::disallowed_methods,
        reason = "kube-apiserver compares with its clock"
    )]
    pub fn token(&self, user: &str) -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        self.sign(&json!({
            "iss": self.url, "aud": AUDIENCE, "sub": user,
            "iat": now.as_secs(), "exp": (now + LIFE).as_secs(),
        }))
    }

    /// Returns a token with these claims.
    pub fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": "1"});
        let [header, claims] = [&header, claims].map(|part| encode(part.to_string().as_bytes()));
        let signed = format!("{header}.{claims}");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map_err(|_| anyhow!("a token cannot be signed"))?;
        Ok(format!("{signed}.{}", encode(signature.as_ref())))
    }
}

/// The documents of a server.
struct Documents {
    url: String,
    keys: Value,
}

impl Documents {
    fn at(&self, path: &str) -> Option<Value> {
        if path == "/jwks" {
            return Some(self.keys.clone());
        }
        let issuer = path.strip_suffix(DISCOVERY)?;
        let url = &self.url;
        Some(json!({"issuer": format!("{url}{issuer}"), "jwks_uri": format!("{url}/jwks")}))
    }
}

/// Returns the key set with this key.
fn keys(key: &EcdsaKeyPair) -> anyhow::Result<Value> {
    let public = key.public_key().as_ref();
    // SEC 1: a byte that marks the point as uncompressed, and its coordinates.
    let point = public.strip_prefix(&[4]).context("a compressed key")?;
    let (x, y) = point.split_at(point.len() / 2);
    Ok(json!({"keys": [{
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1",
        "x": encode(x), "y": encode(y),
    }]}))
}

fn answer(
    client: TcpStream,
    config: &Arc<ServerConfig>,
    documents: &Documents,
) -> anyhow::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection = ServerConnection::new(Arc::clone(config))?;
    let mut stream = BufReader::new(StreamOwned::new(connection, client));
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    while stream.read_line(&mut line)? > "\r\n".len() {}
    let (status, body) = match documents.at(&path) {
        Some(document) => ("200 OK", document.to_string()),
        None => ("404 Not Found", String::new()),
    };
    let stream = stream.get_mut();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len(),
    )?;
    stream.conn.send_close_notify();
    Ok(stream.flush()?)
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
