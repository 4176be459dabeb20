//! The end of a connection: after too long without a request, for another connection's sake, or when the
//! server stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::activity::Activity;
use super::metrics::EndReason;
use super::places::{Place, Places};

/// Time between two checks of a connection. Requests wake nothing: the deadline is computed when it may be due.
const CHECK: Duration = Duration::from_secs(8);

/// Time for a connection without requests to end in the way of its protocol, before it is closed.
const LINGER: Duration = Duration::from_secs(5);

/// Watches over one connection.
pub(super) struct Ending {
    activity: Arc<Activity>,
    places: Arc<Places>,
    /// The time at which it was asked to finish.
    finishing: Option<Instant>,
}

/// The next step for the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// It takes no further request, and ends with those under way.
    Finish,
    /// It ends now.
    Close,
}

impl Ending {
    pub(super) fn new(place: &Place) -> Self {
        Self {
            activity: Arc::clone(place.activity()),
            places: Arc::clone(place.places()),
            finishing: None,
        }
    }

    /// Waits until something must be done.
    pub(super) async fn next(&mut self) -> Step {
        let step = match self.finishing {
            None => self.finish_or_close().await,
            Some(since) => self.close(since).await,
        };
        self.finishing.get_or_insert_with(Instant::now);
        step
    }

    async fn finish_or_close(&self) -> Step {
        let activity = &self.activity;
        loop {
            let check = Instant::now() + CHECK;
            let deadline = activity.deadline(self.places.limits());
            let wake = deadline.map_or(check, |deadline| deadline.min(check));
            tokio::select! {
                () = activity.ending.cancelled() => return Step::Finish,
                () = activity.evicted.cancelled() => {
                    // A request may have come at the same moment.
                    let is_served = activity.is_known() && activity.is_busy();
                    return if is_served { Step::Finish } else { Step::Close };
                }
                () = sleep_until(wake) => {}
            }
            let deadline = activity.deadline(self.places.limits());
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.places.metrics().ended(EndReason::Idle);
                return Step::Finish;
            }
        }
    }

    /// A connection without requests has a moment. One on which no caller was authenticated has the time of a
    /// head, also where its client does not read the answer; the others have as long as their requests take.
    async fn close(&self, since: Instant) -> Step {
        let activity = &self.activity;
        let most = self.places.limits().head_timeout;
        loop {
            tokio::select! {
                () = activity.evicted.cancelled(), if !activity.is_known() => return Step::Close,
                () = sleep(LINGER) => {}
            }
            let is_over = !activity.is_known() && since.elapsed() >= most;
            if is_over || !activity.is_busy() {
                return Step::Close;
            }
        }
    }
}
