//! The current revision, requested once for all concurrent callers.

use std::sync::Arc;

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;

use crate::{Error, Revision};

/// A request to etcd and its future answer.
type Flight = Shared<BoxFuture<'static, Result<Revision, Error>>>;

/// Sequential requests, each shared by all callers that arrived while the previous one was in
/// flight.
///
/// A caller never joins a request that is already in flight, because its answer need not include
/// what was written after it started.
#[derive(Default)]
pub(super) struct Newest {
    running: Arc<tokio::sync::Mutex<()>>,
    next: Arc<Mutex<Option<Flight>>>,
}

impl Newest {
    /// Returns the answer to a request that starts after this call. `ask` may be dropped unused.
    pub(super) fn ask(
        &self,
        ask: impl Future<Output = Result<Revision, Error>> + Send + 'static,
    ) -> Flight {
        let mut next = lock(&self.next);
        let flight = next.get_or_insert_with(|| {
            let (running, waiting) = (self.running.clone(), self.next.clone());
            let flight = async move {
                let _turn = running.lock_owned().await;
                lock(&waiting).take();
                ask.await
            };
            flight.boxed().shared()
        });
        flight.clone()
    }
}

/// Ignores poisoning: a panic cannot leave the value half changed.
fn lock(next: &Mutex<Option<Flight>>) -> parking_lot::MutexGuard<'_, Option<Flight>> {
    next.lock()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    };

    use futures_util::FutureExt;
    use tokio::sync::Semaphore;

    use super::{Flight, Newest};
    use crate::Revision;

    /// A store whose answers are numbered as the requests start, and wait to be released.
    #[derive(Clone)]
    struct Asked {
        begun: Arc<AtomicU64>,
        answers: Arc<Semaphore>,
    }

    impl Asked {
        fn new() -> Self {
            Self {
                begun: Arc::default(),
                answers: Arc::new(Semaphore::new(0)),
            }
        }

        fn through(&self, newest: &Newest) -> Flight {
            let Self { begun, answers } = self.clone();
            newest.ask(async move {
                let number = begun.fetch_add(1, SeqCst) + 1;
                answers
                    .acquire_owned()
                    .await
                    .expect("it stays open")
                    .forget();
                Ok(Revision::new(number))
            })
        }
    }

    #[tokio::test]
    async fn who_comes_during_a_question_shares_the_next() {
        let (newest, asked) = (Newest::default(), Asked::new());
        let mut first = asked.through(&newest);
        assert!((&mut first).now_or_never().is_none(), "it is under way");
        let (second, third) = (asked.through(&newest), asked.through(&newest));
        asked.answers.add_permits(2);
        let answers = tokio::join!(first, second, third);
        let number = |answer: Result<Revision, crate::Error>| answer.expect("an answer").get();
        let answers = (number(answers.0), number(answers.1), number(answers.2));
        assert_eq!(answers, (1, 2, 2));
        assert_eq!(asked.begun.load(SeqCst), 2);
    }

    #[tokio::test]
    async fn those_who_give_up_hold_up_nobody() {
        let (newest, asked) = (Newest::default(), Asked::new());
        let mut running = asked.through(&newest);
        assert!((&mut running).now_or_never().is_none());
        let mut waiting = asked.through(&newest);
        assert!((&mut waiting).now_or_never().is_none());
        drop((running, waiting));
        asked.answers.add_permits(1);
        let answer = asked.through(&newest).await;
        assert_eq!(answer.expect("an answer"), Revision::new(2));
    }
}
