//! The threads that serve connections: one for each processor, each with its own runtime.
//!
//! A connection and its requests stay on one thread. Waking another processor to hand work over can
//! cost as much as the request itself. HTTP/2 carries all users of a front proxy over a few
//! connections; see [`Requests`].

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// The interval at which a thread wakes up without a reason.
const TICK: Duration = Duration::from_secs(1);

/// The threads that serve connections. Dropping this ends the threads and the connections that they
/// serve.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    _running: DropGuard,
}

/// One thread and its tasks.
#[derive(Debug)]
struct Worker {
    runtime: Handle,
    tasks: TaskTracker,
}

impl Workers {
    /// Starts one thread for each processor.
    ///
    /// # Errors
    /// The system has no threads or file descriptors left.
    pub fn start() -> io::Result<Arc<Self>> {
        let stop = CancellationToken::new();
        let count = thread::available_parallelism().map_or(1, usize::from);
        let workers = (0..count)
            .map(|number| Worker::start(number, stop.clone()))
            .collect::<io::Result<_>>()?;
        Ok(Arc::new(Self {
            workers,
            _running: stop.drop_guard(),
        }))
    }

    /// Returns the number of threads.
    pub(super) fn count(&self) -> usize {
        self.workers.len()
    }

    /// Runs a task to completion on the thread with the fewest tasks.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let least = self.workers.iter().min_by_key(|worker| worker.tasks.len());
        if let Some(worker) = least {
            let task = worker.tasks.track_future(task);
            worker.runtime.spawn(task);
        }
    }
}

impl Worker {
    fn start(number: usize, stop: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new()
            .name(format!("connections-{number}"))
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        never = tick() => match never {},
                    }
                });
                runtime.shutdown_background();
            })?;
        Ok(Self {
            runtime: handle,
            tasks: TaskTracker::new(),
        })
    }
}

/// Wakes the thread every [`TICK`], so that its next timer is never far in the future. When a task
/// sets a timer that is earlier than all others, the runtime restarts its wait, which costs two
/// system calls. Every request sets a timeout, and few timeouts are shorter than a tick.
async fn tick() -> Infallible {
    loop {
        tokio::time::sleep(TICK).await;
    }
}

/// An executor of the requests of one HTTP/2 connection. A single request runs on the thread of the
/// connection; concurrent ones run on the least busy threads.
#[derive(Clone)]
pub(super) struct Requests {
    workers: Option<Arc<Workers>>,
    under_way: TaskTracker,
}

impl Requests {
    /// Creates an executor for a new connection. Without workers, all requests run on the runtime
    /// of the connection.
    pub(super) fn new(workers: Option<Arc<Workers>>) -> Self {
        Self {
            workers,
            under_way: TaskTracker::new(),
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Requests {
    fn execute(&self, request: F) {
        let is_alone = self.under_way.is_empty();
        let request = self.under_way.track_future(request);
        match &self.workers {
            Some(workers) if !is_alone => workers.spawn(request),
            _ => drop(tokio::spawn(request)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread::ThreadId;

    use hyper::rt::Executor;
    use tokio::sync::mpsc;

    use super::*;

    /// The time limit for an expected event.
    const LIMIT: Duration = Duration::from_secs(10);

    /// Returns a task that reports its thread and then never completes.
    fn endless(says: &mpsc::UnboundedSender<ThreadId>) -> impl Future<Output = ()> + Send + use<> {
        let says = says.clone();
        async move {
            says.send(thread::current().id()).unwrap();
            std::future::pending().await
        }
    }

    async fn threads_of(
        said: &mut mpsc::UnboundedReceiver<ThreadId>,
        count: usize,
    ) -> Vec<ThreadId> {
        let mut threads = Vec::new();
        for _ in 0..count {
            let next = tokio::time::timeout(LIMIT, said.recv()).await;
            threads.push(next.unwrap().unwrap());
        }
        threads
    }

    #[tokio::test]
    async fn connections_are_spread_evenly() {
        let workers = Workers::start().unwrap();
        let count = workers.workers.len();
        let (says, mut said) = mpsc::unbounded_channel();
        for _ in 0..2 * count {
            workers.spawn(endless(&says));
        }
        let threads = threads_of(&mut said, 2 * count).await;
        for thread in &threads {
            assert_eq!(threads.iter().filter(|other| *other == thread).count(), 2);
        }
        assert!(!threads.contains(&thread::current().id()));
    }

    #[tokio::test]
    async fn requests_of_one_connection_leave_its_thread_when_they_are_many() {
        let workers = Workers::start().unwrap();
        let requests = Requests::new(Some(Arc::clone(&workers)));
        let (says, mut said) = mpsc::unbounded_channel();
        requests.execute(endless(&says));
        let own = thread::current().id();
        assert_eq!(threads_of(&mut said, 1).await, [own]);

        let count = workers.workers.len();
        for _ in 0..count {
            requests.execute(endless(&says));
        }
        let threads = BTreeSet::from_iter(
            threads_of(&mut said, count)
                .await
                .iter()
                .map(|thread| format!("{thread:?}")),
        );
        assert_eq!(threads.len(), count);
        assert!(!threads.contains(&format!("{own:?}")));
    }

    #[tokio::test]
    async fn requests_after_one_another_stay_on_the_thread_of_their_connection() {
        let requests = Requests::new(Some(Workers::start().unwrap()));
        let (says, mut said) = mpsc::unbounded_channel();
        for _ in 0..3 {
            let says = says.clone();
            requests.execute(async move { says.send(thread::current().id()).unwrap() });
            assert_eq!(threads_of(&mut said, 1).await, [thread::current().id()]);
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_served_ends_with_the_workers() {
        let workers = Workers::start().unwrap();
        let (says, mut said) = mpsc::unbounded_channel();
        workers.spawn(endless(&says));
        threads_of(&mut said, 1).await;
        drop((workers, says));
        let end = tokio::time::timeout(LIMIT, said.recv()).await;
        assert_eq!(end.unwrap(), None);
    }
}
