//! Bodies in transit, in both directions: forwarded frame by frame until their session ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A body that ends with its session.
pub(crate) struct Relayed<B, H> {
    /// `None` once it has ended.
    under_way: Option<(B, H)>,
    ended: CancellationToken,
    waiting: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    ending: Ending,
    trailers: fn(HeaderMap) -> HeaderMap,
}

/// The way a body ends with its session.
#[derive(Clone, Copy)]
enum Ending {
    /// As if it were complete, as a watch may end at any time.
    Clean,
    /// As broken off: a partial request must not be taken for a complete one.
    Broken,
}

impl<B, H> Relayed<B, H> {
    /// Wraps an answer's body, and holds `hold` until its end.
    pub(crate) fn answer(
        body: B,
        hold: H,
        ended: CancellationToken,
        trailers: fn(HeaderMap) -> HeaderMap,
    ) -> Self {
        Self {
            under_way: Some((body, hold)),
            ended,
            waiting: None,
            ending: Ending::Clean,
            trailers,
        }
    }

    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.under_way = None;
        Poll::Ready(match self.ending {
            Ending::Clean => None,
            Ending::Broken => Some(Err("the token of the request is no longer valid".into())),
        })
    }
}

impl<B> Relayed<B, ()> {
    /// Wraps a request's body.
    pub(crate) fn request(
        body: B,
        ended: CancellationToken,
        trailers: fn(HeaderMap) -> HeaderMap,
    ) -> Self {
        Self {
            ending: Ending::Broken,
            ..Self::answer(body, (), ended, trailers)
        }
    }
}

impl<B, H> Body for Relayed<B, H>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
    H: Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.under_way.is_some() && this.ended.is_cancelled() {
            return this.end();
        }
        let Some((body, _)) = &mut this.under_way else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            let Some(frame) = frame else {
                this.under_way = None;
                return Poll::Ready(None);
            };
            let cleaned = frame.map_err(Into::into).map(|frame| {
                let trailers = this.trailers;
                match frame.into_trailers() {
                    Ok(sent) => Frame::trailers(trailers(sent)),
                    Err(data) => data,
                }
            });
            return Poll::Ready(Some(cleaned));
        }
        let ended = &this.ended;
        let waiting = this
            .waiting
            .get_or_insert_with(|| Box::pin(ended.clone().cancelled_owned()));
        ready!(waiting.as_mut().poll(cx));
        this.end()
    }

    fn is_end_stream(&self) -> bool {
        match &self.under_way {
            Some((body, _)) => body.is_end_stream(),
            None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.under_way {
            Some((body, _)) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}
