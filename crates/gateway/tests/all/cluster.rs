//! A scriptable cluster that records every byte it receives.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::client::{PATIENCE, Wire};

/// A connection of the gateway, from the cluster's side.
pub(crate) type Peer = Wire<Recorded>;

/// A cluster's API server.
pub(crate) struct Cluster {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    open: Arc<AtomicUsize>,
}

impl Cluster {
    /// Starts a cluster that runs this script for each connection.
    pub(crate) async fn start<F: Future<Output = ()> + Send + 'static>(
        tls: Arc<ServerConfig>,
        script: impl Fn(Peer) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, open) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let (record, counter) = (Arc::clone(&seen), Arc::clone(&open));
        let script = Arc::new(script);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, script) = (TlsAcceptor::from(Arc::clone(&tls)), Arc::clone(&script));
                let (record, counter) = (Arc::clone(&record), Arc::clone(&counter));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    counter.fetch_add(1, Ordering::SeqCst);
                    script(Wire::new(Recorded::new(stream, record))).await;
                    counter.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            seen,
            open,
        }
    }

    /// Starts a cluster that answers every request with `ok`.
    pub(crate) async fn answering(tls: Arc<ServerConfig>) -> Self {
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
        Self::saying(tls, answer).await
    }

    /// Starts a cluster that sends this answer to every request.
    pub(crate) async fn saying(tls: Arc<ServerConfig>, answer: &'static str) -> Self {
        Self::start(tls, move |mut peer| async move {
            while let Some(head) = peer.head().await {
                peer.body(&head, false).await;
                peer.send(answer).await;
            }
        })
        .await
    }

    /// Returns the received bytes of each connection.
    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        seen.iter().map(text).collect()
    }

    /// Returns all received bytes, and checks that there was only one connection.
    pub(crate) fn only(&self) -> String {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.concat()
    }

    /// Waits until this many connections are open.
    pub(crate) async fn wait_open(&self, expected: usize) {
        let mut waited = std::time::Duration::ZERO;
        while self.open.load(Ordering::SeqCst) != expected {
            let pause = std::time::Duration::from_millis(10);
            tokio::time::sleep(pause).await;
            waited += pause;
            // Shorter than the keepalive of a silent peer, which would close the connection.
            assert!(waited < PATIENCE / 2, "connections stay open");
        }
    }
}

/// Returns the header lines of a request that start with these prefixes, in order.
pub(crate) fn lines(head: &str, prefixes: &[&str]) -> Vec<String> {
    let lines = head.lines().skip(1).map(str::to_owned);
    let wanted = |line: &String| {
        let lower = line.to_ascii_lowercase();
        prefixes.iter().any(|prefix| lower.starts_with(prefix))
    };
    lines.filter(wanted).collect()
}

/// A stream that records the bytes read from it.
pub(crate) struct Recorded {
    pub(crate) stream: TlsStream<TcpStream>,
    record: Arc<Mutex<Vec<Vec<u8>>>>,
    index: usize,
}

impl Recorded {
    fn new(stream: TlsStream<TcpStream>, record: Arc<Mutex<Vec<Vec<u8>>>>) -> Self {
        let index = {
            let mut all = record.lock().unwrap();
            all.push(Vec::new());
            all.len() - 1
        };
        Self {
            stream,
            record,
            index,
        }
    }
}

impl tokio::io::AsyncRead for Recorded {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = std::pin::Pin::new(&mut self.stream).poll_read(cx, buffer);
        let mut record = self.record.lock().unwrap();
        let kept = &mut record[self.index];
        // A long tunnel is not recorded in full.
        if kept.len() < 64 * 1024 {
            kept.extend_from_slice(&buffer.filled()[before..]);
        }
        drop(record);
        read
    }
}

impl tokio::io::AsyncWrite for Recorded {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
