//! An independent authentication webhook: it knows some tokens, and answers reviews according to
//! the documentation of Kubernetes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

pub(in crate::real_clusters) struct Webhook {
    url: String,
    certificate: String,
    is_broken: Arc<AtomicBool>,
}

impl Webhook {
    /// Starts a webhook that knows these tokens and their users.
    pub(in crate::real_clusters) fn start(users: &[(&str, Value)]) -> Self {
        let users: HashMap<String, Value> = users
            .iter()
            .map(|(token, user)| ((*token).to_owned(), user.clone()))
            .collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("https://{}/authenticate", listener.local_addr().unwrap());
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], PrivateKeyDer::from(key));
        let config = Arc::new(config.unwrap());
        let is_broken = Arc::new(AtomicBool::new(false));
        let breaks = Arc::clone(&is_broken);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client without an answer is not authenticated.
                let _ = answer(client, &config, |token| {
                    match breaks.load(Ordering::SeqCst) {
                        true => None,
                        false => Some(users.get(token).cloned()),
                    }
                });
            }
        });
        Self {
            url,
            certificate: own.cert.pem(),
            is_broken,
        }
    }

    /// Returns the `spec.authentication` of a cluster that uses the webhook.
    pub(in crate::real_clusters) fn authentication(&self) -> Value {
        json!({"webhook": {
            "url": self.url, "caData": STANDARD.encode(&self.certificate), "cacheSeconds": 0,
        }})
    }

    /// Makes the webhook answer every request with an error from now on.
    pub(super) fn break_down(&self) {
        self.is_broken.store(true, Ordering::SeqCst);
    }
}

/// Answers one review. `user_of` returns `None` if the webhook is broken.
fn answer(
    client: TcpStream,
    config: &Arc<ServerConfig>,
    user_of: impl Fn(&str) -> Option<Option<Value>>,
) -> anyhow::Result<()> {
    let connection = ServerConnection::new(Arc::clone(config))?;
    let mut stream = BufReader::new(StreamOwned::new(connection, client));
    let (mut line, mut length) = (String::new(), 0);
    while stream.read_line(&mut line)? > "\r\n".len() {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let review: Value = serde_json::from_slice(&body)?;
    let found = user_of(review["spec"]["token"].as_str().unwrap_or_default());
    let (code, status) = match found {
        None => (
            "500 Internal Server Error",
            json!({"error": "out of order"}),
        ),
        Some(None) => ("200 OK", json!({"authenticated": false})),
        Some(Some(user)) => ("200 OK", json!({"authenticated": true, "user": user})),
    };
    let answer = json!({
        "apiVersion": review["apiVersion"], "kind": review["kind"], "status": status,
    });
    let answer = answer.to_string();
    let length = answer.len();
    let stream = stream.get_mut();
    write!(
        stream,
        "HTTP/1.1 {code}\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{answer}"
    )?;
    stream.conn.send_close_notify();
    Ok(stream.flush()?)
}
