//! The state of one connection: its requests in flight, the time since it became idle, and the
//! memory that its client uses before a caller is authenticated.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Limits;

/// The state of one connection.
pub(super) struct Activity {
    began: Instant,
    /// The total number of requests whose head was read.
    requests: AtomicUsize,
    under_way: AtomicUsize,
    /// The time at which the last request ended, or before that the handshake, in milliseconds
    /// since `began`.
    last: AtomicU64,
    /// The time of the first byte of an incomplete head, in milliseconds since `began`, plus one;
    /// zero if no head is incomplete.
    head: AtomicU64,
    /// True if the incoming head specifies the length of its body twice.
    has_two_lengths: AtomicBool,
    /// True if a caller was authenticated on the connection.
    is_known: AtomicBool,
    /// True if the bytes of the connection are no longer HTTP of this server.
    is_taken_over: AtomicBool,
    /// The memory of the head of the last request, in bytes.
    head_memory: AtomicUsize,
    charge: AtomicUsize,
    /// The sum of the charges of all connections.
    total: Arc<AtomicUsize>,
    /// The token that is cancelled if the connection accepts no further request.
    pub(super) ending: CancellationToken,
    /// The token that is cancelled if the connection must make room for another one.
    pub(super) evicted: CancellationToken,
    /// The token that is cancelled if the connection must end now, including its requests in
    /// flight.
    pub(super) aborted: CancellationToken,
    /// The task that waits for permission to read from the connection.
    pub(super) reader: AtomicWaker,
}

impl Activity {
    /// Creates the state of a new connection, which adds its memory to `total`.
    pub(super) fn new(total: Arc<AtomicUsize>, stop: &CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            requests: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            head: AtomicU64::new(0),
            has_two_lengths: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
            is_taken_over: AtomicBool::new(false),
            head_memory: AtomicUsize::new(0),
            charge: AtomicUsize::new(0),
            total,
            ending: stop.child_token(),
            evicted: CancellationToken::new(),
            aborted: CancellationToken::new(),
            reader: AtomicWaker::new(),
        })
    }

    /// Counts a request as in flight until the guard is dropped. `memory` is the size of its head,
    /// in bytes.
    pub(super) fn begin_request(self: &Arc<Self>, memory: usize) -> UnderWay {
        self.head_memory.store(memory, Ordering::Release);
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.under_way.fetch_add(1, Ordering::AcqRel);
        self.head.store(0, Ordering::Release);
        UnderWay(Arc::clone(self))
    }

    /// Returns the total number of requests whose head was read.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Acquire)
    }

    /// Returns the memory of the head of the last request, in bytes.
    pub(super) fn head_memory(&self) -> usize {
        self.head_memory.load(Ordering::Acquire)
    }

    /// Returns whether a request is in flight, or the connection no longer carries HTTP of this
    /// server.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Acquire) > 0 || self.is_taken_over()
    }

    /// Returns whether a caller was authenticated on the connection.
    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Acquire)
    }

    /// Records that a caller was authenticated. From then on, the connection may have many
    /// concurrent requests.
    pub(super) fn authenticated(&self) {
        if !self.is_known.swap(true, Ordering::AcqRel) {
            self.set_charge(0);
            self.reader.wake();
        }
    }

    /// Returns whether the connection is diverted or upgraded.
    pub(super) fn is_taken_over(&self) -> bool {
        self.is_taken_over.load(Ordering::Acquire)
    }

    /// Records that the connection is diverted or upgraded, and therefore busy until it ends.
    pub(super) fn take_over(&self) {
        self.is_taken_over.store(true, Ordering::Release);
    }

    /// Records that a byte of a head arrived. Does nothing while a request is in flight.
    pub(super) fn read_head(&self) {
        if !self.is_busy() && self.head.load(Ordering::Acquire) == 0 {
            self.head.store(self.elapsed() + 1, Ordering::Release);
        }
    }

    /// Records whether the incoming head specifies the length of its body twice.
    pub(super) fn set_two_lengths(&self, has_two: bool) {
        self.has_two_lengths.store(has_two, Ordering::Release);
    }

    /// Returns whether the head specified the length of its body twice, and resets the record.
    pub(super) fn take_two_lengths(&self) -> bool {
        self.has_two_lengths.swap(false, Ordering::AcqRel)
    }

    /// Sets the memory that the client uses, in bytes.
    pub(super) fn set_charge(&self, bytes: usize) {
        let before = self.charge.swap(bytes, Ordering::AcqRel);
        if bytes > before {
            self.total.fetch_add(bytes - before, Ordering::AcqRel);
        } else {
            self.total.fetch_sub(before - bytes, Ordering::AcqRel);
        }
    }

    /// Returns the memory that the client uses, in bytes.
    pub(super) fn charge(&self) -> usize {
        self.charge.load(Ordering::Acquire)
    }

    /// Returns the time at which the connection became idle; `None` if it is busy.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (!self.is_busy()).then(|| self.began + self.last_end())
    }

    /// Returns the time at which the connection was accepted.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Records that the handshake has completed. The time limit for the first request starts now.
    pub(super) fn shook_hands(&self) {
        self.last.store(self.elapsed(), Ordering::Release);
    }

    /// Returns the time at which the connection ends unless a request begins; `None` while it is
    /// busy.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let head = self.head.load(Ordering::Acquire).checked_sub(1);
        let of_head = head.map(|head| Duration::from_millis(head) + limits.head_timeout);
        let of_idle = (!self.is_busy()).then(|| match self.requests() {
            0 => self.last_end() + limits.head_timeout,
            _ => self.last_end() + limits.idle_timeout,
        });
        let is_first = self.requests() == 0;
        let after = match (of_head, of_idle) {
            (Some(head), Some(idle)) if is_first => Some(head.min(idle)),
            (Some(head), _) => Some(head),
            (None, idle) => idle,
        };
        after.map(|after| self.began + after)
    }

    fn last_end(&self) -> Duration {
        Duration::from_millis(self.last.load(Ordering::Acquire))
    }

    /// Returns the milliseconds since `began`.
    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Activity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Activity");
        debug
            .field("requests", &self.requests())
            .finish_non_exhaustive()
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.set_charge(0);
    }
}

