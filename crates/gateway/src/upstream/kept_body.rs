//! Request bodies that are kept until the cluster answers, so that a request that the cluster did
//! not process can be sent again.
//!
//! A body is read from the client once. The parts are kept as long as they fit the limits. Beyond
//! that all of them are dropped, and the request can be sent only once. A failure of the client is
//! recorded here, because an HTTP/2 client connection does not report it with the request that it
//! fails.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;

/// The limits on kept bytes.
pub(super) struct Budget {
    per_request: usize,
    in_all: usize,
    taken: AtomicUsize,
}

/// A request's body, which can be sent by one attempt after another.
pub(super) struct KeptBody(Arc<Shared>);

struct Shared {
    budget: Arc<Budget>,
    /// The size that the client announced.
    size: SizeHint,
    state: Mutex<State>,
}

struct State {
    source: Body,
    /// The kept parts that were read from the source.
    parts: VecDeque<Part>,
    /// The number of kept parts that the current reader has returned; 0 unless `is_keeping`.
    given: usize,
    /// The size of the kept parts, in bytes.
    bytes: usize,
    /// True if everything read so far is kept.
    is_keeping: bool,
    /// The number of the current reader.
    reader: u32,
    has_begun: bool,
    has_ended: bool,
    has_failed: bool,
}

#[derive(Clone)]
enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// The body for one attempt.
struct Reader {
    shared: Arc<Shared>,
    number: u32,
    /// The number of data bytes that it has returned.
    given: u64,
}

impl Budget {
    pub(super) fn new(per_request: usize, in_all: usize) -> Arc<Self> {
        Arc::new(Self {
            per_request,
            in_all,
            taken: AtomicUsize::new(0),
        })
    }

    fn take(&self, bytes: usize) -> bool {
        let next = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.in_all);
        let taken = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        taken.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl KeptBody {
    pub(super) fn new(source: Body, budget: &Arc<Budget>) -> Self {
        Self(Arc::new(Shared {
            budget: Arc::clone(budget),
            size: source.size_hint(),
            state: Mutex::new(State {
                source,
                parts: VecDeque::new(),
                given: 0,
                bytes: 0,
                is_keeping: true,
                reader: 0,
                has_begun: false,
                has_ended: false,
                has_failed: false,
            }),
        }))
    }

    /// Returns the body from its beginning for one attempt, and disables the previous reader.
    /// Returns `None` if a part was dropped.
    pub(super) fn reader(&self) -> Option<Body> {
        let mut state = self.0.state.lock();
        if !state.is_whole() {
            return None;
        }
        state.given = 0;
        state.reader += 1;
        Some(Body::new(Reader {
            shared: Arc::clone(&self.0),
            number: state.reader,
            given: 0,
        }))
    }

    /// Returns whether the body can be read from its beginning.
    pub(super) fn is_whole(&self) -> bool {
        self.0.state.lock().is_whole()
    }

    /// Stops keeping the body: the cluster has answered, or the connection returns what it does not
    /// send.
    pub(super) fn release(&self) {
        self.0.let_go(&mut self.0.state.lock());
    }

    /// Returns whether the client failed to send the body.
    pub(super) fn has_failed(&self) -> bool {
        self.0.state.lock().has_failed
    }
}

impl State {
    fn is_whole(&self) -> bool {
        self.is_keeping || !self.has_begun
    }
}

impl Shared {
    /// Drops the parts that were already returned. The current reader still needs the rest.
    fn let_go(&self, state: &mut State) {
        if !std::mem::take(&mut state.is_keeping) {
            return;
        }
        let given = std::mem::take(&mut state.given);
        state.parts.drain(..given);
        self.budget.give_back(std::mem::take(&mut state.bytes));
    }

