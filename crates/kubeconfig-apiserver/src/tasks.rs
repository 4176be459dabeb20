//! Background tasks. They have names, are stopped together, and are waited for.
//!
//! A server that has lost one of its tasks would appear healthy but do only a part of its work. For
//! example, expired tokens would no longer be deleted, or changes would no longer be seen. The end
//! of a task therefore ends the process, with an exit code and a last line that name the task. The
//! server becomes unready at once and accepts no new connections. Requests in flight are finished.
//! After [`LIMIT`] the process ends in any case. The process must be restarted by its supervisor.
//!
//! The tasks and threads, and the consequence if one of them ends:
//!
//! - [`Tasks::spawn`] (caches, mirrors, records, sweeper, rotation, sessions, prober, compaction,
//!   certificates, …): the process ends.
//! - [`Tasks::spawn_once`] (the check of the store at the start): the process ends after a panic.
//! - The threads `storage-writer` and `storage-checkpoint` (`storage::sqlite`): the process ends,
//!   because the task "storage writer" ends with them.
//! - The task that waits for signals: the process no longer stops on a signal. The task has no code
//!   that panics.
//! - The threads `connections-N` (`apiserver::server::Workers`): they cannot end, because their
//!   runtime catches the panics of tasks.
//! - Connections, requests and tunnels of clients, and connections to clusters and to etcd: the
//!   connection is lost. Connections to clusters and to etcd are opened again.
//! - The task that follows the OIDC keys of a cluster (`gateway::edge`): logins at that cluster
//!   fail until its configuration changes.
//! - The tasks for the members of etcd (`storage::etcd::client`): calls fail, so that the server is
//!   not ready and no token is valid.
//! - `spawn_blocking` (reads of the store): the read fails.
//! - The thread `log` (`logging::queue`): it has no code that panics. Lines would be dropped and
//!   counted.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use apiserver::GenericServer;
use apiserver::health::HealthCheck;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::logging::Log;

/// The maximum time between the end of a task and the end of the process.
const LIMIT: Duration = Duration::from_secs(10);

/// The tasks of a server.
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failure: Arc<Failure>,
}

/// The first task that ended unexpectedly.
struct Failure {
    /// Cancelled when a task has ended unexpectedly.
    failed: CancellationToken,
    /// Cancelled when the server begins to stop. From then on tasks may end.
    stopping: CancellationToken,
    line: OnceLock<String>,
    log: Option<Log>,
}

impl Tasks {
    /// Creates an empty set of tasks. If the process takes longer than [`LIMIT`] to stop, the last
    /// line is written to the log. Without a log there is no time limit.
    pub(crate) fn new(log: Option<Log>) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            failure: Arc::new(Failure {
                failed: CancellationToken::new(),
                stopping: CancellationToken::new(),
                line: OnceLock::new(),
                log,
            }),
        }
    }

    /// Returns a token that is cancelled when the tasks must end.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a task until all tasks must end. If it ends earlier, the process ends.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let failure = Arc::clone(&self.failure);
        self.spawn_once(name, async move {
            task.await;
            failure.ended(name);
        });
    }

    /// Runs a task that may end. If it panics, the process ends.
    pub(crate) fn spawn_once(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.stop.clone();
        let running = tokio::spawn(async move { stop.run_until_cancelled(task).await });
        let failure = Arc::clone(&self.failure);
        self.tracker.spawn(async move {
            if running.await.is_err_and(|error| error.is_panic()) {
                failure.panicked(name);
            }
        });
    }

    /// Returns a check that fails after a task has ended unexpectedly, because the process must
    /// then be restarted.
    pub(crate) fn health_check(&self) -> HealthCheck {
        let failed = self.failure.failed.clone();
        HealthCheck {
            name: "tasks",
            vital: true,
            check: Arc::new(move || {
                let is_well = !failed.is_cancelled();
                Box::pin(async move { is_well })
            }),
        }
    }

    /// Stops the servers at the first SIGTERM or interrupt, and ends the process at the second. For
    /// `delay` after the first signal the servers report that they are not ready and continue to
    /// serve, until clients send no more requests to them. The unexpected end of a task stops them
    /// at once.
    pub(crate) fn stop_on_signal(&self, servers: Vec<GenericServer>, delay: Duration) {
        let failure = Arc::clone(&self.failure);
        survive_file_limit();
        tokio::spawn(async move {
            let (Ok(mut term), Ok(mut interrupt)) = (
                signal(SignalKind::terminate()),
                signal(SignalKind::interrupt()),
            ) else {
                tracing::error!("signals cannot be received; kill the process to stop it");
                return;
            };
            tokio::select! {
                () = next(&mut term, &mut interrupt) => tracing::info!(
                    "stopping: waiting for requests in flight; a second signal stops the server immediately"
                ),
                () = failure.failed.cancelled() => {}
            }
            failure.stopping.cancel();
            servers
                .iter()
                .for_each(|server| server.health().shut_down());
            let again = tokio::select! {
                () = next(&mut term, &mut interrupt) => true,
                () = tokio::time::sleep(delay) => false,
                () = failure.failed.cancelled() => false,
            };
            if !again {
                servers.iter().for_each(GenericServer::stop);
                next(&mut term, &mut interrupt).await;
            }
            std::process::exit(1);
        });
    }

    /// Stops all tasks, and waits for them.
    ///
    /// # Errors
    /// Fails if a task had ended unexpectedly.
    pub(crate) async fn finish(self) -> Result<()> {
        self.failure.stopping.cancel();
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        match self.failure.line.get() {
            None => Ok(()),
            Some(line) => Err(anyhow!("{line}")),
        }
    }
}