/// A request in flight. It ends when its response is sent, or when it is dropped for another
/// reason.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Activity>);

impl UnderWay {
    /// Returns the state of the request's connection.
    pub(super) fn activity(&self) -> &Activity {
        &self.0
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.last.store(activity.elapsed(), Ordering::Release);
        activity.under_way.fetch_sub(1, Ordering::AcqRel);
        if !activity.is_known() {
            activity.reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> (Arc<Activity>, Arc<AtomicUsize>) {
        let total = Arc::<AtomicUsize>::default();
        let activity = Activity::new(Arc::clone(&total), &CancellationToken::new());
        (activity, total)
    }

    fn seconds(activity: &Activity) -> Option<u64> {
        let deadline = activity.deadline(&Limits::default())?;
        Some((deadline - activity.began()).as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn deadlines_follow_heads_and_ends_of_requests() {
        let (activity, _) = started();
        let wait = |secs| tokio::time::advance(Duration::from_secs(secs));
        wait(5).await;
        activity.shook_hands();
        assert_eq!(seconds(&activity), Some(5 + 32));
        wait(20).await;
        activity.read_head();
        assert_eq!(seconds(&activity), Some(5 + 32), "the first head");
        let (first, second) = (activity.begin_request(0), activity.begin_request(0));
        assert_eq!(seconds(&activity), None);
        wait(1000).await;
        drop(first);
        assert_eq!(seconds(&activity), None);
        drop(second);
        assert_eq!(seconds(&activity), Some(1025 + 90));
        wait(80).await;
        activity.read_head();
        wait(5).await;
        activity.read_head();
        assert_eq!(seconds(&activity), Some(1025 + 80 + 32), "a later head");
        drop(activity.begin_request(0));
        assert_eq!(seconds(&activity), Some(1025 + 85 + 90));
        activity.take_over();
        assert_eq!((seconds(&activity), activity.idle_since()), (None, None));
    }

    #[tokio::test]
    async fn memory_is_charged_until_a_caller_is_authenticated() {
        let (activity, total) = started();
        let charged = || total.load(Ordering::Relaxed);
        activity.set_charge(100);
        activity.set_charge(70);
        assert_eq!((charged(), activity.charge()), (70, 70));
        activity.authenticated();
        assert_eq!(charged(), 0);
        activity.set_charge(50);
        drop(activity);
        assert_eq!(charged(), 0);
    }
}
