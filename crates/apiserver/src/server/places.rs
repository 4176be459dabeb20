//! The slots of connections: their maximum number, and the choice of the connection that makes room
//! for another one.
//!
//! The listener never stops accepting. When all slots are taken, the source with the most
//! connections loses one that has been idle for long. A connection without an authenticated
//! caller may lose its slot even while a request is in flight, so only authenticated callers can
//! fill the slots. A small reserve of additional slots serves requests to the health endpoints, so
//! that a full server is not considered dead.
//!
//! The same table bounds the memory that clients use before they are authenticated: the source that
//! uses the most memory loses the connections that use the most.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Limits;
use super::activity::Activity;
use super::metrics::{ConnectionMetrics, EndReason};
use pool::{Key, Pool, Source};

mod pool;

/// The minimum interval between two log lines about full slots.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// The memory of a head above which it is counted, in bytes. A head with a token and 30 fields
/// takes less.
const LARGE_HEAD: usize = 16 * 1024;

/// The slots of one listener.
#[derive(Debug)]
pub(super) struct Places {
    limits: Limits,
    metrics: ConnectionMetrics,
    /// The memory that unauthenticated clients use, in bytes.
    charged: Arc<AtomicUsize>,
    /// The memory of large heads whose requests are in flight, in bytes.
    large_heads: AtomicUsize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    regular: Pool,
    reserve: Pool,
    /// The number of diverted connections.
    led_on: usize,
    logged: Option<Instant>,
}

/// The slot of one connection in the connection table. Dropping it frees the slot.
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

    /// Takes a slot for a new connection, and evicts another connection if necessary. Returns
    /// `None` if no connection can make room.
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

    /// Returns the limits of the listener.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns the connection metrics.
    pub(super) fn metrics(&self) -> &ConnectionMetrics {
        &self.metrics
    }

    /// Ends the connections that use the most memory, if unauthenticated clients exceed their
    /// limit.
    pub(super) fn relieve(&self) {
        let limit = self.limits.unauthenticated_bytes;
        if self.charged.load(Ordering::Acquire) <= limit {
            return;
        }
        let table = self.table();
        let pools = [&table.regular, &table.reserve];
        let sources = pools.into_iter().flat_map(Pool::sources);
        let charge =
            |source: &Source| -> usize { source.values().map(|activity| activity.charge()).sum() };
        let Some(heaviest) = sources.max_by_key(|source| charge(source)) else {
            return;
        };
        let mut connections: Vec<_> = heaviest.values().collect();
        connections.sort_unstable_by_key(|activity| Reverse(activity.charge()));
        // Frees an eighth of the limit, so that an attack does not trigger this with every byte.
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

    /// Counts the head of a request while the request is in flight. Returns `None` if large heads
    /// already use too much memory. Small heads are not counted.
    pub(super) fn hold_head(self: &Arc<Self>, memory: usize) -> Option<HeldHead> {
        let counted = if memory > LARGE_HEAD { memory } else { 0 };
        let held = HeldHead {
            places: Arc::clone(self),
            counted,
        };
        let before = self.large_heads.fetch_add(counted, Ordering::AcqRel);
        (counted == 0 || before + counted <= self.limits.large_heads_bytes).then_some(held)
    }

    /// Returns whether another connection of this source gets a regular slot. Evicts a connection
    /// if necessary.
    fn make_room(&self, table: &mut Table, source: IpAddr) -> bool {
        let share = (self.limits.connections / 2).max(1);
        let regular = &mut table.regular;
        let victim = if regular.held_by(source) >= share {
            regular.idlest_of(source)
        } else if regular.len() >= self.limits.connections {
            regular.idlest()
        } else {
            return true;
        };
        if table.is_due() {
            tracing::warn!(
                limit = self.limits.connections,
                "all connections are in use: closing idle ones"
            );
        }
        victim.is_some_and(|victim| self.evict(&mut table.regular, victim))
    }

    /// Returns whether another connection gets a slot of the reserve. Evicts a connection if
    /// necessary: the oldest one of the source with the most, busy or not, because these
    /// connections are short.
    fn make_reserve(&self, table: &mut Table) -> bool {
        let reserve = &mut table.reserve;
        if reserve.len() < self.limits.reserve {
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
        self.table.lock()
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

    /// Returns whether a log line about full slots is due, and records it.
    fn is_due(&mut self) -> bool {
        let is_due = self.logged.is_none_or(|last| last.elapsed() >= LOG_PAUSE);
        if is_due {
            self.logged = Some(Instant::now());
        }
        is_due
    }
}

impl Place {
    /// Returns the state of the connection.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Returns the slots of the listener.
    pub(super) fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// Returns whether the slot is part of the reserve, which serves only health endpoints.
    pub(super) fn is_reserve(&self) -> bool {
        self.is_reserve
    }

    /// Keeps the slot for a diverted connection until it ends. Returns whether the connection may
    /// continue: diverted connections get at most half of all slots, because their clients are not
    /// authenticated.
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

/// The head of a request in flight.
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

/// Returns the source of an address: the IPv4 address, or the IPv6 network of 64 bits, all of which
/// one client may own.
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
