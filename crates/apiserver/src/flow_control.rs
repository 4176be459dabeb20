//! Priority and fairness: the seats of requests, and the memory of their bodies.
//!
//! Every request belongs to a flow, that of its user, and to a level. A level has a number of seats, of
//! which one flow holds at most a quarter. A request without a free seat waits in the queue of its flow;
//! seats that become free go to the flows in turn, so a flow with many requests does not delay another
//! one. A request that finds its queue full, or waits too long, is refused with 429.
//!
//! `system:masters` and the health paths need no seat. Groups of programs that users depend on, such as
//! clusters that ask about tokens, have a level of their own, so that users cannot crowd them out.
//!
//! Kubernetes has the same model with configurable levels (KEP-1040). Here the levels are fixed.

mod bodies;
mod level;
mod unread;

use std::sync::Arc;

use auth::user::SYSTEM_MASTERS;

pub(crate) use bodies::{Bodies, Held};
pub(crate) use level::{Level, Seat};
pub(crate) use unread::Unread;

use crate::health;
use crate::request_context::RequestContext;

/// Watches that may be open at once. They hold memory and a stream, and do work only when something changes.
const WATCHES: usize = 20_000;

/// Requests of reserved groups that are served at once.
const RESERVED: usize = 200;

/// The reason of a refusal, as the metric names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Overload {
    /// The queue of the flow or the level is full.
    QueueFull,
    /// No seat became free in time.
    TimedOut,
    /// The bodies of the flow, or of all flows, hold too much memory.
    Bodies,
}

impl Overload {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::TimedOut => "time-out",
            Self::Bodies => "bodies",
        }
    }
}

/// The levels of one server.
pub(crate) struct FlowControl {
    read_only: Arc<Level>,
    mutating: Arc<Level>,
    reserved: Arc<Level>,
    reserved_groups: Vec<String>,
    watches: Arc<Level>,
    /// Large requests, which are computed outside the threads of connections.
    pub(crate) large: Arc<Level>,
    /// The bodies that are being read or used.
    pub(crate) bodies: Arc<Bodies>,
    /// The answers that are not read.
    pub(crate) unread: Arc<Unread>,
}

impl FlowControl {
    /// Creates levels with this many seats for requests that read and for requests that write.
    pub(crate) fn new(read_only: usize, mutating: usize) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            read_only: Level::with_queues("read-only", read_only),
            mutating: Level::with_queues("mutating", mutating),
            reserved: Level::with_queues("reserved", RESERVED),
            reserved_groups: Vec::new(),
            watches: Level::without_queues("watch", WATCHES),
            large: Level::with_queues("large", processors),
            bodies: Arc::default(),
            unread: Arc::default(),
        }
    }

    /// Gives the members of a group seats apart from those of the users.
    pub(crate) fn reserve(&mut self, group: &str) {
        self.reserved_groups.push(group.to_owned());
    }

    /// Returns the level of a request; `None` for a request that needs no seat.
    pub(crate) fn level(&self, cx: &RequestContext) -> Option<&Arc<Level>> {
        let is_health = cx.info.resource.is_none() && health::is_path(&cx.info.path);
        if is_health || cx.user.in_group(SYSTEM_MASTERS) {
            return None;
        }
        let is_reserved = || {
            let mut groups = self.reserved_groups.iter();
            groups.any(|group| cx.user.in_group(group))
        };
        Some(if cx.info.is_long_running() {
            &self.watches
        } else if is_reserved() {
            &self.reserved
        } else if cx.info.is_read_only() {
            &self.read_only
        } else {
            &self.mutating
        })
    }
}

impl Default for FlowControl {
    /// Creates levels with kube-apiserver's 400 and 200 seats.
    fn default() -> Self {
        Self::new(400, 200)
    }
}
