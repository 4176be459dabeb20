//! Floods of HTTP/2 heads.

use std::fmt;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::socket::{Socket, Target};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// `GET https://x/livez` in HPACK.
const GET: &[u8] = b"\x82\x04\x06/livez\x87\x41\x01x";

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Number of connections that send at the same time.
const THREADS: usize = 8;

/// Many heads on many connections.
pub(super) struct Flood {
    connections: usize,
    streams: u32,
    block: Vec<u8>,
    has_end: bool,
}

impl Flood {
    /// Creates a flood of `streams` heads with these fields on each of `connections` connections.
    pub(super) fn new(connections: usize, streams: u32, fields: &[u8]) -> Self {
        Self {
            connections,
            streams,
            block: [GET, fields].concat(),
            has_end: true,
        }
    }

    /// Leaves each head incomplete.
    pub(super) fn without_end(mut self) -> Self {
        self.has_end = false;
        self
    }

    /// Sends as much as the server accepts, and returns the connections.
    pub(super) fn send(&self, target: &Target) -> Vec<Socket> {
        let next = AtomicUsize::new(0);
        let open = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    while next.fetch_add(1, Ordering::Relaxed) < self.connections {
                        open.lock().unwrap().extend(self.send_one(target));
                    }
                });
            }
        });
        open.into_inner().unwrap()
    }

    /// Sends the heads of one connection. The server may disconnect, or stop reading, at any time.
    fn send_one(&self, target: &Target) -> Option<Socket> {
        let mut socket = Socket::connect(target, 2, "h2").ok()?;
        let mut sent = socket.write_all(PREFACE);
        for number in 0..self.streams {
            if sent.is_err() {
                break;
            }
            sent = socket.write_all(&self.head(2 * number + 1));
        }
        Some(socket)
    }

    fn head(&self, stream: u32) -> Vec<u8> {
        let chunks: Vec<_> = self.block.chunks(16_384).collect();
        let mut head = Vec::new();
        for (number, chunk) in chunks.iter().enumerate() {
            let is_last = number + 1 == chunks.len();
            let end = if is_last && self.has_end {
                END_HEADERS
            } else {
                0
            };
            let (kind, flags) = match number {
                0 => (1, END_STREAM | end),
                _ => (9, end),
            };
            let length = u32::try_from(chunk.len()).unwrap().to_be_bytes();
            head.extend_from_slice(&length[1..]);
            head.extend_from_slice(&[kind, flags]);
            head.extend_from_slice(&stream.to_be_bytes());
            head.extend_from_slice(chunk);
        }
        head
    }
}

impl fmt::Debug for Flood {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (connections, streams, bytes) = (self.connections, self.streams, self.block.len());
        write!(
            formatter,
            "{connections} connections with {streams} heads of {bytes} bytes"
        )
    }
}
