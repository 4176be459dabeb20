//! Tasks that run without a request: named, told to stop, and waited for.
//!
//! A server without one of its tasks would seem well and do a part of its work: no token would be swept, or no change be seen. So the end of a task
//! ends the process, with an exit code and a last line that name the task: at once it is no longer ready and takes no new connections, requests
//! under way are finished, and after [`LIMIT`] the process ends all the same. Whatever restarts processes does the rest.
//!
//! All that is spawned, and what its end means:
//!
//! | spawned | its end |
//! |---|---|
//! | [`Tasks::spawn`]: caches, mirrors, records, sweeper, rotation, sessions, prober, compaction, certificates, … | ends the process |
//! | [`Tasks::spawn_once`]: the check of the store at the start | a panic ends the process |
//! | threads `storage-writer`, `storage-checkpoint` (`storage::sqlite`) | ends the process: the task "storage writer" ends with them |
//! | the task that waits for signals | the process no longer stops on a signal; it has no code that panics |
//! | threads `connections-N` (`apiserver::server::Workers`) | cannot end: each task on them is caught by its runtime |
//! | connections, requests and tunnels of clients, connections to clusters and to etcd | costs that connection; those to clusters and etcd are opened again |
//! | following a cluster's OIDC keys (`gateway::edge`) | costs logins at that cluster until its configuration changes |
//! | the members of etcd (`storage::etcd::client`) | calls fail, so that the server is not ready and no token is valid |
//! | `spawn_blocking` (reads of the store) | an error of that read |
//! | the thread `log` (`logging::queue`) | has no code that panics; lines would be dropped and counted |

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

/// The longest time between the end of a task and the end of the process.
const LIMIT: Duration = Duration::from_secs(10);

/// The tasks of a server.
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failure: Arc<Failure>,
}

/// The first task that ended though it should not.
struct Failure {
    /// Cancelled when it is known.
    failed: CancellationToken,
    /// Cancelled when the server begins to stop: tasks may end from then on.
    stopping: CancellationToken,
    line: OnceLock<String>,
    log: Option<Log>,
}

impl Tasks {
    /// No task yet. The log gets the last line of a process that takes too long to stop; without a log it takes as long as it takes.
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

    /// Cancelled when the tasks are to end.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a task until all are to end. If it ends before, the process ends.
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

    /// Fails as soon as a task ended that should not: the process must be restarted.
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
    /// `delay` after the first they say that they are not ready and go on serving, until nobody is
    /// sent to them any more. The end of a task stops them at once.
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
                    "stopping: requests under way are finished first; a second signal ends at once"
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

    /// Tells all tasks to end and waits for them.
    ///
    /// # Errors
    /// A task had ended before.
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

    /// Has the servers stop, and ends the process if they take too long.
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
            tracing::error!(%error, "the process may take long to stop");
        }
    }
}

/// Lets a write beyond the limit of file sizes (`ulimit -f`) fail, as on a full disk. It would kill the process.
fn survive_file_limit() {
    /// SIGXFSZ, which has this number wherever the server runs.
    const FILE_SIZE: i32 = 25;
    match signal(SignalKind::from_raw(FILE_SIZE)) {
        // The handler stays when this end of it is gone.
        Ok(received) => drop(received),
        Err(error) => tracing::warn!(%error, "a limit of file sizes would end the process"),
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