impl Failure {
    fn ended(&self, name: &str) {
        if !self.stopping.is_cancelled() {
            self.fail(format!("the background task {name:?} ended"));
        }
    }

    fn panicked(&self, name: &str) {
        self.fail(format!("the background task {name:?} panicked"));
    }

    /// Records the failure and stops the servers. Ends the process if that takes too long.
    fn fail(&self, line: String) {
        if self.line.set(line.clone()).is_err() {
            return;
        }
        tracing::error!(reason = line, "the process stops");
        self.failed.cancel();
        let Some(log) = self.log.clone() else {
            return;
        };
        let ends = thread::Builder::new().name("end".into()).spawn(move || {
            thread::park_timeout(LIMIT);
            log.fatal(&anyhow!("{line}"));
            std::process::exit(1);
        });
        if let Err(error) = ends {
            tracing::error!(%error, "the process may take a long time to stop");
        }
    }
}

/// Makes a write beyond the limit of file sizes (`ulimit -f`) fail, as on a full disk. By default
/// the signal would kill the process.
fn survive_file_limit() {
    /// SIGXFSZ, which has this number on all supported platforms.
    const FILE_SIZE: i32 = 25;
    match signal(SignalKind::from_raw(FILE_SIZE)) {
        // The handler stays installed after this receiver is dropped.
        Ok(received) => drop(received),
        Err(error) => {
            tracing::warn!(%error, "the process would be killed at the limit of file sizes")
        }
    }
}

async fn next(term: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_well(tasks: &Tasks) -> bool {
        (tasks.health_check().check)().await
    }

    #[tokio::test]
    async fn the_end_of_a_task_is_the_end_of_the_server() {
        for (panics, expected) in [
            (false, "the background task \"sweeper\" ended"),
            (true, "the background task \"sweeper\" panicked"),
        ] {
            let tasks = Tasks::new(None);
            assert!(is_well(&tasks).await);
            tasks.spawn("sweeper", async move { assert!(!panics) });
            tasks.failure.failed.cancelled().await;
            assert!(!is_well(&tasks).await);
            let line = tasks.finish().await.unwrap_err().to_string();
            assert_eq!(line, expected);
        }
    }

    #[tokio::test]
    async fn a_task_may_end_when_all_are_to_end() {
        let tasks = Tasks::new(None);
        let stop = tasks.stop();
        tasks.spawn("sweeper", async move { stop.cancelled().await });
        tasks.spawn("prober", std::future::pending());
        tasks.finish().await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_runs_once_may_end_but_not_panic() {
        let tasks = Tasks::new(None);
        tasks.spawn_once("check", async {});
        tasks.spawn_once("broken check", async { panic!("a bug") });
        tasks.failure.failed.cancelled().await;
        let line = tasks.finish().await.unwrap_err().to_string();
        assert_eq!(line, "the background task \"broken check\" panicked");
    }
}
