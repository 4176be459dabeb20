//! A request that can be sent more than once, and what is known of one that got no answer.

use std::error::Error;
use std::sync::Arc;

use axum::BoxError;
use axum::body::Body;
use http::{Method, Request};
use http_body::Body as _;
use hyper::client::conn::TrySendError;

use super::error::UpstreamError;
use super::kept_body::{Budget, KeptBody};
use super::streams::Streams;
use super::target::Target;

/// A request that can be sent more than once.
pub(super) struct Outgoing {
    head: Request<()>,
    /// `None` if the request has no body.
    body: Option<KeptBody>,
}

/// A request that got no answer.
pub(super) struct Unanswered {
    pub(super) error: hyper::Error,
    pub(super) fate: Fate,
    /// The HTTP/2 connection that it was sent on.
    pub(super) streams: Option<Arc<Streams>>,
}

/// The known state of a request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing of it was written.
    Unsent,
    /// The cluster accepts no more streams on the connection, and did not accept this one.
    NotTaken,
    /// The cluster refused this stream before it processed it.
    Refused,
    /// The connection broke, and the cluster may have processed the request.
    Lost,
    /// The cluster, or this side, aborted the request. The cluster may have processed it.
    Failed,
}

impl Outgoing {
    pub(super) fn new(request: Request<Body>, budget: &Arc<Budget>) -> Self {
        let (head, body) = request.into_parts();
        let is_empty = body.is_end_stream();
        Self {
            head: Request::from_parts(head, ()),
            body: (!is_empty).then(|| KeptBody::new(body, budget)),
        }
    }

    /// Returns the request for one attempt.
    pub(super) fn attempt(
        &self,
        target: &Target,
        http2: bool,
    ) -> Result<Request<Body>, UpstreamError> {
        let gone = || UpstreamError::NotProcessed(Arc::from(BoxError::from("its body is gone")));
        let body = match &self.body {
            None => Body::empty(),
            Some(kept) => kept.reader().ok_or_else(gone)?,
        };
        if !http2 {
            // HTTP/1.1 has no streams that could be refused, and hyper returns unsent requests.
            self.release();
        }
        let mut request = self.head.clone().map(|()| body);
        target.address(&mut request, http2)?;
        Ok(request)
    }

    /// Returns whether the body can still be sent from its beginning.
    pub(super) fn is_whole(&self) -> bool {
        self.body.as_ref().is_none_or(KeptBody::is_whole)
    }

    /// Returns whether processing the request twice is harmless.
    pub(super) fn is_safe(&self) -> bool {
        self.body.is_none() && matches!(*self.head.method(), Method::GET | Method::HEAD)
    }

    /// Returns whether the client has failed to send the body.
    pub(super) fn has_failed(&self) -> bool {
        self.body.as_ref().is_some_and(KeptBody::has_failed)
    }

    pub(super) fn release(&self) {
        if let Some(body) = &self.body {
            body.release();
        }
    }
}

impl Unanswered {
    pub(super) fn into_error(self) -> UpstreamError {
        match self.fate {
            Fate::Unsent => UpstreamError::of_connection(self.error),
            Fate::NotTaken | Fate::Refused => UpstreamError::NotProcessed(Arc::new(self.error)),
            Fate::Lost | Fate::Failed => UpstreamError::of_exchange(self.error),
        }
    }
}

impl Fate {
    pub(super) fn of(failure: &mut TrySendError<Request<Body>>) -> Self {
        if failure.take_message().is_some() {
            return Self::Unsent;
        }
        let first: &(dyn Error + 'static) = failure.error();
        let mut causes = std::iter::successors(Some(first), |error| (*error).source());
        let Some(cause) = causes.find_map(|error| error.downcast_ref::<h2::Error>()) else {
            return Self::Lost;
        };
        let is_refused = cause.reason() == Some(h2::Reason::REFUSED_STREAM);
        match () {
            () if cause.is_remote() && cause.is_go_away() => Self::NotTaken,
            () if cause.is_remote() && cause.is_reset() && is_refused => Self::Refused,
            () if cause.is_reset() => Self::Failed,
            () => Self::Lost,
        }
    }
}
