//! The state of users that is not stored: reservations and rates.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

/// The time in which a full bucket drains.
const MINUTE: Duration = Duration::from_secs(60);

/// Number of accounts from which idle accounts are removed.
const KEPT: usize = 1024;

/// A number of records and bytes of one user.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Demand {
    /// The number of kubeconfigs.
    pub kubeconfigs: usize,
    /// The number of tokens.
    pub tokens: usize,
    /// The number of bytes, as far as it is known before the records are complete.
    pub bytes: usize,
}

impl Demand {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            kubeconfigs: self.kubeconfigs + other.kubeconfigs,
            tokens: self.tokens + other.tokens,
            bytes: self.bytes + other.bytes,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            kubeconfigs: self.kubeconfigs.saturating_sub(other.kubeconfigs),
            tokens: self.tokens.saturating_sub(other.tokens),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// A part of a user's quota that is held by a create in progress.
#[must_use = "it ends when it is dropped"]
pub struct Reservation {
    accounts: Arc<Accounts>,
    user: String,
    demand: Demand,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.accounts.lock();
        if let Some(account) = state.users.get_mut(&self.user) {
            account.held = account.held.minus(self.demand);
        }
    }
}

/// The accounts of users.
#[derive(Default)]
pub(super) struct Accounts {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    users: HashMap<String, Account>,
    /// The number of accounts at which idle accounts are removed next.
    crowded: usize,
}

struct Account {
    held: Demand,
    creates: Bucket,
    written: Bucket,
    used_at: Instant,
}

/// A leaky bucket that holds the amount of one minute: a burst of that much, then the rate at which
/// it drains.
#[derive(Default)]
struct Bucket {
    level: f64,
    drained_at: Option<Instant>,
}

impl Accounts {
    /// Reserves a demand if `check` accepts the sum of the demands that are already reserved.
    pub(super) fn reserve<E>(
        self: &Arc<Self>,
        user: &str,
        demand: Demand,
        check: impl FnOnce(Demand) -> Result<(), E>,
    ) -> Result<Reservation, E> {
        let mut state = self.lock();
        let account = state.account(user);
        check(account.held)?;
        account.held = account.held.plus(demand);
        drop(state);
        Ok(Reservation {
            accounts: Arc::clone(self),
            user: user.to_owned(),
            demand,
        })
    }

    /// Reserves a demand without a check.
    pub(super) fn hold(self: &Arc<Self>, user: &str, demand: Demand) -> Reservation {
        let mut state = self.lock();
        let account = state.account(user);
        account.held = account.held.plus(demand);
        drop(state);
        Reservation {
            accounts: Arc::clone(self),
            user: user.to_owned(),
            demand,
        }
    }

    /// Counts a create. Returns the seconds to wait if there were `limit` creates within a minute.
    pub(super) fn create(&self, user: &str, limit: usize) -> Result<(), u32> {
        let mut state = self.lock();
        state.account(user).creates.take(1, limit, Instant::now())
    }

    /// Counts written bytes, like [`Accounts::create`].
    pub(super) fn write(&self, user: &str, bytes: usize, limit: usize) -> Result<(), u32> {
        let mut state = self.lock();
        state
            .account(user)
            .written
            .take(bytes, limit, Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Returns the account of a user. Idle accounts are removed from time to time, so that there
    /// are about as many accounts as users in the last minute.
    fn account(&mut self, user: &str) -> &mut Account {
        let now = Instant::now();
        if !self.users.contains_key(user) && self.users.len() >= self.crowded.max(KEPT) {
            self.users.retain(|_, account| !account.is_at_rest(now));
            self.crowded = self.users.len() * 2;
        }
        let account = self
            .users
            .entry(user.to_owned())
            .or_insert_with(|| Account {
                held: Demand::default(),
                creates: Bucket::default(),
                written: Bucket::default(),
                used_at: now,
            });
        account.used_at = now;
        account
    }
}

impl Account {
    /// Returns whether nothing is reserved and both buckets have drained.
    fn is_at_rest(&self, now: Instant) -> bool {
        self.held == Demand::default() && now.duration_since(self.used_at) > MINUTE
    }
}

impl Bucket {
    /// Adds an amount if the level does not exceed `limit` after that. An amount larger than the
    /// limit itself needs an empty bucket.
    ///
    /// # Errors
    /// Returns the seconds until the amount fits, at least one.
    fn take(&mut self, amount: usize, limit: usize, now: Instant) -> Result<(), u32> {
        let limit = to_f64(limit);
        let amount = to_f64(amount).min(limit);
        let per_second = limit / MINUTE.as_secs_f64();
        let passed = self
            .drained_at
            .map_or(0.0, |at| now.duration_since(at).as_secs_f64());
        self.drained_at = Some(now);
        // After the limit was lowered, the level is at most one minute's amount.
        self.level = (self.level - passed * per_second).clamp(0.0, limit);
        let excess = self.level + amount - limit;
        if excess <= 0.0 {
            self.level += amount;
            return Ok(());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 60"
        )]
        let secs = (excess / per_second).ceil().clamp(1.0, 60.0) as u32;
        Err(secs)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "amounts are far below 2^52, and a rate need not be exact"
)]
fn to_f64(amount: usize) -> f64 {
    amount as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_holds_a_minute_and_drains_evenly() {
        let mut bucket = Bucket::default();
        let mut take = |amount| bucket.take(amount, 60, Instant::now());
        for _ in 0..60 {
            assert_eq!(take(1), Ok(()));
        }
        assert_eq!(take(1), Err(1));
        assert_eq!(take(30), Err(30));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!([take(1), take(1), take(1)], [Ok(()), Ok(()), Err(1)]);
        assert_eq!(take(1000), Err(60), "more than the limit needs it empty");
        tokio::time::advance(MINUTE).await;
        assert_eq!(take(1000), Ok(()));
        assert_eq!(take(1), Err(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_was_lowered_leaves_a_minute_of_debt() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(600, 600, Instant::now()), Ok(()));
        assert_eq!(bucket.take(1, 1, Instant::now()), Err(60));
        tokio::time::advance(MINUTE).await;
        assert_eq!(bucket.take(1, 1, Instant::now()), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_at_rest_are_removed_and_reservations_end() {
        let accounts = Arc::new(Accounts::default());
        let demand = Demand {
            kubeconfigs: 1,
            ..Demand::default()
        };
        let held = accounts.hold("holder", demand);
        for user in 1..KEPT {
            assert_eq!(accounts.create(&user.to_string(), 1), Ok(()));
        }
        tokio::time::advance(MINUTE * 2).await;
        assert_eq!(accounts.create("new", 1), Ok(()));
        assert_eq!(accounts.lock().users.len(), 2, "the holder and the new one");
        let none_held = |held| match held == Demand::default() {
            true => Ok(()),
            false => Err(held),
        };
        assert!(accounts.reserve("holder", demand, none_held).is_err());
        drop(held);
        assert!(accounts.reserve("holder", demand, none_held).is_ok());
    }
}
