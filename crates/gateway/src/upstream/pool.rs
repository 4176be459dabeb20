//! The open connections to a cluster.
//!
//! This is not a library's pool, for two reasons. A cluster limits the HTTP/2 streams of a
//! connection and watches occupy theirs for a long time, so the pool opens as many connections as
//! the streams need. And failures must be distinguished by where they occur.
//!
//! An HTTP/1.1 connection has no task of its own: the task that waits for an answer also drives the
//! connection. So one task serves a request from end to end, and an idle connection costs nothing.
//!
//! Connections are dialled one at a time until the cluster is known to use HTTP/1.1. Otherwise many
//! first requests would each open a connection where one would do.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::thread::{self, ThreadId};
use std::time::Duration;

use axum::body::Body;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::task::unconstrained;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::dial::{Stream, dial};
use super::severable::Severable;
use super::target::Target;
use super::{AddressPolicy, UpstreamError};

/// Maximum idle time of an HTTP/1.1 connection. kube-apiserver waits longer, so it is never the
/// first to close one.
const IDLE: Duration = Duration::from_secs(90);

/// Maximum number of idle HTTP/1.1 connections.
const MAX_IDLE: usize = 256;

/// The flow-control window of a stream, in bytes.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// The flow-control window of a connection in bytes, as in Go's transport. It covers the windows of
/// all its streams, so that a client that does not read cannot delay another one.
const CONNECTION_WINDOW: u32 = 1024 * 1024 * 1024;

/// The body of an answer. Returns its connection to the pool at its end.
pub(crate) struct PooledBody {
    incoming: Incoming,
    ended: bool,
    /// The error of the body, until it is returned to the reader.
    failed: Option<hyper::Error>,
    hold: Hold,
}

/// An HTTP/1.1 connection. It makes progress only while it is polled.
pub(super) struct Line {
    sender: http1::SendRequest<Body>,
    /// `None` after it has ended.
    connection: Option<http1::Connection<TokioIo<Stream>, Body>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The thread whose runtime waits for its bytes.
    home: ThreadId,
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
    line: Box<Line>,
    since: Instant,
}

struct Multiplexed {
    sender: http2::SendRequest<Body>,
    streams: Arc<Streams>,
}

/// The streams of an HTTP/2 connection.
pub(super) struct Streams {
    taken: AtomicUsize,
    /// Maximum number of concurrent streams that the cluster permits.
    limit: AtomicUsize,
    /// True if the cluster accepts no more streams.
    is_closed: AtomicBool,
}

/// A connection with room for a request.
pub(super) struct Connection {
    link: Link,
    /// True if it has already served another request.
    is_reused: bool,
}

enum Link {
    Http1(Box<Line>),
    Http2(http2::SendRequest<Body>, StreamPlace),
}

/// Held by an answer until its end: its connection, or its stream of a shared one.
enum Hold {
    Http1(Arc<Pool>, Option<Box<Line>>),
    Http2 { _place: StreamPlace },
}

