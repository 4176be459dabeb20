//! The limit: a bare server on the stack of the real one (tokio, hyper, rustls with aws-lc-rs), in
//! a separate process. It does the minimum for each kind of request.
//!
//! | request | answer |
//! |---|---|
//! | `GET /hello`, `POST /hello` | 1.5 KB, always the same |
//! | `GET /bytes/N` | N bytes, always the same |
//! | `GET /parts/N` | N bytes in parts, between which other requests are answered |
//! | `POST /durable` | 1.5 KB once 4 KiB are durable; concurrent requests share one `fdatasync` |
//! | `GET /watch` | a stream of all that is published |
//! | `POST /publish` | sends its body to every watcher |
//! | `POST /tunnel` | an upgrade, then an endless stream of bytes |
//!
//! Any other request is rejected, so that a measured limit is never that of an error.

mod durable;

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_rustls::TlsAcceptor;

use self::durable::Durable;
use crate::endpoint::{Endpoint, provider};
use crate::process::Process;

/// Size of a usual answer, in bytes: about that of a kubeconfig record.
const HELLO: usize = 1536;

/// Maximum number of events that a watcher may be behind.
const BACKLOG: usize = 4096;

/// Number of bytes per write into a tunnel, and of a part.
const FLOOD: usize = 64 * 1024;

const CERTIFICATE: &str = "bare.pem";

/// The bare server as a child of the bench.
pub(crate) struct Bare {
    pub(crate) process: Process,
    pub(crate) endpoint: Arc<Endpoint>,
    /// The server's own certificate, PEM, which its clients trust.
    pub(crate) certificate: String,
}

impl Bare {
    /// Starts this program as the bare server. Its socket is bound when this returns.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare").arg("--folder").arg(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let output = process.child().stdout.take().context("no pipe")?;
        let mut port = String::new();
        BufReader::new(output).read_line(&mut port)?;
        let port = port.trim().parse().context("the bare server has no port")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let certificate = std::fs::read_to_string(folder.join(CERTIFICATE))?;
        Ok(Self {
            process,
            endpoint: Endpoint::new(address, certificate.as_bytes(), None)?,
            certificate,
        })
    }
}

/// Runs the bare server in the child: writes its certificate to `folder` and its port to standard
/// output, and serves until it is killed.
pub(crate) async fn serve(folder: &Path) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let accepting = accept(listener, folder)?;
    writeln!(std::io::stdout(), "{port}")?;
    accepting.await
}

/// Returns a future that serves. The certificate is written when this returns.
fn accept(
    listener: TcpListener,
    folder: &Path,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<>> {
    let acceptor = acceptor(folder)?;
    let state = Arc::new(State {
        hello: vec![b'x'; HELLO].into(),
        large: Mutex::default(),
        durable: Durable::start(folder)?,
        events: broadcast::Sender::new(BACKLOG),
    });
    Ok(async move {
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(connection(stream, acceptor.clone(), Arc::clone(&state)));
        }
    })
}

struct State {
    hello: Bytes,
    /// The largest body that was requested so far.
    large: Mutex<Bytes>,
    durable: Durable,
    events: broadcast::Sender<Bytes>,
}

type Body = Either<Full<Bytes>, StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>;

fn acceptor(folder: &Path) -> anyhow::Result<TlsAcceptor> {
    let certified = rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()])?;
    std::fs::write(folder.join(CERTIFICATE), certified.cert.pem())?;
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certified.cert.der().clone()],
            PrivateKeyDer::Pkcs8(key),
        )?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves one connection. Errors are ignored, because they are caused by the client.
async fn connection(stream: TcpStream, acceptor: TlsAcceptor, state: Arc<State>) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = service_fn(|request| answer(Arc::clone(&state), request));
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

async fn answer(
    state: Arc<State>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, hyper::Error> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = head.uri.path();
    Ok(match (head.method, path) {
        (Method::GET, "/hello" | "/readyz") | (Method::POST, "/hello") => {
            response(StatusCode::OK, whole(&state.hello))
        }
        (Method::GET, "/watch") => response(StatusCode::OK, watch(state.events.subscribe())),
        (Method::POST, "/durable") => {
            state.durable.wait().await;
            response(StatusCode::CREATED, whole(&state.hello))
        }
        (Method::POST, "/publish") => {
            // Fails if there is no watcher.
            let _ = state.events.send(body);
            response(StatusCode::CREATED, whole(&state.hello))
        }
        (Method::POST, "/tunnel") => {
            tokio::spawn(flood(upgrade));
            upgraded()
        }
        (Method::GET, path) => match path.split_once('/').map(|(_, rest)| rest.split_once('/')) {
            Some(Some(("bytes", size))) => sized(size, |size| whole(&large(&state, size))),
            Some(Some(("parts", size))) => sized(size, |size| parts(large(&state, size))),
            _ => refused(),
        },
        _ => refused(),
    })
}

/// Fills a tunnel until its reader is gone.
async fn flood(upgrade: OnUpgrade) {
    let Ok(tunnel) = upgrade.await else {
        return;
    };
    let mut tunnel = TokioIo::new(tunnel);
    let bytes = vec![b'x'; FLOOD];
    while tunnel.write_all(&bytes).await.is_ok() {}
}

fn upgraded() -> Response<Body> {
    let mut response = response(StatusCode::SWITCHING_PROTOCOLS, whole(&Bytes::new()));
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    response
}

fn refused() -> Response<Body> {
    response(
        StatusCode::NOT_FOUND,
        whole(&Bytes::from_static(b"refused")),
    )
}

fn response(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn whole(bytes: &Bytes) -> Body {
    Either::Left(Full::new(bytes.clone()))
}

/// Returns a response of as many bytes as a path demands.
fn sized(size: &str, body: impl FnOnce(usize) -> Body) -> Response<Body> {
    match size.parse() {
        Ok(size) => response(StatusCode::OK, body(size)),
        Err(_) => refused(),
    }
}

/// Returns a body that yields to other tasks after each part.
fn parts(bytes: Bytes) -> Body {
    let parts = stream::unfold(bytes, |mut rest| async move {
        tokio::task::yield_now().await;
        let part = rest.split_to(rest.len().min(FLOOD));
        (!part.is_empty()).then(|| (Ok(Frame::data(part)), rest))
    });
    Either::Right(StreamBody::new(parts.boxed()))
}

fn large(state: &State, size: usize) -> Bytes {
    let mut large = state.large.lock();
    if large.len() < size {
        *large = vec![b'x'; size].into();
    }
    large.slice(..size)
}

/// Returns a body of the events published from now on. It ends if its reader is too far behind.
fn watch(events: broadcast::Receiver<Bytes>) -> Body {
    let frames = stream::unfold(events, |mut events| async move {
        let event = events.recv().await.ok()?;
        Some((Ok(Frame::data(event)), events))
    });
    Either::Right(StreamBody::new(frames.boxed()))
}

#[cfg(test)]
mod tests;
