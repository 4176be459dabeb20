//! A plain HTTP/1.1 client that sends requests exactly as specified, valid or not.
//!
//! HTTP libraries normalise paths, headers and bodies before they send them; tests of bad input
//! need control of the bytes on the wire, and tests of secrets need every byte of the answer. So
//! each request uses a TLS connection of its own, and the answer is kept completely.
//! [`Client::open`] leaves the body to be read line by line, for a watch.
//!
//! The server, its CA and the credential, a client certificate or a token, come from a kubeconfig:
//! one of the server's own files or a minted one.

mod credentials;
mod wire;

use std::fmt;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

use credentials::Credentials;

pub use wire::{Answer, Stream};

/// Time without a byte after which an answer is considered missing.
const SILENCE: Duration = Duration::from_secs(60);

/// A client that sends requests to one server as one user.
#[derive(Clone, Debug)]
pub struct Client {
    address: String,
    /// The address to connect to, if it differs from `address`.
    resolved: Option<String>,
    host: String,
    tls: Arc<ClientConfig>,
    anonymous_tls: Arc<ClientConfig>,
    token: Option<String>,
    /// Additional headers of every request.
    headers: Vec<(String, String)>,
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

/// A connection for one request.
pub struct Connected<'a> {
    client: &'a Client,
    connection: Connection,
}

/// A request, in its form on the wire.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    chunked: bool,
}

impl Client {
    /// Creates a client for the current user of a kubeconfig file.
    pub fn from_file(kubeconfig: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(kubeconfig)
            .with_context(|| kubeconfig.display().to_string())?;
        Self::from_kubeconfig(&text)
    }

    /// Creates a client for the current user of a kubeconfig.
    pub fn from_kubeconfig(text: &str) -> anyhow::Result<Self> {
        let credentials = Credentials::parse(text)?;
        Ok(Self {
            address: credentials.address()?,
            resolved: None,
            host: credentials.host()?,
            tls: Arc::new(credentials.tls()?),
            anonymous_tls: Arc::new(credentials.anonymous_tls()?),
            token: credentials.token,
            headers: Vec::new(),
        })
    }

    /// Returns a client that resolves the host name to this address.
    pub fn resolved_to(&self, address: &str) -> Self {
        Self {
            resolved: Some(address.to_owned()),
            ..self.clone()
        }
    }

    /// Returns a client of the same server without a credential.
    pub fn without_credential(&self) -> Self {
        Self {
            tls: Arc::clone(&self.anonymous_tls),
            token: None,
            ..self.clone()
        }
    }

    /// Returns the same client with this bearer token, in addition to its certificate.
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// Returns the same client with this header in every request.
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// Returns the same client, impersonating a user in these groups.
    pub fn acting_as(&self, user: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|group| ("Impersonate-Group", *group));
        let headers = [("Impersonate-User", user)].into_iter().chain(groups);
        Self {
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            ..self.clone()
        }
    }

    /// Sends a GET of a path, including the query.
    pub fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(&Request::get(path))
    }

    /// Sends a POST of an object.
    pub fn post(&self, path: &str, object: &Value) -> anyhow::Result<Answer> {
        self.send(&Request::new("POST", path).json(object))
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Fails if there was no complete answer.
    pub fn send(&self, request: &Request) -> anyhow::Result<Answer> {
        self.open(request)?
            .finish()
            .with_context(|| request.to_string())
    }

    /// Sends a request and reads the head of the answer.
    pub fn open(&self, request: &Request) -> anyhow::Result<Stream> {
        let connection = self.connect().with_context(|| request.to_string())?;
        self.open_on(connection, request)
    }

    /// Connects, including TLS, without sending a request: the time from a request to its answer is
    /// then that of the server.
    pub fn connected(&self) -> anyhow::Result<Connected<'_>> {
        let mut connection = self.connect()?;
        while connection.conn.is_handshaking() {
            connection.conn.complete_io(&mut connection.sock)?;
        }
        Ok(Connected {
            client: self,
            connection,
        })
    }

    fn open_on(&self, mut stream: Connection, request: &Request) -> anyhow::Result<Stream> {
        let named = || request.to_string();
        // A server may answer before it has read the whole request: its answer takes precedence
        // over the write error.
        let sent = stream
            .write_all(&self.head(request))
            .and_then(|()| request.write_body(&mut stream));
        Stream::read(BufReader::new(Box::new(stream) as Box<dyn Read + Send>))
            .map_err(|error| match sent {
                Ok(()) => error,
                Err(unsent) => error.context(format!("not all was sent: {unsent}")),
            })
            .with_context(named)
    }

    /// Sends only the head of a request. Dropping the returned value closes the connection.
    pub fn open_unfinished(&self, request: &Request) -> anyhow::Result<impl Send + use<>> {
        let mut stream = self.connect()?;
        stream.write_all(&self.head(request))?;
        stream.flush()?;
        Ok(stream)
    }

    fn connect(&self) -> anyhow::Result<Connection> {
        let address = self.resolved.as_ref().unwrap_or(&self.address);
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(SILENCE))?;
        socket.set_write_timeout(Some(SILENCE))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(self.host.clone())?;
        let connection = ClientConnection::new(Arc::clone(&self.tls), name)?;
        Ok(StreamOwned::new(connection, socket))
    }

    fn head(&self, request: &Request) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            request.method, request.path, self.address
        );
        if let Some(token) = &self.token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        for (name, value) in self.headers.iter().chain(&request.headers) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if request.chunked {
            head.push_str("Transfer-Encoding: chunked\r\n");
        } else if !request.body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

impl Connected<'_> {
    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Fails if there was no complete answer.
    pub fn send(self, request: &Request) -> anyhow::Result<Answer> {
        let stream = self.client.open_on(self.connection, request)?;
        stream.finish().with_context(|| request.to_string())
    }
}

impl Request {
    /// Creates a request without headers and body.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            chunked: false,
        }
    }

    /// Creates a GET of a path, including the query.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the `Accept` header.
    pub fn accept(self, media_type: &str) -> Self {
        self.header("Accept", media_type)
    }

    /// Sets the body and its content type.
    pub fn body(self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut request = self.header("Content-Type", media_type);
        request.body = body.into();
        request
    }

    /// Sets an object as the body.
    pub fn json(self, object: &Value) -> Self {
        self.body("application/json", object.to_string())
    }

    /// Sets the query. The path must not have one.
    pub fn query(mut self, query: &str) -> Self {
        self.path = format!("{}?{query}", self.path);
        self
    }

    /// Sends the body in chunks, without its length.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    fn write_body(&self, to: &mut impl Write) -> std::io::Result<()> {
        if !self.chunked {
            to.write_all(&self.body)?;
            return to.flush();
        }
        for piece in self.body.chunks(64 * 1024) {
            write!(to, "{:x}\r\n", piece.len())?;
            to.write_all(piece)?;
            to.write_all(b"\r\n")?;
        }
        to.write_all(b"0\r\n\r\n")?;
        to.flush()
    }
}

/// Formats method and path.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Percent-encodes a value for a query.
pub fn encode(value: &str) -> String {
    value.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

/// Returns the answer if its status is `status`, else an error that contains it.
pub fn expect(answer: Answer, status: u16) -> anyhow::Result<Answer> {
    ensure!(
        answer.status == status,
        "not {status} but {}: {}",
        answer.status,
        answer.text()
    );
    Ok(answer)
}