/// A stream of an HTTP/2 connection.
pub(super) struct StreamPlace(Arc<Streams>);

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
                let line = Line::new(start_http1(stream).await?, self.is_cut());
                Link::Http1(Box::new(line))
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
        let (sender, connection) = start_http1(stream).await?;
        self.drive(connection.with_upgrades());
        Ok(sender)
    }

    /// Stops reusing connections. Those in use are closed after their requests.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        lock(&self.http1).clear();
        lock(&self.http2).clear();
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
        let mut connections = lock(&self.http2);
        connections.retain(|it| !it.sender.is_closed() && !it.streams.is_closed());
        let mut others = connections
            .iter()
            .filter(|it| avoided.is_none_or(|avoided| !Arc::ptr_eq(avoided, &it.streams)));
        others.find_map(|connection| {
            let place = StreamPlace::take(&connection.streams)?;
            Some(Link::Http2(connection.sender.clone(), place))
        })
    }

    /// Prefers a connection of this thread: otherwise each answer would wake the other thread.
    fn pop_idle(&self) -> Option<Box<Line>> {
        let here = thread::current().id();
        let mut idle = lock(&self.http1);
        loop {
            let own = idle.iter().rposition(|idle| idle.line.home == here);
            let last = idle.len().saturating_sub(1);
            let Idle { line, since } = idle.remove(own.unwrap_or(last))?;
            if since.elapsed() <= IDLE {
                return Some(line);
            }
        }
    }

    /// Removes the idle connections that the cluster has closed.
    pub(super) fn forget_dead(&self) {
        lock(&self.http1).retain_mut(|idle| idle.line.is_alive());
    }

    /// Returns a connection to the pool, unless it is still sending a request that was answered
    /// early.
    fn give_back(&self, mut line: Box<Line>) {
        if !line.is_ready() {
            return;
        }
        let mut idle = lock(&self.http1);
        if self.retired.load(Ordering::SeqCst) {
            return;
        }
        if idle.len() >= MAX_IDLE {
            idle.pop_front();
        }
        idle.push_back(Idle {
            line,
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
        let streams = Arc::new(Streams {
            taken: AtomicUsize::new(1),
            limit: AtomicUsize::new(connection.current_max_send_streams()),
            is_closed: AtomicBool::new(false),
        });
        let place = StreamPlace(Arc::clone(&streams));
        let told = Arc::clone(&streams);
        self.drive(poll_fn(move |cx| {
            let progress = Pin::new(&mut connection).poll(cx);
            let limit = connection.current_max_send_streams();
            told.limit.store(limit, Ordering::Relaxed);
            progress
        }));
        let mut connections = lock(&self.http2);
        if !self.retired.load(Ordering::SeqCst) {
            connections.push(Multiplexed {
                sender: sender.clone(),
                streams,
            });
        }
        Ok(Link::Http2(sender, place))
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

type Http1 = (
    http1::SendRequest<Body>,
    http1::Connection<TokioIo<Stream>, Body>,
);

async fn start_http1(stream: Stream) -> Result<Http1, UpstreamError> {
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    handshake.map_err(UpstreamError::of_connection)
}

impl Line {
    fn new((sender, connection): Http1, cut: CancellationToken) -> Self {
        Self {
            sender,
            connection: Some(connection),
            cut: Box::pin(cut.cancelled_owned()),
            home: thread::current().id(),
        }
    }

    /// Returns whether a request can be sent, because no other is in flight.
    fn is_ready(&mut self) -> bool {
        // Another poll may be needed to notice that the last request has ended.
        self.sender.is_ready() || self.is_alive() && self.sender.is_ready()
    }

    /// Returns whether the cluster has not closed the connection.
    fn is_alive(&mut self) -> bool {
        self.advance(&mut nobody());
        self.connection.is_some()
    }

    /// Drives the connection. Results, including its end, appear in the answer or its body.
    fn advance(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection {
            let is_cut = self.cut.as_mut().poll(cx).is_ready();
            if is_cut || Pin::new(connection).poll(cx).is_ready() {
                self.connection = None;
            }
        }
    }

    /// Polls the next frame of an answer's body.
    fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<bytes::Bytes>>>> {
        let frame = Pin::new(&mut *incoming).poll_frame(&mut nobody());
        if frame.is_ready() {
            return frame;
        }
        // hyper now knows that the reader wants more data.
        self.poll(cx, |cx| Pin::new(&mut *incoming).poll_frame(cx))
    }

    /// Drives the connection until `outcome` is ready. Its two halves would wake the task at each
    /// step, although both are polled here. So the first round uses a no-op waker, and only if it
    /// has to wait is the task registered for bytes from the cluster.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut outcome: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.advance(&mut nobody());
        if let Poll::Ready(outcome) = outcome(&mut nobody()) {
            return Poll::Ready(outcome);
        }
        self.advance(cx);
        outcome(&mut nobody())
    }

    async fn send(
        &mut self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Incoming>, TrySendError<http::Request<Body>>> {
        // Unconstrained: tokio must not make it yield, since its wake-up would go to the no-op
        // waker.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        poll_fn(|cx| self.poll(cx, |cx| answer.as_mut().poll(cx))).await
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
            Link::Http1(mut line) => {
                let response = line.send(request).await?;
                (response, Hold::Http1(Arc::clone(pool), Some(line)))
            }
            Link::Http2(mut sender, place) => {
                let response = sender.try_send_request(request).await?;
                (response, Hold::Http2 { _place: place })
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
            Link::Http2(_, place) => Some(Arc::clone(&place.0)),
        }
    }
}

impl Streams {
    /// Records that the cluster accepts no more streams on this connection.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }
}

impl StreamPlace {
    /// Takes a stream, if one is free.
    fn take(streams: &Arc<Streams>) -> Option<Self> {
        let limit = streams.limit.load(Ordering::Relaxed);
        let limit = limit.clamp(1, (CONNECTION_WINDOW / STREAM_WINDOW) as usize);
        let next = |taken| (taken < limit).then_some(taken + 1);
        let taken = streams
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        taken.ok().map(|_| Self(Arc::clone(streams)))
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
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
            Hold::Http1(_, Some(line)) => line.poll_frame(&mut this.incoming, cx),
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
        if let (true, Hold::Http1(pool, line)) = (ended, &mut self.hold)
            && let Some(line) = line.take()
        {
            pool.give_back(line);
        }
    }
}

/// Returns a context that wakes no task, for polls that do not wait.
fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Poisoning is ignored: every update leaves the list consistent.
fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
