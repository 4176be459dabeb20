//! The places of connections: how many there are at once, and which connection makes room for another.
//!
//! Accepting never stops. When all places are taken, the source that holds the most of them gives up the
//! connection that has been idle for longest. A connection on which no caller was authenticated gives up its
//! place also with a request under way; so only authenticated callers can fill the places. Beyond the places
//! there is a small reserve for requests about health, so that a full server is not taken for a dead one.
//!
//! The same table bounds the memory that clients take before they are authenticated: the source that takes the
//! most loses its connections that take the most.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Limits;
use super::activity::Activity;
use super::metrics::{ConnectionMetrics, EndReason};

/// Time between two log lines about full places.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// Memory of a head above which it is counted, in bytes: beyond what a token and 30 fields take.
const LARGE_HEAD: usize = 16 * 1024;

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Places {
    limits: Limits,
    metrics: ConnectionMetrics,
    /// The memory that clients take who are not authenticated, in bytes.
    charged: Arc<AtomicUsize>,
    /// The memory of large heads whose requests are under way, in bytes.
    large_heads: AtomicUsize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    regular: Pool,
    reserve: Pool,
    /// Connections that are led on.
    led_on: usize,
    logged: Option<Instant>,
}

/// Connections by source.
#[derive(Debug, Default)]
struct Pool {
    taken: usize,
    by_source: HashMap<IpAddr, HashMap<u64, Arc<Activity>>>,
}

/// The key of a connection in a pool.
#[derive(Clone, Copy, Debug)]
struct Key {
    source: IpAddr,
    id: u64,
}

/// The place of one connection. Dropped, it is free.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    activity: Arc<Activity>,
    key: Key,
    is_reserve: bool,
    is_led_on: bool,
}

impl Places {
    pub(super) fn new(limits: Limits, metrics: ConnectionMetrics) -> Arc<Self> {
        Arc::new(Self {
            limits,
            metrics,
            charged: Arc::default(),
            large_heads: AtomicUsize::new(0),
            table: Mutex::default(),
        })
    }

    /// Takes a place for a new connection, by eviction of another one if necessary. `None` if no connection
    /// can make room.
    pub(super) fn take(
        self: &Arc<Self>,
        address: IpAddr,
        stop: &CancellationToken,
    ) -> Option<Place> {
        let activity = Activity::new(Arc::clone(&self.charged), stop);
        let mut table = self.table();
        let key = Key {
            source: source_of(address),
            id: table.next_id,
        };
        table.next_id += 1;
        let is_reserve = !self.make_room(&mut table, key.source);
        if is_reserve && !self.make_reserve(&mut table) {
            self.metrics.ended(EndReason::Refused);
            return None;
        }
        table.pool(is_reserve).insert(key, Arc::clone(&activity));
        drop(table);
        self.metrics.opened();
        Some(Place {
            places: Arc::clone(self),
            activity,
            key,
            is_reserve,
            is_led_on: false,
        })
    }

    /// The limits of each connection.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The counters of connections.
    pub(super) fn metrics(&self) -> &ConnectionMetrics {
        &self.metrics
    }

    /// Ends connections that take the most memory, if clients who are not authenticated take more than they may.
    pub(super) fn relieve(&self) {
        let limit = self.limits.unauthenticated_bytes;
        if self.charged.load(Ordering::Acquire) <= limit {
            return;
        }
        let table = self.table();
        let pools = [&table.regular, &table.reserve];
        let sources = pools.into_iter().flat_map(|pool| pool.by_source.values());
        let charge = |source: &HashMap<u64, Arc<Activity>>| -> usize {
            source.values().map(|activity| activity.charge()).sum()
        };
        let Some(heaviest) = sources.max_by_key(|source| charge(source)) else {
            return;
        };
        let mut connections: Vec<_> = heaviest.values().collect();
        connections.sort_unstable_by_key(|activity| Reverse(activity.charge()));
        // An eighth at once, so that an attack does not come here with every byte.
        let enough = limit - limit / 8;
        for activity in connections {
            if self.charged.load(Ordering::Acquire) <= enough || activity.charge() == 0 {
                return;
            }
            activity.set_charge(0);
            activity.evicted.cancel();
            self.metrics.ended(EndReason::Memory);
        }
    }

    /// Counts the head of a request that takes so much memory, for as long as the request is under way. `None` if
    /// the large heads take too much already; small ones are not counted.
    pub(super) fn hold_head(self: &Arc<Self>, memory: usize) -> Option<HeldHead> {
        let counted = if memory > LARGE_HEAD { memory } else { 0 };
        let held = HeldHead {
            places: Arc::clone(self),
            counted,
        };
        let before = self.large_heads.fetch_add(counted, Ordering::AcqRel);
        (counted == 0 || before + counted <= self.limits.large_heads_bytes).then_some(held)
    }

