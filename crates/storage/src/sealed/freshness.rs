//! Detection of sealed values that are not at the write that stored them.
//!
//! An attacker who can write to the inner store, but not seal, can put an old value back: one that
//! was deleted, or one from before an update. Such a write gets a new revision from the store,
//! which reveals it:
//!
//! * A sealed value states a revision that its writer knew, and the maximum number of revisions
//!   from there to its write ([`Stamp`]). The writer checks this after the write and seals again if
//!   concurrent writes exceeded the window. A value with a later revision was put back.
//! * Within that window, a value is valid at the first write that this process has seen it at. The
//!   process sees the history that the store keeps, which is longer than a window, also after a
//!   restart.
//!
//! So a value that was put back is accepted only if its window is still open, *and* the history of
//! its first write was removed from the store, *and* no process has been running since.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::NONCE_LEN;
use parking_lot::Mutex;

use crate::Revision;

/// Size of a stamp in bytes.
pub(super) const STAMP_BYTES: usize = 12;

/// The window, in revisions. A value outside of it is unreadable until it is sealed again, so the
/// window must be longer than all concurrent writes take.
const WINDOW: u32 = 1024;

/// Number of values whose write is remembered: more than fit into a window.
const REMEMBERED: usize = 8192;

/// The range of revisions in which a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// A revision before the write.
    after: u64,
    /// The maximum number of revisions from there to the write.
    window: u32,
}

/// The nonce of a value, which is unique.
pub(super) type Nonce = [u8; NONCE_LEN];

/// The writes of the store that this process knows.
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

    /// Parses the stamp at the beginning of a plaintext.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let (after, rest) = text.split_first_chunk()?;
        let window = rest.first_chunk()?;
        Some(Self {
            after: u64::from_be_bytes(*after),
            window: u32::from_be_bytes(*window),
        })
    }

    /// Returns whether a write at this revision is within the window.
    pub(super) fn admits(self, written: Revision) -> bool {
        let distance = written.get().checked_sub(self.after);
        distance.is_some_and(|distance| distance <= u64::from(self.window))
    }
}

impl Freshness {
    /// Records that the store has reached a revision.
    pub(super) fn reached(&self, revision: Revision) {
        self.newest.fetch_max(revision.get(), Ordering::AcqRel);
    }

    /// Returns the stamp of a value that is about to be written after `known`.
    pub(super) fn stamp(&self, known: Revision) -> Stamp {
        Stamp {
            after: self.newest.load(Ordering::Acquire).max(known.get()),
            window: WINDOW,
        }
    }

    /// Records the write of a value with this stamp. Returns whether it is within its window.
    pub(super) fn wrote(&self, stamp: Stamp, written: Revision) -> bool {
        if written.get() < stamp.after {
            // The store was set back, for example to a snapshot: its revisions continue from there.
            self.newest.store(written.get(), Ordering::Release);
        }
        self.reached(written);
        stamp.admits(written)
    }

    /// Returns whether `written` is the first known write of the value with this nonce.
    pub(super) fn is_first(&self, nonce: Nonce, written: Revision) -> bool {
        let mut seen = self.seen.lock();
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
        let seen = freshness.seen.lock();
        assert_eq!(
            (seen.writes.len(), seen.order.len()),
            (REMEMBERED, REMEMBERED)
        );
    }
}
