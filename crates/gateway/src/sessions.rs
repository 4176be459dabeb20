//! Requests in flight, which end when their token ends.
//!
//! Every request is entered here with its token before it is sent to the cluster. One task follows
//! all changes of tokens, kubeconfigs, users and clusters. It validates the tokens of affected
//! sessions again and ends the sessions whose token is no longer valid. Expiry causes no event:
//! once a second the task checks the sessions whose token has expired, and all sessions if the
//! signing keys or the earliest time of issue have changed.
//!
//! The epoch covers requests that were checked just before a change and entered just after it. It
//! is incremented before the task reads the sessions, and a request that finds it changed is
//! checked again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use apiserver::registry::Registry;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use machinery::meta::Object;
use machinery::status::Status;
use machinery::time::Clock;
use parking_lot::Mutex;
use slab::Slab;
use tokens::validity::{Refusal, ValidToken, Validity};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Interval at which sessions are checked for expired tokens.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Number of checks after which all sessions are checked regardless of changes, in case the store
/// has not reported any for too long.
const FULL_CHECK: u64 = 30;

/// Maximum number of concurrent access checks.
const AT_ONCE: usize = 64;

/// The requests in flight.
pub(crate) struct Sessions {
    validity: Arc<Validity>,
    clock: Arc<dyn Clock>,
    epoch: AtomicU64,
    open: Mutex<Slab<Arc<Bound>>>,
}

/// The properties of a request in flight that decide when it ends.
pub(crate) struct Bound {
    cluster: Box<str>,
    /// `None` if the caller was authenticated in another way, which this module does not follow.
    token: Option<ValidToken>,
    is_long: bool,
    ended: CancellationToken,
}

/// The entry of a request, which is removed on drop.
pub(crate) struct Session {
    sessions: Arc<Sessions>,
    key: usize,
    bound: Arc<Bound>,
}

/// The properties of a request to be entered.
pub(crate) struct NewSession {
    pub(crate) cluster: Box<str>,
    pub(crate) token: ValidToken,
    /// True if it may stay open for any time.
    pub(crate) is_long: bool,
}

