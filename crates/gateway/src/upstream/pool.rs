//! The open connections to a cluster.
//!
//! This is not a library's pool, for two reasons. A cluster limits the HTTP/2 streams of a
//! connection and watches occupy theirs for a long time, so the pool opens as many connections as
//! the streams need. And failures must be distinguished by where they occur.
//!
//! Connections are dialled one at a time until the cluster is known to use HTTP/1.1. Otherwise many
//! first requests would each open a connection where one would do.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use axum::body::Body;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::address_policy::AddressPolicy;
use super::dial::{Stream, dial};
use super::error::UpstreamError;
use super::http1_connection::{Http1Connection, start_http1};
use super::severable::Severable;
use super::streams::{CONNECTION_WINDOW, STREAM_WINDOW, StreamSlot, Streams};
use super::target::Target;

/// Maximum idle time of an HTTP/1.1 connection. kube-apiserver waits longer, so it is never the
/// first to close one.
const IDLE: Duration = Duration::from_secs(90);

/// Maximum number of idle HTTP/1.1 connections.
const MAX_IDLE: usize = 256;

/// The body of an answer. Returns its connection to the pool at its end.
pub(crate) struct PooledBody {
    incoming: Incoming,
    ended: bool,
    /// The error of the body, until it is returned to the reader.
    failed: Option<hyper::Error>,
    hold: Hold,
}

/// The connections to one cluster.
pub(super) struct Pool {
    policy: AddressPolicy,
    http1: Mutex<VecDeque<Idle>>,
    http2: Mutex<Vec<Multiplexed>>,
    speaks_http1: AtomicBool,
    retired: AtomicBool,
    dialling: tokio::sync::Mutex<()>,
    cut: CancellationToken,
}

struct Idle {
    connection: Box<Http1Connection>,
    since: Instant,
}

struct Multiplexed {
    sender: http2::SendRequest<Body>,
    streams: Arc<Streams>,
}

/// A connection with room for a request.
pub(super) struct Connection {
    link: Link,
    /// True if it has already served another request.
    is_reused: bool,
}

enum Link {
    Http1(Box<Http1Connection>),
    Http2(http2::SendRequest<Body>, StreamSlot),
}

/// Held by an answer until its end: its connection, or its stream of a shared one.
enum Hold {
    Http1(Arc<Pool>, Option<Box<Http1Connection>>),
    Http2 { _slot: StreamSlot },
}

impl Pool {
    pub(super) fn new(policy: AddressPolicy) -> Arc<Self> {
        Arc::new(Self {
            policy,
            http1: Mutex::default(),
            http2: Mutex::default(),
            speaks_http1: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            dialling: tokio::sync::Mutex::new(()),
            cut: CancellationToken::new(),
        })
    }

    /// Returns an idle connection, or one with a free stream other than `avoided`. The cluster may
    /// have closed it in the meantime, which shows when a request is sent.
    pub(super) fn waiting(&self, avoided: Option<&Arc<Streams>>) -> Option<Connection> {
        let waiting = || self.pop_idle().map(Link::Http1);
        let link = self.free_stream(avoided).or_else(waiting)?;
        Some(Connection {
            link,
            is_reused: true,
        })
    }

