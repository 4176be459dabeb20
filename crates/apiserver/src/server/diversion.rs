//! Connections that are diverted by server name, before TLS is accepted.
//!
//! The listener reads the ClientHello and keeps its bytes, so the code that serves the connection
//! reads them again. A diverted connection therefore delivers exactly the bytes that its client
//! sent. The client chooses the server name; it proves nothing.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// The maximum size of a ClientHello, in bytes. Browsers with post-quantum keys send 2 KiB.
const MAX_HELLO: usize = 16 * 1024;

/// The maximum number of bytes to read from a client during its handshake, in addition to those
/// that were read to find the server name. A certificate chain takes a few KiB, and TLS would
/// buffer 64 KiB.
const MAX_HANDSHAKE: usize = 32 * 1024;

/// The number of bytes to read at once.
const CHUNK: usize = 2048;

/// The decision about diverting connections.
pub trait Diversion: Send + Sync {
    /// Returns the code that serves a connection from this address whose client requests this
    /// server name. Returns `None` to leave the connection to the server. The name is in lower case
    /// and without a port.
    fn divert(&self, server_name: &str, from: SocketAddr) -> Option<Diverted>;
}

/// A function that serves a diverted connection until it ends. It must end the connection
/// immediately when the token is cancelled because the server is shutting down.
pub type Diverted = Box<dyn FnOnce(Rewound, CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// A connection whose first bytes were read, and will be read again.
#[derive(Debug)]
pub struct Rewound {
    read: Bytes,
    stream: TcpStream,
    /// The number of bytes that the client may still send, during a handshake.
    allowed: Option<usize>,
}

impl Rewound {
    pub(super) fn untouched(stream: TcpStream) -> Self {
        Self::after(Bytes::new(), stream)
    }

    fn after(read: Bytes, stream: TcpStream) -> Self {
        Self {
            read,
            stream,
            allowed: None,
        }
    }

    /// Sets whether a handshake is in progress. During a handshake, the number of bytes is limited.
    pub(super) fn set_handshake(&mut self, is_under_way: bool) {
        self.allowed = is_under_way.then_some(MAX_HANDSHAKE);
    }

    fn poll_stream(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let Some(allowed) = &mut self.allowed {
            let count = buffer.filled().len() - before;
            let left = allowed.checked_sub(count);
            *allowed = left.ok_or_else(|| io::Error::other("the TLS handshake is too large"))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Returns the connection itself, for its socket options.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// Reads a ClientHello. The name is `None` if the client sends none, or if the bytes are not TLS.
/// In the latter case, the handshake that follows rejects the client.
///
/// # Errors
/// The client closed the connection, or the ClientHello is too large.
pub(super) async fn read_hello(mut stream: TcpStream) -> io::Result<(Rewound, Option<String>)> {
    let mut acceptor = Acceptor::default();
    let mut read = BytesMut::with_capacity(CHUNK);
    loop {
        let seen = read.len();
        let room = MAX_HELLO.saturating_sub(seen).min(CHUNK);
        if room == 0 {
            return Err(io::Error::other("the ClientHello is too large"));
        }
        if stream.read_buf(&mut (&mut read).limit(room)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut fresh = read.get(seen..).unwrap_or_default();
        if let Progress::Done(name) = advance(&mut acceptor, &mut fresh)? {
            let read = read.freeze();
            return Ok((Rewound::after(read, stream), name));
        }
    }
}

enum Progress {
    /// The ClientHello is incomplete.
    Partial,
    /// The ClientHello is complete, or the bytes are not a ClientHello.
    Done(Option<String>),
}

fn advance(acceptor: &mut Acceptor, fresh: &mut &[u8]) -> io::Result<Progress> {
    while !fresh.is_empty() {
        acceptor.read_tls(fresh)?;
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let name = accepted.client_hello().server_name().map(str::to_owned);
                return Ok(Progress::Done(name.map(|name| name.to_ascii_lowercase())));
            }
            Err(_) => return Ok(Progress::Done(None)),
        }
    }
    Ok(Progress::Partial)
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return self.poll_stream(cx, buffer);
        }
        let count = self.read.len().min(buffer.remaining());
        buffer.put_slice(self.read.get(..count).unwrap_or_default());
        self.read.advance(count);
        if self.read.is_empty() {
            self.read = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