    fn poll_next(
        &self,
        state: &mut State,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Part, BoxError>>> {
        if state.is_keeping {
            if let Some(part) = state.parts.get(state.given).cloned() {
                state.given += 1;
                return Poll::Ready(Some(Ok(part)));
            }
        } else if let Some(part) = state.parts.pop_front() {
            return Poll::Ready(Some(Ok(part)));
        }
        if state.has_ended {
            return Poll::Ready(None);
        }
        state.has_begun = true;
        let frame = ready!(Pin::new(&mut state.source).poll_frame(cx));
        Poll::Ready(match frame {
            None => {
                state.has_ended = true;
                None
            }
            Some(Err(error)) => {
                state.has_failed = true;
                Some(Err(error.into()))
            }
            Some(Ok(frame)) => {
                let part = Part::of(frame);
                self.keep(state, &part);
                Some(Ok(part))
            }
        })
    }

    fn keep(&self, state: &mut State, part: &Part) {
        if !state.is_keeping {
            return;
        }
        let bytes = part.bytes();
        let fits = state.bytes + bytes <= self.budget.per_request && self.budget.take(bytes);
        if !fits {
            return self.let_go(state);
        }
        state.bytes += bytes;
        state.parts.push_back(part.clone());
        state.given += 1;
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.budget.give_back(self.state.get_mut().bytes);
    }
}

impl Part {
    fn of(frame: Frame<Bytes>) -> Self {
        match frame.into_data() {
            Ok(data) => Self::Data(data),
            Err(frame) => Self::Trailers(frame.into_trailers().unwrap_or_default()),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            Self::Trailers(trailers) => trailers
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len())
                .sum(),
        }
    }
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        if state.reader != self.number {
            let superseded = "the request is sent on another connection";
            return Poll::Ready(Some(Err(superseded.into())));
        }
        let next = ready!(shared.poll_next(&mut state, cx));
        Poll::Ready(next.map(|part| {
            Ok(match part? {
                Part::Data(data) => {
                    self.given += data.len() as u64;
                    Frame::data(data)
                }
                Part::Trailers(trailers) => Frame::trailers(trailers),
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.shared.state.lock();
        let is_given = match state.is_keeping {
            true => state.given == state.parts.len(),
            false => state.parts.is_empty(),
        };
        let has_ended = state.has_ended || !state.has_failed && state.source.is_end_stream();
        state.reader == self.number && is_given && has_ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.shared.size.exact() {
            Some(exact) => SizeHint::with_exact(exact.saturating_sub(self.given)),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    fn body(parts: &'static [&'static str]) -> Body {
        let frames = parts.iter().map(|part| {
            let data = Bytes::from_static(part.as_bytes());
            Ok::<_, std::convert::Infallible>(Frame::data(data))
        });
        Body::new(StreamBody::new(stream::iter(frames)))
    }

    async fn next(reader: &mut Body) -> Option<Result<String, String>> {
        let frame = reader.frame().await?;
        Some(match frame {
            Ok(frame) => Ok(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()),
            Err(error) => Err(error.to_string()),
        })
    }

    async fn rest(reader: Body) -> String {
        String::from_utf8(reader.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn each_attempt_reads_the_body_from_its_beginning_and_ends_the_one_before() {
        let kept = KeptBody::new(body(&["one", "two", "three"]), &Budget::new(100, 100));
        let mut first = kept.reader().unwrap();
        assert_eq!(next(&mut first).await, Some(Ok("one".to_owned())));
        let mut second = kept.reader().unwrap();
        let superseded = "the request is sent on another connection".to_owned();
        assert_eq!(next(&mut first).await, Some(Err(superseded)));
        assert_eq!(next(&mut second).await, Some(Ok("one".to_owned())));
        assert_eq!(rest(kept.reader().unwrap()).await, "onetwothree");
        assert_eq!(rest(kept.reader().unwrap()).await, "onetwothree");
    }

    #[tokio::test]
    async fn a_body_beyond_the_bound_of_a_request_is_read_once() {
        let budget = Budget::new(6, 100);
        let kept = KeptBody::new(body(&["one", "two", "three"]), &budget);
        assert_eq!(rest(kept.reader().unwrap()).await, "onetwothree");
        assert!(kept.reader().is_none());
        assert_eq!(budget.taken.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn all_bodies_share_a_bound_and_give_back_what_they_took() {
        let budget = Budget::new(100, 6);
        let kept = KeptBody::new(body(&["one", "two"]), &budget);
        assert_eq!(rest(kept.reader().unwrap()).await, "onetwo");
        let other = KeptBody::new(body(&["one"]), &budget);
        assert_eq!(rest(other.reader().unwrap()).await, "one");
        assert!(other.reader().is_none());
        drop(kept);
        assert_eq!(budget.taken.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn an_answer_before_the_end_of_the_body_loses_none_of_it() {
        let budget = Budget::new(100, 100);
        let kept = KeptBody::new(body(&["one", "two", "three"]), &budget);
        let mut first = kept.reader().unwrap();
        next(&mut first).await;
        next(&mut first).await;
        let mut second = kept.reader().unwrap();
        assert_eq!(next(&mut second).await, Some(Ok("one".to_owned())));
        kept.release();
        assert_eq!(budget.taken.load(Ordering::Relaxed), 0);
        assert_eq!(rest(second).await, "twothree");
        assert!(kept.reader().is_none());
    }
}
