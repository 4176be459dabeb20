//! Answers of a while ago, and those that are on their way.
//!
//! An entry is a cell: empty while somebody asks, then the answer with its time. Whoever finds it
//! empty waits for it; if the one who asks goes away, the next of those who wait asks instead. An
//! entry that holds a failure or is too old counts as none, and is replaced by the next to ask.
//!
//! There are two generations. Entries are written to the young one; when that is full it becomes the
//! old one, and the old one is forgotten. A hit in the old one moves the entry back: nearly "least
//! recently used", and what is never asked again ages out.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use jiff::{SignedDuration, Timestamp};
use machinery::time::Clock;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time;

use super::{ReviewError, TTL_SECS};

/// Questions that are asked at the same time; further ones wait for a place.
const AT_ONCE: usize = 100;

/// How long a question may take with all its tries and the wait for a place (upstream's
/// `sharedLookupTimeout`).
const LIMIT: Duration = Duration::from_secs(30);

/// Answers by question.
pub(super) struct Answers<V> {
    key: hmac::Key,
    clock: Arc<dyn Clock>,
    /// How long an answer counts.
    ttl: SignedDuration,
    generations: Mutex<Generations<V>>,
    /// Entries of one generation.
    generation_capacity: usize,
    places: Semaphore,
}

/// HMAC-SHA-256 of a question.
type Digest = [u8; 32];

type Entry<V> = Arc<OnceCell<Answer<V>>>;

struct Answer<V> {
    /// When it was asked for: what was true then may have changed while it was on its way.
    asked: Timestamp,
    outcome: Result<V, ReviewError>,
}

struct Generations<V> {
    young: HashMap<Digest, Entry<V>>,
    old: HashMap<Digest, Entry<V>>,
}

impl<V: Clone> Answers<V> {
    /// Keeps at least the `capacity / 2` answers used last, and never more than `capacity`. `key` is
    /// random and used for nothing else.
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

    /// Lets answers count for so long.
    pub(super) fn set_ttl(&mut self, ttl: SignedDuration) {
        self.ttl = ttl;
    }

    /// The answer to the question that `parts` name, remembered or from `ask`.
    pub(super) async fn get(
        &self,
        parts: &[&[u8]],
        ask: impl Future<Output = Result<V, ReviewError>>,
    ) -> Result<V, ReviewError> {
        let entry = self.entry(self.digest(parts));
        let answer = entry.get_or_init(|| self.answer(ask)).await;
        answer.outcome.clone()
    }

    /// The answer from `ask`, kept from everybody else.
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

    /// What is known or being asked, else a new entry for the caller to fill.
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

    /// The parts are told apart by their lengths.
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
        // A panic while it was held would leave a sound map.
        let generations = self.generations.lock();
        generations.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Answer<V> {
    /// Not after its time, and not before it either: a clock that went back proves nothing.
    fn counts(&self, now: Timestamp, ttl: SignedDuration) -> bool {
        let age = now.duration_since(self.asked);
        let fresh = SignedDuration::ZERO..ttl;
        self.outcome.is_ok() && fresh.contains(&age)
    }
}

#[cfg(test)]
mod tests;
