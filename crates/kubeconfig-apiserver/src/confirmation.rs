//! Confirms that the memory of a replica is as current as the store.
//!
//! A watch delivers the changes of other replicas within milliseconds. A watch that has died
//! silently would deliver nothing, and revoked tokens would stay valid. The store is therefore
//! polled. If it has not answered for [`LIMIT`], no token is valid until it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// The interval between polls of the store.
const PERIOD: Duration = Duration::from_secs(10);

/// The interval after a failed poll. It is short, so that tokens become valid soon after the store
/// is back.
const RETRY: Duration = Duration::from_secs(1);

/// Time after the last answer for which tokens are valid.
const LIMIT: Duration = Duration::from_secs(30);

/// Polls the store.
pub(crate) struct Confirmation {
    holds: Arc<AtomicBool>,
}

impl Confirmation {
    /// Creates a confirmation that holds at first, because the caches have just been loaded.
    pub(crate) fn new() -> Self {
        Self {
            holds: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Returns whether the store has answered recently.
    pub(crate) fn holds(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let holds = Arc::clone(&self.holds);
        Arc::new(move || holds.load(Ordering::Acquire))
    }

    /// Polls forever. `ask` returns whether all caches have caught up with their sources.
    pub(crate) async fn run(self, ask: impl AsyncFn() -> bool + Send) {
        let mut last = Instant::now();
        loop {
            let answered = timeout(PERIOD, ask()).await.unwrap_or(false);
            if answered {
                last = Instant::now();
            }
            let holds = last.elapsed() < LIMIT;
            if self.holds.swap(holds, Ordering::AcqRel) != holds {
                match holds {
                    true => tracing::info!("the store responds again: accepting tokens"),
                    false => tracing::error!("the store does not respond: rejecting all tokens"),
                }
            }
            sleep(if answered { PERIOD } else { RETRY }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tokens_count_until_the_store_was_silent_for_too_long() {
        let answers = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&answers);
        let confirmation = Confirmation::new();
        let holds = confirmation.holds();
        let run = tokio::spawn(confirmation.run(async move || asked.load(Ordering::SeqCst)));
        let after = async |seconds: u64| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            holds()
        };
        assert!(after(95).await);
        answers.store(false, Ordering::SeqCst);
        assert!(after(20).await, "it may have been a moment only");
        assert!(!after(10).await);
        assert!(!after(100).await);
        answers.store(true, Ordering::SeqCst);
        assert!(after(2).await, "it is back");
        run.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_never_answers_is_not_waited_for() {
        let confirmation = Confirmation::new();
        let holds = confirmation.holds();
        let run = tokio::spawn(confirmation.run(async || std::future::pending().await));
        tokio::time::sleep(Duration::from_secs(45)).await;
        assert!(!holds());
        run.abort();
    }
}
