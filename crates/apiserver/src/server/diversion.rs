//! Connections that are taken away by the name that their clients ask for, before TLS is accepted.
//!
//! The ClientHello is read and kept: whoever goes on with the connection reads it again. So the
//! bytes of a connection that is taken away are those that its client has sent. The name in it is
//! what the client says; nothing is proven.

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

/// Longest ClientHello, in bytes, that is looked into; browsers with post-quantum keys send 2 KiB.
const MAX_HELLO: usize = 16 * 1024;

/// Most bytes of a client until its handshake is over: a chain of certificates takes a few KiB, and TLS would
/// keep 64 KiB.
const MAX_HANDSHAKE: usize = 32 * 1024;

/// Bytes that are read at once.
const CHUNK: usize = 2048;

/// Who takes connections away.
pub trait Diversion: Send + Sync {
    /// What becomes of a connection from this address whose client asks for this name; `None`
    /// leaves it to the server. The name is in lower case and without a port.
    fn divert(&self, server_name: &str, from: SocketAddr) -> Option<Diverted>;
}

/// Works on a connection that was taken away, until it has ended; at once when the server stops.
pub type Diverted = Box<dyn FnOnce(Rewound, CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// A connection of which something was read, to be read once more.
#[derive(Debug)]
pub struct Rewound {
    read: Bytes,
    stream: TcpStream,
    /// Bytes that may still come, during a handshake.
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

    /// Sets whether a handshake is under way, during which only so many bytes may come.
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
            *allowed = left.ok_or_else(|| io::Error::other("the handshake is too long"))?;
        }
        Poll::Ready(Ok(()))
    }

    /// The connection itself, for its options.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// Reads a ClientHello. There is no name where the client says none, or where it does not speak TLS,
/// which the handshake will tell it.
///
/// # Errors
/// It broke off, or is too long.
pub(super) async fn read_hello(mut stream: TcpStream) -> io::Result<(Rewound, Option<String>)> {
    let mut acceptor = Acceptor::default();
    let mut read = BytesMut::with_capacity(CHUNK);
    loop {
        let seen = read.len();
        let room = MAX_HELLO.saturating_sub(seen).min(CHUNK);
        if room == 0 {
            return Err(io::Error::other("the ClientHello is too long"));
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
    /// More is to come.
    Partial,
    /// It is whole, or none.
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
