//! Lingering close of a socket.
//!
//! Closing a socket while bytes of its client are unread resets the connection, and the client can
//! then lose the last responses. So the server reads and discards the bytes of the client for a
//! moment, until the client has closed its side as well. Both the time and the bytes are limited: a
//! client that continues to send loses the responses.

use std::io;
use std::os::fd::AsFd;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::diversion::Rewound;

/// The time for the client to close its side: that of Go after a GOAWAY (`golang.org/x/net/http2`,
/// `goAwayTimeout`).
const MOMENT: Duration = Duration::from_secs(1);

/// The maximum number of bytes to discard from one socket: what a client sends before it notices
/// that its request was rejected, with large buffers in between.
const DISCARDED: u64 = 1 << 20;

/// The maximum number of lingering sockets. Further sockets are closed immediately.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(1024));

/// A stream whose socket can linger.
pub(super) trait Linger {
    /// Keeps the socket open for a moment after the stream is dropped. Must be called after the
    /// last write.
    fn linger(&self);
}

impl Linger for TlsStream<Rewound> {
    fn linger(&self) {
        let Ok(place) = PLACES.try_acquire() else {
            return;
        };
        match duplicate(self.get_ref().0.stream()) {
            Ok(socket) => {
                tokio::spawn(async move {
                    let _place = place;
                    // The socket is closed afterwards, also after a timeout or an error.
                    let _ = timeout(MOMENT, drain(socket)).await;
                });
            }
            Err(error) => tracing::debug!(%error, "a socket is closed without being drained"),
        }
    }
}

fn duplicate(stream: &TcpStream) -> io::Result<TcpStream> {
    let socket = stream.as_fd().try_clone_to_owned()?;
    TcpStream::from_std(socket.into())
}

/// Reads and discards bytes until the client closes its side, or has sent too many.
async fn drain(socket: TcpStream) -> io::Result<()> {
    tokio::io::copy(&mut socket.take(DISCARDED), &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
impl Linger for tokio::io::DuplexStream {
    fn linger(&self) {}
}
