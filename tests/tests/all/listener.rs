//! A TLS server that records all received data, and answers 404 unless another answer is set.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The server of an attacker. It runs until the process ends.
pub(crate) struct Listener {
    url: String,
    certificate: String,
    seen: Arc<Mutex<String>>,
    answer: Arc<Mutex<String>>,
}

/// The initial head of answers, without the fields of each answer.
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found";

impl Listener {
    /// Starts a listener on a free port of this machine.
    pub(crate) fn start() -> anyhow::Result<Self> {
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
        let (config, seen) = (Arc::new(config), Arc::new(Mutex::new(String::new())));
        let answer = Arc::new(Mutex::new(NOT_FOUND.to_owned()));
        let (record, said) = (Arc::clone(&seen), Arc::clone(&answer));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client that disconnects connects again.
                let _ = serve(client, &config, &record, &said);
            }
        });
        Ok(Self {
            url,
            certificate: own.cert.pem(),
            seen,
            answer,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the certificate of its server, PEM, which clients trust.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Sets the head of all further answers: a status line and fields.
    pub(crate) fn answer(&self, head: &str) {
        head.clone_into(&mut self.answer.lock().unwrap());
    }

    /// Returns all received data: a line for each connection, and the heads of requests.
    pub(crate) fn seen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(
    client: TcpStream,
    config: &Arc<ServerConfig>,
    seen: &Mutex<String>,
    answer: &Mutex<String>,
) -> anyhow::Result<()> {
    seen.lock().unwrap().push_str("connection\n");
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection = ServerConnection::new(Arc::clone(config))?;
    let mut stream = BufReader::new(StreamOwned::new(connection, client));
    let mut head = String::new();
    while stream.read_line(&mut head)? > "\r\n".len() {}
    seen.lock().unwrap().push_str(&head);
    let stream = stream.get_mut();
    let answer = answer.lock().unwrap().clone();
    write!(
        stream,
        "{answer}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )?;
    stream.conn.send_close_notify();
    Ok(stream.flush()?)
}
