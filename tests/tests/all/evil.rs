//! A hostile server: it serves any login document, accepts every token, creates any kubeconfig and
//! records all that it receives.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::{mem, thread};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::{Authority, Names, Validity};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

#[derive(Debug, Default)]
struct State {
    document: Value,
    created: Value,
    asked: Vec<String>,
    received: Vec<[String; 2]>,
}

/// The server, which runs until the test ends.
pub(crate) struct Evil {
    address: SocketAddr,
    ca: String,
    state: Arc<Mutex<State>>,
}

impl Evil {
    /// Starts a server with this login document.
    pub(crate) fn start(document: Value) -> Self {
        let (tls, ca) = tls();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let evil = Self {
            address: listener.local_addr().unwrap(),
            ca,
            state: Arc::default(),
        };
        evil.serve(document);
        let state = Arc::clone(&evil.state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (tls, state) = (Arc::clone(&tls), Arc::clone(&state));
                // A client that disconnects is not an error of the test.
                thread::spawn(move || answer(stream.unwrap(), tls, &state).ok());
            }
        });
        evil
    }

    pub(crate) fn serve(&self, document: Value) {
        self.state.lock().unwrap().document = document;
    }

    /// Sets the answer to each creation of a kubeconfig.
    pub(crate) fn create(&self, record: Value) {
        self.state.lock().unwrap().created = record;
    }

    /// Returns its CA, PEM.
    pub(crate) fn ca(&self) -> &str {
        &self.ca
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn ca_data(&self) -> String {
        STANDARD.encode(&self.ca)
    }

    /// Returns `METHOD PATH` of each request.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Returns `METHOD PATH` of each request since the last call.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// Returns the bearer token of each request that had one, and the header that binds it.
    pub(crate) fn received(&self) -> Vec<[String; 2]> {
        self.state.lock().unwrap().received.clone()
    }
}

fn tls() -> (Arc<ServerConfig>, String) {
    let validity = Validity {
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2099-01-01T00:00:00Z".parse().unwrap(),
    };
    let authority = Authority::create("evil", validity).unwrap();
    let mut names = Names::default();
    names.add("127.0.0.1");
    let pair = authority.serving("evil", &names, validity).unwrap();
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.expose().as_bytes()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (Arc::new(config), authority.certificate_pem().to_owned())
}

/// Reads one request and answers it.
fn answer(stream: TcpStream, tls: Arc<ServerConfig>, state: &Mutex<State>) -> std::io::Result<()> {
    let connection = ServerConnection::new(tls).unwrap();
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value).to_owned()
    };
    let length = header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let line = head.lines().next().unwrap();
    let asked = line.rsplit_once(' ').unwrap().0.to_owned();
    let mut state = state.lock().unwrap();
    if let Some(token) = header("authorization").strip_prefix("Bearer ") {
        let binding = header("kubeconfig-login-binding");
        state.received.push([token.to_owned(), binding]);
    }
    let content = match asked.as_str() {
        "GET /.well-known/kubeconfig-login" => state.document.clone(),
        "POST /apis/authentication.k8s.io/v1/selfsubjectreviews" => {
            json!({ "status": { "userInfo": { "username": "alice" } } })
        }
        "POST /apis/ext.cattle.io/v1/kubeconfigs" => state.created.clone(),
        _ => json!({}),
    };
    state.asked.push(asked);
    let content = content.to_string();
    write!(
        reader.get_mut(),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{content}",
        content.len()
    )?;
    reader.get_mut().flush()
}
