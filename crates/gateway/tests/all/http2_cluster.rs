//! A scriptable cluster that handles HTTP/2 frame by frame (RFC 9113).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;

use crate::cluster::{Cluster, Peer};
use crate::world::World;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// HTTP/2 error codes.
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// The requests that a cluster received in full: the number of the connection and the body.
pub(crate) type Requests = Arc<Mutex<Vec<(usize, String)>>>;

/// A connection of the gateway.
pub(crate) struct Http2 {
    /// The number of the connection, starting at 0.
    pub(crate) number: usize,
    peer: Peer,
    requests: Requests,
    bodies: std::collections::HashMap<u32, Vec<u8>>,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// Starts a cluster that runs this script for each connection. Returns the requests that it
/// receives.
pub(crate) async fn start<F: Future<Output = ()> + Send + 'static>(
    world: &World,
    script: impl Fn(Http2) -> F + Send + Sync + 'static,
) -> (Cluster, Requests) {
    let requests = Requests::default();
    let (kept, count) = (Arc::clone(&requests), AtomicUsize::new(0));
    let script = Arc::new(script);
    let cluster = Cluster::start(tls(world), move |mut peer| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let (script, requests) = (Arc::clone(&script), Arc::clone(&kept));
        async move {
            assert!(peer.take(24).await.starts_with(b"PRI * HTTP/2.0"));
            let mut http2 = Http2 {
                number,
                peer,
                requests,
                bodies: std::collections::HashMap::new(),
            };
            http2.write(SETTINGS, 0, 0, &[]).await;
            script(http2).await;
        }
    })
    .await;
    (cluster, requests)
}

fn tls(world: &World) -> Arc<ServerConfig> {
    let mut tls = ServerConfig::clone(&world.tls());
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(tls)
}

impl Http2 {
    /// Returns the stream of the next request that has arrived in full, or `None` at the end of the
    /// connection.
    pub(crate) async fn request(&mut self) -> Option<u32> {
        loop {
            let frame = self.frame().await?;
            let body = self.bodies.entry(frame.stream).or_default();
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.write(SETTINGS, ACK, 0, &[]).await,
                PING if frame.flags & ACK == 0 => self.write(PING, ACK, 0, &frame.payload).await,
                DATA => body.extend_from_slice(&frame.payload),
                _ => {}
            }
            if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                let body = self.bodies.remove(&frame.stream).unwrap_or_default();
                let body = String::from_utf8(body).unwrap();
                self.requests.lock().unwrap().push((self.number, body));
                return Some(frame.stream);
            }
        }
    }

    /// Waits until a request has begun.
    pub(crate) async fn begun(&mut self) {
        while self
            .frame()
            .await
            .is_some_and(|frame| frame.kind != HEADERS)
        {}
    }

    /// Reads until the connection ends.
    pub(crate) async fn wait_for_end(&mut self) {
        while self.request().await.is_some() {}
    }

    /// Sends a 200 with this body.
    pub(crate) async fn answer(&mut self, stream: u32, body: &str) {
        self.begin(stream).await;
        self.write(DATA, END_STREAM, stream, body.as_bytes()).await;
    }

    /// Starts a 200.
    pub(crate) async fn begin(&mut self, stream: u32) {
        // Index 8 of the static table of HPACK (RFC 7541, appendix A): ":status: 200".
        self.write(HEADERS, END_HEADERS, stream, &[0x88]).await;
    }

    /// Sends a part of an answer's body.
    pub(crate) async fn data(&mut self, stream: u32, body: &[u8]) {
        self.write(DATA, 0, stream, body).await;
    }

    /// Accepts no more streams. Those above `last` are not processed.
    pub(crate) async fn go_away(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        self.write(GOAWAY, 0, 0, &payload).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, code: u32) {
        self.write(RST_STREAM, 0, stream, &code.to_be_bytes()).await;
    }

    async fn frame(&mut self) -> Option<Frame> {
        let head = self.peer.take(9).await;
        let [a, b, c, kind, flags, rest @ ..] = head.as_slice() else {
            return None;
        };
        let length = u32::from_be_bytes([0, *a, *b, *c]);
        let stream = u32::from_be_bytes(rest.try_into().ok()?) & 0x7fff_ffff;
        Some(Frame {
            kind: *kind,
            flags: *flags,
            stream,
            payload: self.peer.take(length as usize).await,
        })
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        // The gateway may have closed the connection.
        let _ = self.peer.stream.write_all(&frame).await;
        let _ = self.peer.stream.flush().await;
    }
}
