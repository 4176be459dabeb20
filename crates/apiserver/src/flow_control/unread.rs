//! The memory of responses that clients do not read.
//!
//! Data that was passed to a connection stays in memory until its client reads it. A flow may hold
//! at most as many bytes as are free. One flow alone thus gets half of the total, and two flows
//! that want everything get a third each. A flow that holds none gets some as long as any are free.
//! Beyond its limit, a flow gets the next part of a response only after clients have read other
//! parts.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::{Mutex, MutexGuard};

use super::Seat;

/// The maximum number of unread bytes of all responses.
const TOTAL: usize = 128 << 20;

/// The size, in bytes, below which a part is not counted. The seats bound the number of such parts.
const SMALL: usize = 4096;

/// The unread bytes of all flows.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    state: Mutex<State>,
    /// True if so many bytes are unread that a flow may have to wait.
    is_scarce: AtomicBool,
    /// The number of the next response.
    next_number: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    in_all: usize,
    flows: HashMap<Arc<str>, usize>,
    /// The responses that wait for free bytes, by number.
    waiting: HashMap<u64, Waker>,
}

/// A response body whose unread bytes are counted.
#[derive(Debug)]
pub(crate) struct UnreadBody {
    body: Body,
    unread: Arc<Unread>,
    flow: Arc<str>,
    number: u64,
    _seat: Option<Seat>,
}

/// A part of a response that is not sent yet. The connection may hold any number of them, and
/// drops each when it is sent.
struct Part {
    bytes: Bytes,
    unread: Arc<Unread>,
    flow: Arc<str>,
}

impl Unread {
    /// Counts the unread bytes of a response, which holds its seat until it is sent.
    pub(crate) fn count(
        self: &Arc<Self>,
        flow: &str,
        body: Body,
        seat: Option<Seat>,
    ) -> UnreadBody {
        UnreadBody {
            number: self.next_number.fetch_add(1, Ordering::Relaxed),
            body,
            unread: Arc::clone(self),
            flow: flow.into(),
            _seat: seat,
        }
    }

    /// Returns whether a response of a flow may produce another part. If not, the task is woken
    /// when that may have changed.
    fn has_room(&self, flow: &str, number: u64, cx: &Context<'_>) -> bool {
        if !self.is_scarce.load(Ordering::Acquire) {
            return true;
        }
        let mut state = self.state();
        let own = state.flows.get(flow).copied().unwrap_or(0);
        if own < TOTAL.saturating_sub(state.in_all) {
            return true;
        }
        let replaced = state.waiting.insert(number, cx.waker().clone());
        // Dropping a waker may drop its task, which locks the state again. So release the lock
        // first.
        drop(state);
        drop(replaced);
        false
    }

    fn take(&self, flow: &Arc<str>, bytes: usize) {
        let mut state = self.state();
        state.in_all += bytes;
        *state.flows.entry(Arc::clone(flow)).or_default() += bytes;
        self.is_scarce.store(state.is_scarce(), Ordering::Release);
    }

    fn give_back(&self, flow: &Arc<str>, bytes: usize) {
        let mut state = self.state();
        state.in_all = state.in_all.saturating_sub(bytes);
        if let Some(own) = state.flows.get_mut(flow) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                state.flows.remove(flow);
            }
        }
        self.is_scarce.store(state.is_scarce(), Ordering::Release);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(Waker::wake);
    }

    /// Locks the state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Returns whether a flow can have reached its limit: the bytes of a flow equal the free bytes
    /// only if at least half of the total is unread.
    fn is_scarce(&self) -> bool {
        self.in_all >= TOTAL / 2
    }
}

impl UnreadBody {
    /// Counts a part until the connection has sent it and drops it.
    fn hold(&self, part: Bytes) -> Bytes {
        if part.len() < SMALL {
            return part;
        }
        self.unread.take(&self.flow, part.len());
        Bytes::from_owner(Part {
            bytes: part,
            unread: Arc::clone(&self.unread),
            flow: Arc::clone(&self.flow),
        })
    }
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.unread.give_back(&self.flow, self.bytes.len());
    }
}

impl http_body::Body for UnreadBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.unread.has_room(&self.flow, self.number, cx) {
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        polled.map_ok(|frame| frame.map_data(|part| self.hold(part)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for UnreadBody {
    fn drop(&mut self) {
        let waiting = self.unread.state().waiting.remove(&self.number);
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http_body::Body as _;

    use super::*;

    const PART: usize = 1 << 20;

    /// Returns an endless response in parts of 1 MiB.
    fn answer(unread: &Arc<Unread>, flow: &str) -> UnreadBody {
        let parts = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(vec![0; PART])));
        unread.count(flow, Body::from_stream(parts), None)
    }

    /// Returns another part of the response, if it produces one.
    fn next_part(body: &mut UnreadBody) -> Option<Bytes> {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(body).poll_frame(&mut cx) {
            Poll::Ready(part) => Some(part?.unwrap().into_data().unwrap()),
            Poll::Pending => None,
        }
    }

    /// Starts responses without reading them, until one produces no part. Returns the others, each
    /// with its first part.
    fn fill(unread: &Arc<Unread>, flow: &str) -> Vec<(UnreadBody, Bytes)> {
        let mut begun = Vec::new();
        loop {
            let mut next = answer(unread, flow);
            match next_part(&mut next) {
                Some(part) => begun.push((next, part)),
                None => return begun,
            }
        }
    }

    #[test]
    fn a_flow_holds_as_much_as_is_free() {
        let unread = Arc::new(Unread::default());
        let alice = fill(&unread, "alice");
        assert_eq!(alice.len(), TOTAL / PART / 2);
        let bob = fill(&unread, "bob");
        assert_eq!(bob.len(), TOTAL / PART / 4);
        assert!(next_part(&mut answer(&unread, "carol")).is_some());
        drop(alice);
        assert_eq!(fill(&unread, "carol").len(), 48);
        drop(bob);
        let state = unread.state();
        let left = (state.in_all, state.flows.len(), state.waiting.len());
        assert_eq!(left, (0, 0, 0));
    }

    #[test]
    fn a_part_counts_until_it_is_sent() {
        let unread = Arc::new(Unread::default());
        let mut read = answer(&unread, "alice");
        for _ in 0..2 * TOTAL / PART {
            let part = next_part(&mut read).unwrap();
            assert_eq!(unread.state().in_all, PART);
            drop(part);
        }
        assert_eq!(unread.state().in_all, 0);
    }

    /// The connection asks for a part ahead of the one that it sends.
    #[test]
    fn a_part_counts_while_the_response_waits_for_the_server_and_after_it() {
        let unread = Arc::new(Unread::default());
        let part = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![0; PART]))]);
        let parts = part.chain(stream::pending());
        let mut body = unread.count("alice", Body::from_stream(parts), None);
        let part = next_part(&mut body).unwrap();
        assert_eq!(next_part(&mut body), None);
        assert_eq!(unread.state().in_all, PART);
        drop(body);
        assert_eq!(unread.state().in_all, PART);
        drop(part);
        assert_eq!(unread.state().in_all, 0);
    }

    #[tokio::test]
    async fn a_response_continues_when_another_one_was_read() {
        let unread = Arc::new(Unread::default());
        let mut begun = fill(&unread, "alice");
        let mut next = answer(&unread, "alice");
        let waiting = tokio::spawn(async move {
            std::future::poll_fn(|cx| Pin::new(&mut next).poll_frame(cx)).await
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        begun.pop();
        assert!(waiting.await.unwrap().unwrap().is_ok());
    }
}
