//! Priority and fairness: the seats of requests, and the memory of their bodies.
//!
//! Every request belongs to a flow, which is that of its user, and to a level. A level has a number
//! of seats, and one flow holds at most a quarter of them. A request without a free seat waits in
//! the queue of its flow. Free seats go to the flows in turn, so a flow with many requests does not
//! delay another. A request whose queue is full, or that waits too long, is rejected with 429.
//!
//! `system:masters` and the health endpoints need no seat. Groups of programs that users depend on,
//! such as clusters that call the TokenReview webhook, have a level of their own, so users cannot
//! starve them.
//!
//! Kubernetes has the same model with configurable levels (KEP-1040). Here, the levels are fixed.

mod bodies;
mod level;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use auth::user::SYSTEM_MASTERS;
use tokio::sync::Semaphore;

pub(crate) use bodies::{Bodies, Held};
pub(crate) use level::{Level, Seat};
pub(crate) use unread::Unread;

use crate::health;
use crate::request_context::RequestContext;

/// The maximum number of open watches. A watch holds memory and a stream, but works only on
/// changes.
const WATCHES: usize = 20_000;

/// The maximum number of concurrent requests of reserved groups.
const RESERVED: usize = 200;

/// The delay of an answer that rejects a request.
const REJECTION_DELAY: Duration = Duration::from_millis(100);

/// The maximum number of answers that are delayed at a time, which bounds their memory. Further
/// rejections are answered immediately.
const DELAYED_REJECTIONS: usize = 1000;

/// The reason for rejecting a request, as the metric names it.
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

/// The priority levels of one server.
pub(crate) struct FlowControl {
    read_only: Arc<Level>,
    mutating: Arc<Level>,
    reserved: Arc<Level>,
    reserved_groups: Vec<String>,
    watches: Arc<Level>,
    /// The level of large requests, which are processed outside the threads of the connections.
    pub(crate) large: Arc<Level>,
    /// The memory of request bodies that are being read or used.
    pub(crate) bodies: Arc<Bodies>,
    /// The memory of responses that clients have not read yet.
    pub(crate) unread: Arc<Unread>,
    /// The permits to delay an answer that rejects a request.
    delayed: Semaphore,
}

impl FlowControl {
    /// Creates levels with the given numbers of seats for read-only and mutating requests.
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
            delayed: Semaphore::new(DELAYED_REJECTIONS),
        }
    }

    /// Gives the members of a group seats that are separate from those of the users.
    pub(crate) fn reserve(&mut self, group: &str) {
        self.reserved_groups.push(group.to_owned());
    }

    /// Waits before the answer that rejects a request.
    pub(crate) async fn delay_rejection(&self) {
        if let Ok(_permit) = self.delayed.try_acquire() {
            tokio::time::sleep(REJECTION_DELAY).await;
        }
    }

    /// Returns the level of a request, or `None` if the request needs no seat.
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
    /// Creates levels with the defaults of kube-apiserver: 400 and 200 seats.
    fn default() -> Self {
        Self::new(400, 200)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rejections_are_delayed_up_to_a_number() {
        let flow_control = FlowControl::default();
        let start = Instant::now();
        let delayed = (0..DELAYED_REJECTIONS).map(|_| flow_control.delay_rejection());
        let mut delayed = std::pin::pin!(join_all(delayed));
        assert!(delayed.as_mut().now_or_never().is_none());
        assert!(flow_control.delay_rejection().now_or_never().is_some());
        delayed.await;
        assert!(start.elapsed() >= REJECTION_DELAY);
        assert!(flow_control.delay_rejection().now_or_never().is_none());
    }
}
