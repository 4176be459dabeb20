//! Answers that clients do not read, and the memory that they occupy.
//!
//! A cluster sends up to one flow-control window of an answer ahead of its client (1 MiB over
//! HTTP/2). While the client waits for the cluster, none of it is buffered here. From the moment
//! when a part of the answer is handed out until the client asks for the next part, up to a window
//! may be buffered. It is accounted as unread for that time, per user and in total.
//!
//! A user whose unread bytes reach the bound per user, or all that is left of the total, gets 429
//! for the next request. The exception is a user with an answer that has waited for its client for
//! longer than the configured patience: then the next request is forwarded, and that answer is cut.
//! Without the 429, every answer that a client opens and does not read would be fetched and thrown
//! away.
//!
//! Only some answers of a user are in transfer at the same time: from the request until the end, or
//! until no part has been handed out for a moment, because one side waits for the other. The next
//! request waits for its turn for a limited time, and then gets 429. Without the turns, a user could
//! request hundreds of large answers before the first is accounted, and the requests of others would
//! wait until each of these answers has handed out a part. A user who sends bodies slowly would
//! occupy the seats of the cluster itself.
//!
//! Admitted answers may exceed a bound later. Then the answer that has waited longest for its
//! client is cut: one of the user who exceeds the bound per user, or one of the user with the most
//! unread bytes. Its connection to the cluster, its slot and its memory are freed at once, and the
//! client sees a broken answer. Over HTTP/1.1 the client's connection is closed, too: its write
//! buffers hold several hundred kilobytes, which only closing it frees. A client that keeps reading
//! never waits longest, so no user can occupy the memory that another user needs.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use apiserver::server::Peer;
use axum::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::upstream::{PooledBody, Slot, UnreadBounds, UpstreamError};

/// Maximum size of answers that are not followed, in bytes. The number of slots bounds their
/// number.
const SMALL: u64 = 16 * 1024;

/// Time after which an answer that has handed out no part is not in transfer any more.
const PAUSE: Duration = Duration::from_millis(100);

/// Number of bytes that an answer hands out before other tasks run. A client whose kernel buffers
/// are empty would otherwise take several megabytes at once.
const STRIDE: usize = 64 * 1024;

/// The unread answers of all users.
pub(crate) struct Unread {
    bounds: UnreadBounds,
    bytes: AtomicUsize,
    start: Instant,
    users: Mutex<HashMap<Arc<str>, Arc<Account>>>,
}

/// The unread answers to one user.
struct Account {
    user: Arc<str>,
    bytes: AtomicUsize,
    answers: Mutex<Slab<Arc<UnreadAnswer>>>,
    turns: Arc<Semaphore>,
    /// The time at which the turns of pausing answers were ended last, in microseconds of
    /// [`Unread::now`].
    inspected: AtomicU64,
}

/// Use of an account. The account is removed with its last use.
struct OpenAccount {
    unread: Arc<Unread>,
    account: Arc<Account>,
}

/// A request that may be sent.
pub(crate) struct Turn {
    account: OpenAccount,
    permit: OwnedSemaphorePermit,
}

/// An answer in flight.
struct UnreadAnswer {
    cluster: Box<str>,
    /// Maximum number of its bytes that may be unread.
    window: usize,
    /// The time at which the last part was handed out, in microseconds of [`Unread::now`]. Only
    /// changes under the lock of `open`.
    handed_out: AtomicU64,
    /// True while the client reads that part, and false while it waits for the cluster. Only
    /// changes under the lock of `open`.
    is_unread: AtomicBool,
    /// `None` after it has ended or was cut.
    open: Mutex<Option<OpenAnswer>>,
    was_cut: AtomicBool,
    /// The client's connection, if it carries no other request.
    reader: Option<Peer>,
}

/// The parts of an answer that are freed with it.
struct OpenAnswer {
    body: PooledBody,
    _slot: Slot,
    /// `None` if the answer is not in transfer.
    turn: Option<OwnedSemaphorePermit>,
}

/// The body of an answer whose reading is followed, or of a small one.
pub(crate) enum ReadBody {
    Small { body: PooledBody, _slot: Slot },
    Followed(Followed),
}

/// The body of an answer whose reading is followed.
pub(crate) struct Followed {
    account: OpenAccount,
    answer: Arc<UnreadAnswer>,
    key: usize,
    /// Bytes that were handed out since other tasks ran.
    strode: usize,
}

