//! The end of a socket.
//!
//! A socket that is closed while bytes of its client are unread resets the connection, and then the client can lose the
//! last answers that it was sent. So the bytes of the client are read, and dropped, until it has closed its side as
//! well, for a moment.

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

/// The time for the client; Go's, after a GOAWAY (`golang.org/x/net/http2`, `goAwayTimeout`).
const MOMENT: Duration = Duration::from_secs(1);

/// Sockets that linger at once. Others are closed at once.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(1024));

/// A stream whose socket can linger.
pub(super) trait Linger {
    /// Keeps the socket open for a moment after the stream was dropped. Called after the last write.
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
                    // Whatever ends it, the socket is closed then.
                    let _ = timeout(MOMENT, drain(socket)).await;
                });
            }
            Err(error) => tracing::debug!(%error, "a socket is closed at once"),
        }
    }
}

fn duplicate(stream: &TcpStream) -> io::Result<TcpStream> {
    let socket = stream.as_fd().try_clone_to_owned()?;
    TcpStream::from_std(socket.into())
}

/// Reads to the end.
async fn drain(mut socket: TcpStream) -> io::Result<()> {
    let mut dropped = vec![0; 4096];
    while socket.read(&mut dropped).await? > 0 {}
    Ok(())
}

#[cfg(test)]
impl Linger for tokio::io::DuplexStream {
    fn linger(&self) {}
}
