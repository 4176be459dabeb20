//! An HTTP/1.1 connection to a cluster.
//!
//! It has no task of its own: the task that waits for an answer also drives the connection. So one
//! task serves a request from end to end, and an idle connection costs nothing.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};

use axum::body::Body;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio::task::unconstrained;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::dial::Stream;
use super::error::UpstreamError;

/// An HTTP/1.1 connection. It makes progress only while it is polled.
pub(super) struct Http1Connection {
    sender: http1::SendRequest<Body>,
    /// `None` after it has ended.
    connection: Option<http1::Connection<TokioIo<Stream>, Body>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The thread whose runtime waits for its bytes.
    home: ThreadId,
}

/// The two halves of an HTTP/1.1 connection after its handshake.
pub(super) struct Http1Halves {
    pub(super) sender: http1::SendRequest<Body>,
    pub(super) connection: http1::Connection<TokioIo<Stream>, Body>,
}

/// Starts HTTP/1.1 on a byte stream.
pub(super) async fn start_http1(stream: Stream) -> Result<Http1Halves, UpstreamError> {
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(UpstreamError::of_connection)?;
    Ok(Http1Halves { sender, connection })
}

impl Http1Connection {
    /// Wraps the halves of a connection that ends when `cut` is cancelled.
    pub(super) fn new(halves: Http1Halves, cut: CancellationToken) -> Self {
        Self {
            sender: halves.sender,
            connection: Some(halves.connection),
            cut: Box::pin(cut.cancelled_owned()),
            home: thread::current().id(),
        }
    }

    /// Returns whether the runtime of this thread waits for its bytes.
    pub(super) fn is_of(&self, thread: ThreadId) -> bool {
        self.home == thread
    }

    /// Returns whether a request can be sent, because no other is in flight.
    pub(super) fn is_ready(&mut self) -> bool {
        // Another poll may be needed to notice that the last request has ended.
        self.sender.is_ready() || self.is_alive() && self.sender.is_ready()
    }

    /// Returns whether the cluster has not closed the connection.
    pub(super) fn is_alive(&mut self) -> bool {
        self.advance(&mut noop_context());
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
    pub(super) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<bytes::Bytes>>>> {
        let frame = Pin::new(&mut *incoming).poll_frame(&mut noop_context());
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
        self.advance(&mut noop_context());
        if let Poll::Ready(outcome) = outcome(&mut noop_context()) {
            return Poll::Ready(outcome);
        }
        self.advance(cx);
        outcome(&mut noop_context())
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Includes the request if nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        // Unconstrained: tokio must not make it yield, since its wake-up would go to the no-op
        // waker.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        poll_fn(|cx| self.poll(cx, |cx| answer.as_mut().poll(cx))).await
    }
}

/// Returns a context that wakes no task, for polls that do not wait.
fn noop_context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
