//! Places for requests in flight to a cluster, shared fairly among its users.
//!
//! A user may hold at most as many places as are free. A single user gets half of them, two users
//! who want all get a third each, and a user who holds none gets one if any is free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::UpstreamError;

/// The places at one cluster.
pub(super) struct Places {
    limit: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    in_all: usize,
    by_user: HashMap<Arc<str>, usize>,
}

/// A place among the requests in flight to a cluster.
pub(crate) struct Place {
    places: Arc<Places>,
    user: Arc<str>,
}

impl Places {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: Mutex::default(),
        })
    }

    /// Takes a place for a user.
    ///
    /// # Errors
    /// No place is free, or the user holds their share.
    pub(super) fn take(self: &Arc<Self>, user: &str) -> Result<Place, UpstreamError> {
        let mut held = self.held();
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
        Ok(Place {
            places: Arc::clone(self),
            user,
        })
    }

    /// Poisoning is ignored: every update leaves the counts consistent.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Returns the name of the user.
    pub(crate) fn user(&self) -> &Arc<str> {
        &self.user
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
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

    /// Takes places until this fails. Returns their number and the error.
    fn fill(places: &Arc<Places>, user: &str, kept: &mut Vec<Place>) -> (usize, String) {
        let before = kept.len();
        loop {
            match places.take(user) {
                Ok(place) => kept.push(place),
                Err(error) => return (kept.len() - before, error.to_string()),
            }
        }
    }

    #[test]
    fn a_user_holds_at_most_as_many_places_as_are_free() {
        let (places, mut kept) = (Places::new(12), Vec::new());
        let share = "too many of your requests to it are in flight".to_owned();
        assert_eq!(fill(&places, "alice", &mut kept), (6, share.clone()));
        assert_eq!(fill(&places, "bob", &mut kept), (3, share.clone()));
        assert_eq!(fill(&places, "carol", &mut kept), (2, share));
        let none = "too many requests to it are in flight".to_owned();
        assert_eq!(fill(&places, "dave", &mut kept), (1, none.clone()));
        assert_eq!(fill(&places, "erin", &mut kept), (0, none));
        kept.clear();
        assert_eq!(fill(&places, "bob", &mut kept).0, 6);
        drop(kept);
        assert!(places.held().by_user.is_empty());
    }
}