    /// Returns a new connection, or one that another request has opened in the meantime.
    ///
    /// # Errors
    /// The reason for the lack of a connection.
    pub(super) async fn open(
        &self,
        target: &Target,
        avoided: Option<&Arc<Streams>>,
    ) -> Result<Connection, UpstreamError> {
        let _turn = if self.speaks_http1.load(Ordering::Relaxed) {
            None
        } else {
            let turn = self.dialling.lock().await;
            if let Some(link) = self.free_stream(avoided) {
                return Ok(Connection {
                    link,
                    is_reused: true,
                });
            }
            Some(turn)
        };
        let stream = dial(target, &target.tls, self.policy).await?;
        let link = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => self.start_http2(stream).await?,
            _ => {
                self.speaks_http1.store(true, Ordering::Relaxed);
                let connection = Http1Connection::new(start_http1(stream).await?, self.is_cut());
                Link::Http1(Box::new(connection))
            }
        };
        Ok(Connection {
            link,
            is_reused: false,
        })
    }

    /// Opens a separate HTTP/1.1 connection that can be upgraded.
    ///
    /// # Errors
    /// The reason why it cannot be opened.
    pub(super) async fn open_for_upgrade(
        &self,
        target: &Target,
    ) -> Result<http1::SendRequest<Body>, UpstreamError> {
        let stream = dial(target, &target.tls_http1, self.policy).await?;
        let halves = start_http1(stream).await?;
        self.drive(halves.connection.with_upgrades());
        Ok(halves.sender)
    }

    /// Stops reusing connections. Those in use are closed after their requests.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.http1.lock().clear();
        self.http2.lock().clear();
    }

    /// Closes all connections, including those in use.
    pub(super) fn cut(&self) {
        self.retire();
        self.cut.cancel();
    }

    /// Returns the token that is cancelled when all connections are closed.
    pub(super) fn is_cut(&self) -> CancellationToken {
        self.cut.clone()
    }

    fn free_stream(&self, avoided: Option<&Arc<Streams>>) -> Option<Link> {
        let mut connections = self.http2.lock();
        connections.retain(|it| !it.sender.is_closed() && !it.streams.is_closed());
        let mut others = connections
            .iter()
            .filter(|it| avoided.is_none_or(|avoided| !Arc::ptr_eq(avoided, &it.streams)));
        others.find_map(|connection| {
            let slot = StreamSlot::take(&connection.streams)?;
            Some(Link::Http2(connection.sender.clone(), slot))
        })
    }

    /// Prefers a connection of this thread: otherwise each answer would wake the other thread.
    fn pop_idle(&self) -> Option<Box<Http1Connection>> {
        let here = thread::current().id();
        let mut idle = self.http1.lock();
        loop {
            let own = idle.iter().rposition(|idle| idle.connection.is_of(here));
            let last = idle.len().saturating_sub(1);
            let Idle { connection, since } = idle.remove(own.unwrap_or(last))?;
            if since.elapsed() <= IDLE {
                return Some(connection);
            }
        }
    }

    /// Removes the idle connections that the cluster has closed.
    pub(super) fn forget_dead(&self) {
        self.http1
            .lock()
            .retain_mut(|idle| idle.connection.is_alive());
    }

    /// Returns a connection to the pool, unless it is still sending a request that was answered
    /// early.
    fn give_back(&self, mut connection: Box<Http1Connection>) {
        if !connection.is_ready() {
            return;
        }
        let mut idle = self.http1.lock();
        if self.retired.load(Ordering::SeqCst) {
            return;
        }
        if idle.len() >= MAX_IDLE {
            idle.pop_front();
        }
        idle.push_back(Idle {
            connection,
            since: Instant::now(),
        });
    }

    async fn start_http2(&self, stream: Stream) -> Result<Link, UpstreamError> {
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(15))
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(Severable::new(stream, self.is_cut())))
            .await;
        let (sender, mut connection) = handshake.map_err(UpstreamError::of_connection)?;
        let slot = StreamSlot::first(connection.current_max_send_streams());
        let streams = Arc::clone(slot.streams());
        let updated = Arc::clone(&streams);
        self.drive(poll_fn(move |cx| {
            let progress = Pin::new(&mut connection).poll(cx);
            updated.set_limit(connection.current_max_send_streams());
            progress
        }));
        let mut connections = self.http2.lock();
        if !self.retired.load(Ordering::SeqCst) {
            connections.push(Multiplexed {
                sender: sender.clone(),
                streams,
            });
        }
        Ok(Link::Http2(sender, slot))
    }

    /// Drives a connection until it ends or is cut.
    fn drive(&self, connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
        let cut = self.cut.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                result = connection => if let Err(error) = result {
                    tracing::debug!(%error, "a connection to a cluster ended");
                },
            }
        });
    }
}

impl Connection {
    /// Sends a request of the connection's HTTP version.
    ///
    /// # Errors
    /// Includes the request if nothing of it was sent, so that it can be sent again.
    pub(super) async fn send(
        self,
        pool: &Arc<Pool>,
        request: http::Request<Body>,
    ) -> Result<http::Response<PooledBody>, TrySendError<http::Request<Body>>> {
        let (response, hold) = match self.link {
            Link::Http1(mut connection) => {
                let response = connection.send(request).await?;
                (response, Hold::Http1(Arc::clone(pool), Some(connection)))
            }
            Link::Http2(mut sender, slot) => {
                let response = sender.try_send_request(request).await?;
                (response, Hold::Http2 { _slot: slot })
            }
        };
        Ok(response.map(|incoming| PooledBody {
            incoming,
            ended: false,
            failed: None,
            hold,
        }))
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self.link, Link::Http2(..))
    }

    /// Returns whether it has already served another request.
    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Returns the streams of the connection, if it uses HTTP/2.
    pub(super) fn streams(&self) -> Option<Arc<Streams>> {
        match &self.link {
            Link::Http1(_) => None,
            Link::Http2(_, slot) => Some(Arc::clone(slot.streams())),
        }
    }
}

impl PooledBody {
    /// Maximum number of its bytes that may have arrived without being read.
    pub(crate) const WINDOW: usize = STREAM_WINDOW as usize;
}

impl http_body::Body for PooledBody {
    type Data = bytes::Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Self::Data>>>> {
        let this = &mut *self;
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = match &mut this.hold {
            Hold::Http1(_, Some(connection)) => connection.poll_frame(&mut this.incoming, cx),
            _ => Pin::new(&mut this.incoming).poll_frame(cx),
        };
        match ready!(frame) {
            Some(Err(error)) => {
                // A server discards unsent data when a body fails, so let it send that first.
                this.failed = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => {
                this.ended |= frame.is_none();
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failed.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for PooledBody {
    fn drop(&mut self) {
        let ended = self.ended || self.incoming.is_end_stream();
        if let (true, Hold::Http1(pool, connection)) = (ended, &mut self.hold)
            && let Some(connection) = connection.take()
        {
            pool.give_back(connection);
        }
    }
}
