//! The end of a connection: after too long without a request, to make room for another connection,
//! or when the server is shutting down.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::activity::Activity;
use super::metrics::EndReason;
use super::places::{Place, Places};

/// The interval between two checks of a connection. Requests do not wake the check; it computes the
/// deadline when the deadline may have passed.
const CHECK: Duration = Duration::from_secs(8);

/// The time that a connection without requests has for a graceful shutdown before it is closed.
const LINGER: Duration = Duration::from_secs(5);

/// The watchdog that decides when one connection ends.
pub(super) struct Ending {
    activity: Arc<Activity>,
    places: Arc<Places>,
    /// The time at which the connection was asked to finish.
    finishing: Option<Instant>,
}

/// The next step in ending a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// The connection accepts no further request, and ends after those in flight.
    Finish,
    /// The connection ends now.
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

    /// Waits for the next step.
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
                    // A request may have arrived at the same time.
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

    /// Waits until a finishing connection must be closed. A connection without requests is closed
    /// after [`LINGER`]. A connection without an authenticated caller is closed after the head
    /// timeout at the latest, even if its client has not read the response. Any other connection
    /// may complete its requests.
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