impl Unread {
    pub(crate) fn new(bounds: UnreadBounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            bytes: AtomicUsize::new(0),
            start: Instant::now(),
            users: Mutex::default(),
        })
    }

    /// Waits until a user may start another answer.
    ///
    /// # Errors
    /// No turn was free in time; or the user's unread bytes are at a bound, and none of the user's
    /// answers has waited longer than the patience.
    pub(crate) async fn admit(self: &Arc<Self>, user: &Arc<str>) -> Result<Turn, UpstreamError> {
        let account = self.account(user);
        let permit = match Arc::clone(&account.account.turns).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let waiting = self.turn(&account.account);
                let waited = tokio::time::timeout(self.bounds.max_wait, waiting).await;
                let permit = waited.ok().flatten();
                permit.ok_or(UpstreamError::BusyWithUser)?
            }
        };
        self.check(&account.account)?;
        Ok(Turn { account, permit })
    }

    /// Waits until an answer of the user ends or pauses.
    async fn turn(&self, account: &Account) -> Option<OwnedSemaphorePermit> {
        let mut free = pin!(Arc::clone(&account.turns).acquire_owned());
        loop {
            account.end_pausing_turns(self.now());
            if let Ok(acquired) = tokio::time::timeout(PAUSE, &mut free).await {
                return acquired.ok();
            }
        }
    }

    fn check(&self, account: &Account) -> Result<(), UpstreamError> {
        let in_all = self.bytes.load(Ordering::Relaxed);
        if in_all < self.bounds.per_user.min(self.bounds.in_all / 2) {
            return Ok(());
        }
        let own = account.bytes.load(Ordering::Relaxed);
        let free = self.bounds.in_all.saturating_sub(in_all);
        if own == 0 || own < self.bounds.per_user.min(free) {
            return Ok(());
        }
        let patience = micros(self.bounds.patience);
        match account.oldest() {
            Some((since, _)) if self.now().saturating_sub(since) < patience => {
                Err(UpstreamError::Unread)
            }
            _ => Ok(()),
        }
    }

    /// Returns the microseconds since the start.
    fn now(&self) -> u64 {
        micros(self.start.elapsed())
    }

    /// Follows how a client reads the body of an answer, and holds the slot until the body ends.
    /// `reader` is the client's connection, if it carries only this answer.
    pub(crate) fn follow(
        self: &Arc<Self>,
        cluster: &str,
        body: PooledBody,
        slot: Slot,
        turn: Turn,
        reader: Option<Peer>,
    ) -> ReadBody {
        let most = body.size_hint().upper().unwrap_or(u64::MAX);
        if most <= SMALL {
            return ReadBody::Small { body, _slot: slot };
        }
        let window = usize::try_from(most).unwrap_or(usize::MAX);
        let answer = Arc::new(UnreadAnswer {
            cluster: cluster.into(),
            window: window.min(PooledBody::WINDOW),
            handed_out: AtomicU64::new(0),
            is_unread: AtomicBool::new(false),
            was_cut: AtomicBool::new(false),
            reader,
            open: Mutex::default(),
        });
        let account = &turn.account.account;
        let key = account.answers.lock().insert(Arc::clone(&answer));
        {
            let mut open = answer.open.lock();
            *open = Some(OpenAnswer {
                body,
                _slot: slot,
                turn: Some(turn.permit),
            });
            self.hand_out(account, &answer);
        }
        self.relieve(account);
        ReadBody::Followed(Followed {
            account: turn.account,
            answer,
            key,
            strode: 0,
        })
    }

    /// Returns the account of a user, which is created if necessary.
    fn account(self: &Arc<Self>, user: &Arc<str>) -> OpenAccount {
        let mut users = self.users.lock();
        let account = users.entry(Arc::clone(user)).or_insert_with(|| {
            Arc::new(Account {
                user: Arc::clone(user),
                bytes: AtomicUsize::new(0),
                answers: Mutex::default(),
                turns: Arc::new(Semaphore::new(self.bounds.turns)),
                inspected: AtomicU64::new(0),
            })
        });
        self.open(account)
    }

    /// Returns a use of an account. The caller holds the lock of `users`.
    fn open(self: &Arc<Self>, account: &Arc<Account>) -> OpenAccount {
        OpenAccount {
            unread: Arc::clone(self),
            account: Arc::clone(account),
        }
    }

    /// Records that a part was handed out. The caller holds the lock of `open`.
    fn hand_out(&self, account: &Account, answer: &UnreadAnswer) {
        answer.handed_out.store(self.now(), Ordering::Relaxed);
        if !answer.is_unread.swap(true, Ordering::Relaxed) {
            account.bytes.fetch_add(answer.window, Ordering::Relaxed);
            self.bytes.fetch_add(answer.window, Ordering::Relaxed);
        }
    }

    /// Records that nothing is unread. The caller holds the lock of `open`.
    fn mark_read(&self, account: &Account, answer: &UnreadAnswer) {
        if answer.is_unread.swap(false, Ordering::Relaxed) {
            account.bytes.fetch_sub(answer.window, Ordering::Relaxed);
            self.bytes.fetch_sub(answer.window, Ordering::Relaxed);
        }
    }

    /// Cuts answers until the user and all users together are within their bounds. The caller holds
    /// no lock.
    fn relieve(self: &Arc<Self>, account: &Account) {
        while account.bytes.load(Ordering::Relaxed) > self.bounds.per_user
            && self.cut_oldest(account)
        {}
        while self.bytes.load(Ordering::Relaxed) > self.bounds.in_all {
            let heaviest = {
                let users = self.users.lock();
                let heaviest = users
                    .values()
                    .max_by_key(|it| it.bytes.load(Ordering::Relaxed));
                heaviest.map(|account| self.open(account))
            };
            if !heaviest.is_some_and(|heaviest| self.cut_oldest(&heaviest.account)) {
                return;
            }
        }
    }

    /// Cuts the answer that has waited longest for its client. Returns false if there is no such
    /// answer.
    fn cut_oldest(&self, account: &Account) -> bool {
        let Some((_, answer)) = account.oldest() else {
            return false;
        };
        let cut = {
            let mut open = answer.open.lock();
            answer.was_cut.store(true, Ordering::Relaxed);
            self.mark_read(account, &answer);
            open.take()
        };
        if cut.is_some() {
            if let Some(reader) = &answer.reader {
                reader.abort_connection();
            }
            tracing::warn!(
                user = &*account.user,
                cluster = &*answer.cluster,
                "a response was cut off because the client did not read it and other responses to its user"
            );
        }
        true
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Account {
    /// Returns the answer that has waited longest for its client, and the time since which it
    /// waits.
    fn oldest(&self) -> Option<(u64, Arc<UnreadAnswer>)> {
        let answers = self.answers.lock();
        let waiting = answers.iter().filter_map(|(_, answer)| {
            let is_unread = answer.is_unread.load(Ordering::Relaxed);
            is_unread.then(|| (answer.handed_out.load(Ordering::Relaxed), answer))
        });
        let oldest = waiting.min_by_key(|(since, _)| *since);
        oldest.map(|(since, answer)| (since, Arc::clone(answer)))
    }

    /// Ends the turns of answers that pause, so that other requests get them. Does nothing if this
    /// was done a moment ago.
    fn end_pausing_turns(&self, now: u64) {
        let limit = now.saturating_sub(micros(PAUSE));
        let inspected = self.inspected.load(Ordering::Relaxed);
        if inspected > limit || self.inspected.swap(now, Ordering::Relaxed) != inspected {
            return;
        }
        for (_, answer) in self.answers.lock().iter() {
            if answer.handed_out.load(Ordering::Relaxed) <= limit
                && let Some(open) = &mut *answer.open.lock()
            {
                open.turn = None;
            }
        }
    }
}

impl Followed {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.strode >= STRIDE {
            self.strode = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Self {
            account: OpenAccount { unread, account },
            answer,
            ..
        } = self;
        let mut held = answer.open.lock();
        let Some(OpenAnswer { body, .. }) = &mut *held else {
            return Poll::Ready(match answer.was_cut.load(Ordering::Relaxed) {
                true => Some(Err("the response was not read in time".into())),
                false => None,
            });
        };
        let polled = Pin::new(body).poll_frame(cx);
        match &polled {
            Poll::Pending => unread.mark_read(account, answer),
            Poll::Ready(Some(Ok(part))) => {
                self.strode += part.data_ref().map_or(0, Bytes::len);
                unread.hand_out(account, answer);
                drop(held);
                unread.relieve(account);
            }
            Poll::Ready(_) => {
                unread.mark_read(account, answer);
                *held = None;
            }
        }
        polled.map_err(Into::into)
    }
}

impl Body for ReadBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Small { body, .. } => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Followed(followed) => followed.poll_body(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Small { body, .. } => body.is_end_stream(),
            Self::Followed(followed) => {
                let open = followed.answer.open.lock();
                let was_cut = followed.answer.was_cut.load(Ordering::Relaxed);
                !was_cut && open.as_ref().is_none_or(|it| it.body.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Small { body, .. } => body.size_hint(),
            Self::Followed(followed) => {
                let open = followed.answer.open.lock();
                open.as_ref()
                    .map_or_else(SizeHint::default, |it| it.body.size_hint())
            }
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let OpenAccount { unread, account } = &self.account;
        {
            let mut open = self.answer.open.lock();
            unread.mark_read(account, &self.answer);
            *open = None;
        }
        account.answers.lock().try_remove(self.key);
    }
}

impl Drop for OpenAccount {
    fn drop(&mut self) {
        let mut users = self.unread.users.lock();
        // Uses only begin under this lock. The map has one reference, and this use the other.
        if Arc::strong_count(&self.account) == 2 {
            users.remove(&self.account.user);
        }
    }
}