impl Sessions {
    pub(crate) fn new(validity: Arc<Validity>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            validity,
            clock,
            epoch: AtomicU64::new(0),
            open: Mutex::default(),
        })
    }

    /// Returns the token, if it is valid on this cluster, and the epoch to pass to
    /// [`Sessions::enter`].
    ///
    /// # Errors
    /// 503 if the user's access to the cluster cannot be checked now, otherwise the uniform 401.
    pub(crate) async fn check(
        &self,
        bearer: &str,
        cluster: &str,
    ) -> Result<(ValidToken, u64), Status> {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let now = self.clock.now();
        match self.validity.check(bearer, cluster, now).await {
            Ok(token) => Ok((token, epoch)),
            Err(refusal) => {
                tracing::info!(why = %refusal, cluster, "authentication failed");
                Err(match refusal {
                    Refusal::AccessUnknown => Status::service_unavailable(
                        "your access to the cluster cannot be checked; try again",
                        Some(1),
                    ),
                    _ => Status::unauthorized(),
                })
            }
        }
    }

    /// Enters a request, or returns `None` if its token has ended since it was checked.
    pub(crate) fn enter(self: &Arc<Self>, new: NewSession, epoch: u64) -> Option<Session> {
        let session = self.open_session(Bound {
            cluster: new.cluster,
            token: Some(new.token),
            is_long: new.is_long,
            ended: CancellationToken::new(),
        });
        let has_moved = self.epoch.load(Ordering::SeqCst) != epoch;
        if has_moved && !self.still_holds(&session.bound) {
            return None;
        }
        Some(session)
    }

    /// Enters a request of a caller that has no token of ours.
    pub(crate) fn enter_without_token(self: &Arc<Self>, cluster: &str, is_long: bool) -> Session {
        self.open_session(Bound {
            cluster: cluster.into(),
            token: None,
            is_long,
            ended: CancellationToken::new(),
        })
    }

    fn open_session(self: &Arc<Self>, bound: Bound) -> Session {
        let bound = Arc::new(bound);
        let key = self.open.lock().insert(Arc::clone(&bound));
        Session {
            sessions: Arc::clone(self),
            key,
            bound,
        }
    }

    /// Checks these sessions again, and ends those whose token is no longer valid.
    pub(crate) fn recheck(&self, concerns: impl Fn(&Bound) -> bool) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        let concerned: Vec<Arc<Bound>> = {
            let open = self.open.lock();
            let concerned = open.iter().filter(|(_, bound)| concerns(bound));
            concerned.map(|(_, bound)| Arc::clone(bound)).collect()
        };
        for bound in concerned {
            if !self.still_holds(&bound) {
                bound.ended.cancel();
            }
        }
    }

    /// Ends these sessions.
    pub(crate) fn end(&self, concerns: impl Fn(&Bound) -> bool) {
        for (_, bound) in self.open.lock().iter().filter(|(_, bound)| concerns(bound)) {
            bound.ended.cancel();
        }
    }

    /// Ends the sessions of tokens that expire. Never returns.
    pub(crate) async fn follow_time(&self) {
        let mut ticks = tokio::time::interval(CHECK_INTERVAL);
        let mut seen = self.validity.terms();
        for count in 1_u64.. {
            ticks.tick().await;
            let now = self.clock.now();
            let terms = self.validity.terms();
            let all = count % FULL_CHECK == 0 || terms != seen;
            seen = terms;
            self.recheck(|bound| all || bound.is_due(now));
        }
    }

    /// Ends the sessions of users who may no longer access their cluster. Never returns. A change
    /// of access causes no event here, so it is polled; the authorizer caches its answers.
    pub(crate) async fn follow_access(&self) {
        let mut ticks = tokio::time::interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let open = self.open_by_right();
            let checked = stream::iter(open.values())
                .for_each_concurrent(AT_ONCE, |sessions| self.end_without_access(sessions));
            checked.await;
        }
    }

    /// Returns the sessions with a token, grouped by token and cluster. One access check covers a
    /// group.
    fn open_by_right(&self) -> HashMap<(String, Box<str>), Vec<Arc<Bound>>> {
        let mut groups: HashMap<_, Vec<_>> = HashMap::new();
        for (_, bound) in self.open.lock().iter() {
            if let Some(token) = &bound.token {
                let right = (token.name().to_owned(), bound.cluster.clone());
                groups.entry(right).or_default().push(Arc::clone(bound));
            }
        }
        groups
    }

    async fn end_without_access(&self, sessions: &[Arc<Bound>]) {
        let first = sessions.first();
        let Some((bound, token)) = first.and_then(|bound| Some((bound, bound.token()?))) else {
            return;
        };
        let checked = self.validity.check_access(token, &bound.cluster).await;
        let ended = match checked {
            Ok(ceilings) if token.is_granted(&ceilings) => None,
            Ok(_) => Some("the limits of the user's grants have changed".to_owned()),
            Err(refusal) => Some(refusal.to_string()),
        };
        if let Some(why) = ended {
            tracing::info!(
                why,
                cluster = &*bound.cluster,
                user = token.user(),
                "sessions ended without access to the cluster"
            );
            for session in sessions {
                session.ended.cancel();
            }
        }
    }

    /// Ends sessions when these objects change. `concerns` selects the sessions that a change of
    /// the named objects may affect. Returns when the cache ends.
    pub(crate) async fn follow<T: Object>(
        &self,
        registry: &Registry<T>,
        concerns: impl Fn(&Bound, &HashSet<&str>) -> bool,
    ) {
        let all = || self.recheck(|_| true);
        follow(registry, all, |names| {
            self.recheck(|bound| concerns(bound, names));
        })
        .await;
    }

    fn still_holds(&self, bound: &Bound) -> bool {
        bound.token.as_ref().is_none_or(|token| {
            let now = self.clock.now();
            self.validity.still_holds(token, &bound.cluster, now)
        })
    }
}

impl Bound {
    /// Returns the cluster that the request goes to.
    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Returns the token of the request, if it is one of ours.
    pub(crate) fn token(&self) -> Option<&ValidToken> {
        self.token.as_ref()
    }

    /// Returns whether the request may stay open for any time.
    pub(crate) fn is_long(&self) -> bool {
        self.is_long
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.token().is_some_and(|token| token.expires() <= now)
    }
}

impl Session {
    /// Returns the token that is cancelled when the session must end.
    pub(crate) fn ended(&self) -> &CancellationToken {
        &self.bound.ended
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.sessions.open.lock().try_remove(self.key);
    }
}

/// Calls `changed` with the names of changed objects, and `all` if changes may have been missed.
/// Returns when the cache ends.
pub(crate) async fn follow<T: Object>(
    registry: &Registry<T>,
    all: impl Fn(),
    changed: impl Fn(&HashSet<&str>),
) {
    loop {
        let from = registry.cache().view().revision;
        let Ok(mut cursor) = registry.collection().watch_from(from) else {
            tokio::task::yield_now().await;
            continue;
        };
        all();
        loop {
            match cursor.next().await {
                Ok(events) => {
                    changed(&events.iter().map(|event| event.key.name()).collect());
                }
                Err(storage::Error::Compacted { .. }) => break,
                Err(_) => return,
            }
        }
    }
}
