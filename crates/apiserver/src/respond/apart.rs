//! Slow encoding, outside the threads of the connections.

use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;

use machinery::status::Status;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// The size of JSON, in bytes, from which processing takes long: some milliseconds. It applies to a
/// request together with the object that it changes, and to a response.
pub(crate) const LARGE: usize = 64 * 1024;

/// The encodings that run: at most one for each processor. The others wait in order of arrival.
static RUNNING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(processors))
});

/// Runs an encoding to completion, even if the request is dropped.
///
/// # Errors
/// 500 if the encoding panics or the server is shutting down.
pub(crate) async fn run_apart<T: Send + 'static>(
    encoding: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    let stopped = || Status::internal("the response cannot be encoded");
    let permit = Arc::clone(&RUNNING).acquire_owned().await;
    let permit = permit.map_err(|_| stopped())?;
    let encoded = spawn_blocking(move || {
        let _permit = permit;
        encoding()
    });
    encoded.await.map_err(|_| stopped())
}