    /// Whether another connection of this source has a regular place, after an eviction if necessary.
    fn make_room(&self, table: &mut Table, source: IpAddr) -> bool {
        let share = (self.limits.connections / 2).max(1);
        let regular = &mut table.regular;
        let victim = if regular.held_by(source) >= share {
            regular.idlest_of(source)
        } else if regular.taken >= self.limits.connections {
            regular.idlest()
        } else {
            return true;
        };
        if table.is_due() {
            tracing::warn!(
                limit = self.limits.connections,
                "all connections are in use: the idle ones make room"
            );
        }
        victim.is_some_and(|victim| self.evict(&mut table.regular, victim))
    }

    /// Whether another connection has a place of the reserve. Its connections are short, so the oldest one of
    /// the source with the most makes room, busy or not.
    fn make_reserve(&self, table: &mut Table) -> bool {
        let reserve = &mut table.reserve;
        if reserve.taken < self.limits.reserve {
            return true;
        }
        let victim = reserve.oldest();
        victim.is_some_and(|victim| self.evict(reserve, victim))
    }

    fn evict(&self, pool: &mut Pool, victim: Key) -> bool {
        let Some(activity) = pool.remove(victim) else {
            return false;
        };
        activity.evicted.cancel();
        self.metrics.ended(EndReason::Evicted);
        true
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn pool(&mut self, is_reserve: bool) -> &mut Pool {
        if is_reserve {
            &mut self.reserve
        } else {
            &mut self.regular
        }
    }

    /// Whether the log has had no line for a while; then it is to have one now.
    fn is_due(&mut self) -> bool {
        let is_due = self.logged.is_none_or(|last| last.elapsed() >= LOG_PAUSE);
        if is_due {
            self.logged = Some(Instant::now());
        }
        is_due
    }
}

impl Pool {
    fn held_by(&self, source: IpAddr) -> usize {
        self.by_source.get(&source).map_or(0, HashMap::len)
    }

    fn insert(&mut self, key: Key, activity: Arc<Activity>) {
        let source = self.by_source.entry(key.source).or_default();
        source.insert(key.id, activity);
        self.taken += 1;
    }

    fn remove(&mut self, key: Key) -> Option<Arc<Activity>> {
        let source = self.by_source.get_mut(&key.source)?;
        let activity = source.remove(&key.id)?;
        if source.is_empty() {
            self.by_source.remove(&key.source);
        }
        self.taken -= 1;
        Some(activity)
    }

    /// The connection that makes room: of the source with the most, and there the one that is idle for longest.
    fn idlest(&self) -> Option<Key> {
        let sources = self.by_source.keys();
        let candidates = sources.filter_map(|source| Some((*source, self.idlest_of(*source)?)));
        let heaviest = candidates.max_by_key(|(source, key)| {
            let activity = &self.by_source[source][&key.id];
            (self.held_by(*source), Reverse(idleness(activity)))
        });
        heaviest.map(|(_, key)| key)
    }

    fn idlest_of(&self, source: IpAddr) -> Option<Key> {
        let connections = self.by_source.get(&source)?.iter();
        let candidates = connections.filter_map(|(id, activity)| Some((idleness(activity)?, *id)));
        let idlest = candidates.min();
        idlest.map(|(_, id)| Key { source, id })
    }

    fn oldest(&self) -> Option<Key> {
        let (source, connections) = self.by_source.iter().max_by_key(|(_, it)| it.len())?;
        let oldest = connections.iter().min_by_key(|(_, it)| it.began());
        oldest.map(|(id, _)| Key {
            source: *source,
            id: *id,
        })
    }
}

/// The order in which connections make room, the smallest first: idle ones, then those of callers who are not
/// authenticated. `None` for those that keep their places.
fn idleness(activity: &Activity) -> Option<(bool, Instant)> {
    match activity.idle_since() {
        Some(since) => Some((false, since)),
        None if activity.is_known() || activity.is_taken_over() => None,
        None => Some((true, activity.began())),
    }
}

impl Place {
    /// The state of its connection.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// The places that it is one of.
    pub(super) fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// Whether it serves requests about health alone.
    pub(super) fn is_reserve(&self) -> bool {
        self.is_reserve
    }

    /// Keeps the place for a connection that is led on, for as long as that lasts. Returns whether it may: those
    /// connections hold at most a half of all places, since their clients are not known.
    pub(super) fn lead_on(&mut self) -> bool {
        let mut table = self.places.table();
        let is_free = table.led_on < (self.places.limits.connections / 2).max(1);
        if self.is_reserve || !is_free {
            self.places.metrics.ended(EndReason::Refused);
            return false;
        }
        table.led_on += 1;
        self.is_led_on = true;
        self.activity.take_over();
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.metrics.closed();
        let mut table = self.places.table();
        table.pool(self.is_reserve).remove(self.key);
        table.led_on -= usize::from(self.is_led_on);
    }
}

/// The head of a request under way.
#[derive(Debug)]
pub(super) struct HeldHead {
    places: Arc<Places>,
    counted: usize,
}

impl Drop for HeldHead {
    fn drop(&mut self) {
        let large_heads = &self.places.large_heads;
        large_heads.fetch_sub(self.counted, Ordering::AcqRel);
    }
}

/// One source: an IPv4 address, or an IPv6 network of 64 bits, which one client may have whole.
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests;
