//! Whether a sealed value lies where its writer put it, at the write that put it there.
//!
//! Somebody who can write to the store beneath, but not seal, can put an old value back: one that was
//! deleted, or one from before an update. Such a write gets a new revision from the store, and that
//! shows:
//!
//! * A sealed value says which revision its writer knew, and how many writes later it is to be in the
//!   store at most ([`Stamp`]). The writer checks this after the write and seals again where others were
//!   faster. A value with a later revision was put back.
//! * Within that window, a value counts at the first write that this process has seen it at. It sees the
//!   history that the store keeps, which is longer than a window, also after a restart.
//!
//! So a value that was put back is used only where its window is still open, *and* the history of its
//! first write was removed from the store, *and* no process has been running since.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::NONCE_LEN;

use crate::Revision;

/// Bytes of a stamp.
pub(super) const STAMP_BYTES: usize = 12;

/// The window, in revisions. A value that leaves it is unreadable until it is sealed again, so it must be longer than all writes take that are
/// under way at once.
const WINDOW: u32 = 1024;

/// Values whose write is remembered: more than a window has.
const REMEMBERED: usize = 8192;

/// The statement of a value about its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// A revision before the write.
    after: u64,
    /// The most revisions from there to the write.
    window: u32,
}

/// The nonce of a value: no two values share one.
pub(super) type Nonce = [u8; NONCE_LEN];

/// The writes of the store that a process knows.
#[derive(Default)]
pub(super) struct Freshness {
    newest: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    writes: HashMap<Nonce, u64>,
    order: VecDeque<Nonce>,
}

impl Stamp {
    pub(super) fn bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..8].copy_from_slice(&self.after.to_be_bytes());
        bytes[8..].copy_from_slice(&self.window.to_be_bytes());
        bytes
    }

    /// The stamp at the beginning of a text.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let (after, rest) = text.split_first_chunk()?;
        let window = rest.first_chunk()?;
        Some(Self {
            after: u64::from_be_bytes(*after),
            window: u32::from_be_bytes(*window),
        })
    }

    /// Whether a write of this revision is within the window.
    pub(super) fn admits(self, written: Revision) -> bool {
        let distance = written.get().checked_sub(self.after);
        distance.is_some_and(|distance| distance <= u64::from(self.window))
    }
}

impl Freshness {
    /// The store has come to a revision.
    pub(super) fn reached(&self, revision: Revision) {
        self.newest.fetch_max(revision.get(), Ordering::AcqRel);
    }

    /// The stamp of a value that is about to be written after `known`.
    pub(super) fn stamp(&self, known: Revision) -> Stamp {
        Stamp {
            after: self.newest.load(Ordering::Acquire).max(known.get()),
            window: WINDOW,
        }
    }

    /// A value with this stamp was written. Says whether that was within its window.
    pub(super) fn wrote(&self, stamp: Stamp, written: Revision) -> bool {
        if written.get() < stamp.after {
            // The store was set back, as by a restored snapshot: its revisions go on from there.
            self.newest.store(written.get(), Ordering::Release);
        }
        self.reached(written);
        stamp.admits(written)
    }

    /// Whether the value of this nonce is at the write that put it there.
    pub(super) fn is_first(&self, nonce: Nonce, written: Revision) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = seen.writes.get_mut(&nonce) {
            *first = written.get().min(*first);
            return *first == written.get();
        }
        if seen.order.len() == REMEMBERED
            && let Some(oldest) = seen.order.pop_front()
        {
            seen.writes.remove(&oldest);
        }
        seen.order.push_back(nonce);
        seen.writes.insert(nonce, written.get());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Freshness, REMEMBERED, Stamp};
    use crate::Revision;

    fn at(number: u64) -> Revision {
        Revision::new(number)
    }

    #[test]
    fn a_stamp_is_read_back_and_admits_its_window_alone() {
        let freshness = Freshness::default();
        freshness.reached(at(100));
        let stamp = freshness.stamp(at(90));
        assert_eq!(Stamp::read(&stamp.bytes()), Some(stamp));
        assert_eq!(Stamp::read(&stamp.bytes()[..11]), None);
        let admitted = [99, 100, 101, 1124, 1125].map(|number| stamp.admits(at(number)));
        assert_eq!(admitted, [false, true, true, true, false]);
        assert!(freshness.stamp(at(200)).admits(at(1224)));
    }

    #[test]
    fn others_may_be_faster_by_a_window() {
        let freshness = Freshness::default();
        let stamp = freshness.stamp(at(1));
        assert!(freshness.wrote(stamp, at(1025)));
        assert!(!freshness.wrote(stamp, at(1026)));
        assert!(freshness.stamp(at(1)).admits(at(2050)));
    }

    #[test]
    fn a_store_that_was_set_back_is_written_to_again() {
        let freshness = Freshness::default();
        freshness.reached(at(1000));
        assert!(!freshness.wrote(freshness.stamp(at(0)), at(500)));
        assert!(freshness.wrote(freshness.stamp(at(500)), at(501)));
    }

    #[test]
    fn a_value_counts_at_the_first_of_its_writes() {
        let freshness = Freshness::default();
        let nonce = |number: u64| {
            let mut nonce = [0; 12];
            nonce[..8].copy_from_slice(&number.to_be_bytes());
            nonce
        };
        assert!(freshness.is_first(nonce(0), at(7)));
        assert!(freshness.is_first(nonce(0), at(7)), "read again");
        assert!(!freshness.is_first(nonce(0), at(8)), "put back");
        assert!(freshness.is_first(nonce(0), at(5)), "history, read later");
        assert!(!freshness.is_first(nonce(0), at(7)));
        for number in 1..=REMEMBERED as u64 {
            assert!(freshness.is_first(nonce(number), at(number)));
        }
        let seen = freshness.seen.lock().unwrap();
        assert_eq!(
            (seen.writes.len(), seen.order.len()),
            (REMEMBERED, REMEMBERED)
        );
    }
}
