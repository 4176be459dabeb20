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
//! Nothing is known of an answer before its head. Therefore only some requests of a user wait for a
//! head at the same time, and the next one waits for its turn for a limited time. Without the turns,
//! a user could send hundreds of requests before the first answer is accounted.
//!
//! Admitted answers may exceed a bound later. Then the answer that has waited longest for its
//! client is cut: one of the user who exceeds the bound per user, or one of the user with the most
//! unread bytes. Its connection to the cluster, its slot and its memory are freed at once, and the
//! client sees a broken answer. Over HTTP/1.1 the client's connection is closed, too: its write
//! buffers hold several hundred kilobytes, which only closing it frees. A client that keeps reading
//! never waits longest, so no user can occupy the memory that another user needs.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

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
}

/// Use of an account. The account is removed with its last use.
struct OpenAccount {
    unread: Arc<Unread>,
    account: Arc<Account>,
}

/// A request that may be sent. Dropped when the head of its answer is known.
pub(crate) struct Turn {
    account: OpenAccount,
    _permit: Option<OwnedSemaphorePermit>,
}

/// An answer in flight.
struct UnreadAnswer {
    cluster: Box<str>,
    /// Maximum number of its bytes that may be unread.
    window: usize,
    /// The time at which the part was handed out that the client is still reading, in microseconds
    /// of [`Unread::now`]; 0 while the client waits for the cluster. Only changes under the lock of
    /// `body`.
    since: AtomicU64,
    /// `None` after it has ended or was cut.
    body: Mutex<Option<(PooledBody, Slot)>>,
    was_cut: std::sync::atomic::AtomicBool,
    /// The client's connection, if it carries no other request.
    reader: Option<Peer>,
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
    /// The user's unread bytes are at a bound, and none of the user's answers has waited longer
    /// than the patience.
    pub(crate) async fn admit(self: &Arc<Self>, user: &Arc<str>) -> Result<Turn, UpstreamError> {
        let account = self.account(user);
        let turns = &account.account.turns;
        let permit = match Arc::clone(turns).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                let waiting = Arc::clone(turns).acquire_owned();
                let waited = tokio::time::timeout(self.bounds.max_wait, waiting).await;
                waited.ok().and_then(Result::ok)
            }
        };
        self.check(&account.account)?;
        Ok(Turn {
            account,
            _permit: permit,
        })
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
        let patience = u64::try_from(self.bounds.patience.as_micros()).unwrap_or(u64::MAX);
        match account.oldest() {
            Some((since, _)) if self.now().saturating_sub(since) < patience => {
                Err(UpstreamError::Unread)
            }
            _ => Ok(()),
        }
    }

    /// Returns the microseconds since the start, never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).map_or(u64::MAX, |now| now.max(1))
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
            since: AtomicU64::new(0),
            was_cut: false.into(),
            reader,
            body: Mutex::default(),
        });
        let account = &turn.account.account;
        let key = account.answers.lock().insert(Arc::clone(&answer));
        {
            let mut held = answer.body.lock();
            *held = Some((body, slot));
            self.hand_out(account, &answer);
        }
        self.relieve(account);
        ReadBody::Followed(Followed {
            account: turn.account,
            answer,
            key,
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

    /// Records that a part was handed out. The caller holds the lock of the body.
    fn hand_out(&self, account: &Account, answer: &UnreadAnswer) {
        if answer.since.swap(self.now(), Ordering::Relaxed) == 0 {
            account.bytes.fetch_add(answer.window, Ordering::Relaxed);
            self.bytes.fetch_add(answer.window, Ordering::Relaxed);
        }
    }

    /// Records that nothing is unread. The caller holds the lock of the body.
    fn mark_read(&self, account: &Account, answer: &UnreadAnswer) {
        if answer.since.swap(0, Ordering::Relaxed) != 0 {
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
            let mut body = answer.body.lock();
            answer.was_cut.store(true, Ordering::Relaxed);
            self.mark_read(account, &answer);
            body.take()
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

impl Account {
    /// Returns the answer that has waited longest for its client, and the time since which it
    /// waits.
    fn oldest(&self) -> Option<(u64, Arc<UnreadAnswer>)> {
        let answers = self.answers.lock();
        let waiting = answers.iter().filter_map(|(_, answer)| {
            let since = answer.since.load(Ordering::Relaxed);
            (since != 0).then_some((since, answer))
        });
        let oldest = waiting.min_by_key(|(since, _)| *since);
        oldest.map(|(since, answer)| (since, Arc::clone(answer)))
    }
}

impl Followed {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self {
            account: OpenAccount { unread, account },
            answer,
            ..
        } = self;
        let mut held = answer.body.lock();
        let Some((body, _)) = &mut *held else {
            return Poll::Ready(match answer.was_cut.load(Ordering::Relaxed) {
                true => Some(Err("the response was not read in time".into())),
                false => None,
            });
        };
        let polled = Pin::new(body).poll_frame(cx);
        match &polled {
            Poll::Pending => unread.mark_read(account, answer),
            Poll::Ready(Some(Ok(_))) => {
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
                let held = followed.answer.body.lock();
                let was_cut = followed.answer.was_cut.load(Ordering::Relaxed);
                !was_cut && held.as_ref().is_none_or(|(body, _)| body.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Small { body, .. } => body.size_hint(),
            Self::Followed(followed) => {
                let held = followed.answer.body.lock();
                held.as_ref()
                    .map_or_else(SizeHint::default, |(body, _)| body.size_hint())
            }
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let OpenAccount { unread, account } = &self.account;
        {
            let mut body = self.answer.body.lock();
            unread.mark_read(account, &self.answer);
            *body = None;
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
