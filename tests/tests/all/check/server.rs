//! A stand-in for the server behind the host: it lists the records that a test provides, and its
//! clock is set by the test.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use certificates::{Authority, Names, Pair, Validity};
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::installation::NAME;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A listener that runs until the test process ends.
pub(super) struct Server {
    port: u16,
    authority: Authority,
    serving: Pair,
    answers: Arc<Mutex<Answers>>,
}

struct Answers {
    ahead_secs: i64,
    nothing: bool,
    tokens: Value,
}

impl Server {
    pub(super) fn start() -> anyhow::Result<Self> {
        let validity = Validity::starting(now(), DAY * 365);
        let authority = Authority::create("serving-ca", validity)?;
        let names = format!("{NAME}.{NAME}.svc");
        let serving = pair(&authority, &names, -1, 29);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let server = Self {
            port: listener.local_addr()?.port(),
            authority,
            serving,
            answers: Arc::new(Mutex::new(Answers {
                ahead_secs: 0,
                nothing: false,
                tokens: tokens(),
            })),
        };
        let (tls, answers) = (Arc::new(server.tls()?), Arc::clone(&server.answers));
        thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                let (tls, answers) = (Arc::clone(&tls), Arc::clone(&answers));
                // Errors of a connection are reported by the other end.
                thread::spawn(move || answer(socket, tls, &answers));
            }
        });
        Ok(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn ca(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// Returns its serving certificate and key.
    pub(super) fn serving(&self) -> &Pair {
        &self.serving
    }

    /// Issues a certificate of its CA. The validity is given in days from now.
    pub(super) fn pair(&self, name: &str, from: i32, until: i32) -> Pair {
        pair(&self.authority, name, from, until)
    }

    pub(super) fn ahead(&self, seconds: i64) {
        self.answers.lock().unwrap().ahead_secs = seconds;
    }

    pub(super) fn answer_nothing(&self, nothing: bool) {
        self.answers.lock().unwrap().nothing = nothing;
    }

    pub(super) fn tokens(&self, tokens: Value) {
        self.answers.lock().unwrap().tokens = tokens;
    }

    fn tls(&self) -> anyhow::Result<ServerConfig> {
        let chain = CertificateDer::from_pem_slice(self.serving.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(self.serving.key.expose().as_bytes())?;
        let provider = rustls::crypto::aws_lc_rs::default_provider().into();
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(builder
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)?)
    }
}

/// Returns two tokens of the only kubeconfig, one of them older than any sweep.
pub(super) fn tokens() -> Value {
    let token = |name: &str, made: &str| {
        json!({
            "metadata": {"name": name, "creationTimestamp": made},
            "spec": {"kubeconfigName": "kubeconfig-a"},
        })
    };
    json!([
        token("token-a", "2026-01-01T00:00:00Z"),
        token("token-b", "2026-11-01T00:00:00Z")
    ])
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program under test reads the clock of the machine"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

fn pair(authority: &Authority, name: &str, from: i32, until: i32) -> Pair {
    let validity = Validity {
        not_before: now() + DAY * from,
        not_after: now() + DAY * until,
    };
    let names = Names::from_iter([name]);
    authority.serving("serving", &names, validity).unwrap()
}

/// Answers one request.
fn answer(
    socket: TcpStream,
    tls: Arc<ServerConfig>,
    answers: &Mutex<Answers>,
) -> anyhow::Result<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(tls)?, socket);
    let mut head = Vec::new();
    for line in BufReader::new(&mut stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let path = head.first().and_then(|line| line.split(' ').nth(1));
    let path = path
        .unwrap_or_default()
        .split('?')
        .next()
        .unwrap_or_default();
    let (status, body, ahead) = {
        let answers = answers.lock().unwrap();
        let status = if answers.nothing {
            "500 Internal Server Error"
        } else {
            "200 OK"
        };
        (status, body(path, &answers), answers.ahead_secs)
    };
    let date = now() + SignedDuration::from_secs(ahead);
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&date)?;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(())
}

fn body(path: &str, answers: &Answers) -> String {
    let list = |kind: &str, items: Value| {
        json!({
            "apiVersion": "ext.cattle.io/v1", "kind": kind,
            "metadata": {"resourceVersion": "1"}, "items": items,
        })
    };
    let body = match path.rsplit('/').next() {
        Some("kubeconfigs") => list(
            "KubeconfigList",
            json!([{"metadata": {"name": "kubeconfig-a"}}]),
        ),
        Some("tokens") => list("TokenList", answers.tokens.clone()),
        _ => json!({
            "apiVersion": "v1", "kind": "APIResourceList",
            "groupVersion": "ext.cattle.io/v1", "resources": [],
        }),
    };
    body.to_string()
}
