//! Slots for requests in flight to a cluster, shared fairly among its users.
//!
//! A user may hold at most as many slots as are free. A single user gets half of them, two users
//! who want all get a third each, and a user who holds none gets one if any is free.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::error::UpstreamError;

/// The slots at one cluster.
pub(super) struct Slots {
    limit: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    in_all: usize,
    by_user: HashMap<Arc<str>, usize>,
}

/// A slot among the requests in flight to a cluster.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    user: Arc<str>,
}

impl Slots {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: Mutex::default(),
        })
    }

    /// Takes a slot for a user.
    ///
    /// # Errors
    /// No slot is free, or the user holds their share.
    pub(super) fn take(self: &Arc<Self>, user: &str) -> Result<Slot, UpstreamError> {
        let mut held = self.held.lock();
        let free = self.limit.saturating_sub(held.in_all);
        let entry = held.by_user.get_key_value(user);
        let (user, own) = match entry {
            Some((user, own)) => (Arc::clone(user), *own),
            None => (Arc::from(user), 0),
        };
        if free == 0 {
            return Err(UpstreamError::Busy);
        }
        if own >= free {
            return Err(UpstreamError::BusyWithUser);
        }
        held.in_all += 1;
        held.by_user.insert(Arc::clone(&user), own + 1);
        Ok(Slot {
            slots: Arc::clone(self),
            user,
        })
    }
}

impl Slot {
    /// Returns the name of the user.
    pub(crate) fn user(&self) -> &Arc<str> {
        &self.user
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.slots.held.lock();
        held.in_all -= 1;
        match held.by_user.get_mut(&self.user) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                held.by_user.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes slots until this fails. Returns their number and the error.
    fn fill(slots: &Arc<Slots>, user: &str, kept: &mut Vec<Slot>) -> (usize, String) {
        let before = kept.len();
        loop {
            match slots.take(user) {
                Ok(slot) => kept.push(slot),
                Err(error) => return (kept.len() - before, error.to_string()),
            }
        }
    }

    #[test]
    fn a_user_holds_at_most_as_many_slots_as_are_free() {
        let (slots, mut kept) = (Slots::new(12), Vec::new());
        let share = "too many of your requests to it are in flight".to_owned();
        assert_eq!(fill(&slots, "alice", &mut kept), (6, share.clone()));
        assert_eq!(fill(&slots, "bob", &mut kept), (3, share.clone()));
        assert_eq!(fill(&slots, "carol", &mut kept), (2, share));
        let none = "too many requests to it are in flight".to_owned();
        assert_eq!(fill(&slots, "dave", &mut kept), (1, none.clone()));
        assert_eq!(fill(&slots, "erin", &mut kept), (0, none));
        kept.clear();
        assert_eq!(fill(&slots, "bob", &mut kept).0, 6);
        drop(kept);
        assert!(slots.held.lock().by_user.is_empty());
    }
}
