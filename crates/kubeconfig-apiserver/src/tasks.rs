//! What runs beside the requests: named, told to stop, and waited for.

use std::time::Duration;

use apiserver::GenericServer;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of a server.
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// No task yet.
    pub(crate) fn new() -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Cancelled when the tasks are to end.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a task until it ends or all are to end.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => tracing::debug!(name, "a task ended"),
            }
        });
    }

    /// Stops the servers at the first SIGTERM or interrupt, and ends the process at the second. For
    /// `delay` after the first they say that they are not ready and go on serving, until nobody is
    /// sent to them any more.
    pub(crate) fn stop_on_signal(&self, servers: Vec<GenericServer>, delay: Duration) {
        tokio::spawn(async move {
            let (Ok(mut term), Ok(mut interrupt)) = (
                signal(SignalKind::terminate()),
                signal(SignalKind::interrupt()),
            ) else {
                tracing::error!("signals cannot be received; kill the process to stop it");
                return;
            };
            next(&mut term, &mut interrupt).await;
            tracing::info!(
                "stopping: requests under way are finished first; a second signal ends at once"
            );
            servers
                .iter()
                .for_each(|server| server.health().shut_down());
            let again = tokio::time::timeout(delay, next(&mut term, &mut interrupt)).await;
            if again.is_err() {
                servers.iter().for_each(GenericServer::stop);
                next(&mut term, &mut interrupt).await;
            }
            std::process::exit(1);
        });
    }

    /// Tells all tasks to end and waits for them.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

async fn next(term: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}
