//! Whether what a replica has in memory is still what the store has.
//!
//! A watch brings what other replicas do within milliseconds. One that has died without a word would
//! bring nothing, and tokens that were taken back would go on counting. So the store is asked again
//! and again, and when it has not answered for [`LIMIT`] no token counts until it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How often the store is asked.
const PERIOD: Duration = Duration::from_secs(10);

/// How soon it is asked again when it did not answer: once it is back, tokens are to count.
const RETRY: Duration = Duration::from_secs(1);

/// How long tokens count after the last answer.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks the store.
pub(crate) struct Confirmation {
    holds: Arc<AtomicBool>,
}

impl Confirmation {
    /// Holds from the start: the caches have just been loaded.
    pub(crate) fn new() -> Self {
        Self {
            holds: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Whether the store has answered lately.
    pub(crate) fn holds(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let holds = Arc::clone(&self.holds);
        Arc::new(move || holds.load(Ordering::Acquire))
    }

    /// Asks for ever. `ask` says whether all that is in memory has caught up with its source.
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
                    true => tracing::info!("the store answers again: tokens count"),
                    false => tracing::error!("the store does not answer: no token counts"),
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
