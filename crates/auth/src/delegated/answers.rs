//! A cache of recent answers and of questions in flight.
//!
//! An entry is a cell. It is empty while a caller asks, and then holds the answer with its time.
//! Callers that find it empty wait for it. If the asking caller goes away, the next waiting caller
//! asks instead. An entry that holds a failure or is too old is ignored, and the next caller to ask
//! replaces it.
//!
//! There are two generations. Entries are written to the young one. When it is full, it becomes the
//! old one, and the previous old one is dropped. A hit in the old generation moves the entry back.
//! That approximates "least recently used", and unused entries age out.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use jiff::{SignedDuration, Timestamp};
use machinery::time::Clock;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time;

use super::{ReviewError, TTL_SECS};

/// Maximum number of questions in flight. Further ones wait for a permit.
const AT_ONCE: usize = 100;

/// Maximum time for a question with all its tries and the wait for a permit (upstream's
/// `sharedLookupTimeout`).
const LIMIT: Duration = Duration::from_secs(30);

/// Cached answers by question.
pub(super) struct Answers<V> {
    key: hmac::Key,
    clock: Arc<dyn Clock>,
    /// Time for which an answer is valid.
    ttl: SignedDuration,
    generations: Mutex<Generations<V>>,
    /// Maximum number of entries in one generation.
    generation_capacity: usize,
    places: Semaphore,
}

/// HMAC-SHA-256 of a question.
type Digest = [u8; 32];

type Entry<V> = Arc<OnceCell<Answer<V>>>;

struct Answer<V> {
    /// The time at which the question was asked. The facts may have changed while the answer was in
    /// transit.
    asked: Timestamp,
    outcome: Result<V, ReviewError>,
}

struct Generations<V> {
    young: HashMap<Digest, Entry<V>>,
    old: HashMap<Digest, Entry<V>>,
}

impl<V: Clone> Answers<V> {
    /// Creates a cache that keeps at least the `capacity / 2` most recently used answers, and never
    /// more than `capacity`. `key` must be random and used for nothing else.
    pub(super) fn new(capacity: usize, key: &[u8; 32], clock: Arc<dyn Clock>) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            clock,
            ttl: SignedDuration::from_secs(TTL_SECS),
            generations: Mutex::new(Generations {
                young: HashMap::new(),
                old: HashMap::new(),
            }),
            generation_capacity: capacity / 2,
            places: Semaphore::new(AT_ONCE),
        }
    }

    /// Sets the time for which answers are valid.
    pub(super) fn set_ttl(&mut self, ttl: SignedDuration) {
        self.ttl = ttl;
    }

    /// Returns the answer to the question identified by `parts`, from the cache or from `ask`.
    pub(super) async fn get(
        &self,
        parts: &[&[u8]],
        ask: impl Future<Output = Result<V, ReviewError>>,
    ) -> Result<V, ReviewError> {
        let entry = self.entry(self.digest(parts));
        let answer = entry.get_or_init(|| self.answer(ask)).await;
        answer.outcome.clone()
    }

    /// Returns the answer from `ask` without caching or sharing it.
    pub(super) async fn ask(
        &self,
        ask: impl Future<Output = Result<V, ReviewError>>,
    ) -> Result<V, ReviewError> {
        self.answer(ask).await.outcome
    }

    async fn answer(&self, ask: impl Future<Output = Result<V, ReviewError>>) -> Answer<V> {
        let mut asked = self.clock.now();
        let answer = time::timeout(LIMIT, async {
            let _place = self.places.acquire().await.map_err(ReviewError::new)?;
            asked = self.clock.now();
            ask.await
        });
        let outcome = answer.await;
        Answer {
            asked,
            outcome: outcome.unwrap_or_else(|late| Err(ReviewError::new(late))),
        }
    }

    /// Returns the entry that is valid or in flight, or else a new entry for the caller to fill.
    fn entry(&self, digest: Digest) -> Entry<V> {
        let now = self.clock.now();
        let mut generations = self.generations();
        let Generations { young, old } = &mut *generations;
        let known = young.get(&digest).or_else(|| old.get(&digest));
        let entry = match known {
            Some(entry)
                if entry
                    .get()
                    .is_none_or(|answer| answer.counts(now, self.ttl)) =>
            {
                Arc::clone(entry)
            }
            Some(_) | None => Arc::default(),
        };
        if young.len() >= self.generation_capacity && !young.contains_key(&digest) {
            *old = mem::take(young);
        }
        old.remove(&digest);
        young.insert(digest, Arc::clone(&entry));
        entry
    }

    /// Hashes the parts, each with its length as a prefix, so that they cannot run into each other.
    fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }

    fn generations(&self) -> MutexGuard<'_, Generations<V>> {
        self.generations.lock()
    }
}

impl<V> Answer<V> {
    /// Returns whether the answer is still valid. An answer from the future is not, because the
    /// clock went back.
    fn counts(&self, now: Timestamp, ttl: SignedDuration) -> bool {
        let age = now.duration_since(self.asked);
        let fresh = SignedDuration::ZERO..ttl;
        self.outcome.is_ok() && fresh.contains(&age)
    }
}

#[cfg(test)]
mod tests;
