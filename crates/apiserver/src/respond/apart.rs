//! Encoding that takes long, outside the threads of connections.

use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;

use machinery::status::Status;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Bytes of JSON, of a request and what it changes or of an answer, from which work on it takes long: some milliseconds.
pub(crate) const LARGE: usize = 64 * 1024;

/// As many run at once as there are processors. The others wait in the order in which they came.
static RUNNING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(processors))
});

/// Runs an encoding to its end, also where the request was dropped.
///
/// # Errors
/// 500 where it panics, or the server stops.
pub(crate) async fn run_apart<T: Send + 'static>(
    encoding: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    let stopped = || Status::internal("the answer cannot be encoded");
    let permit = Arc::clone(&RUNNING).acquire_owned().await;
    let permit = permit.map_err(|_| stopped())?;
    let encoded = spawn_blocking(move || {
        let _permit = permit;
        encoding()
    });
    encoded.await.map_err(|_| stopped())
}
