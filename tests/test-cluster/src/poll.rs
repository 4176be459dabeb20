//! Waiting for something that cannot say when it is done.

use std::time::{Duration, Instant};

use anyhow::bail;

/// Time between two questions: short beside a start, long beside the cost of asking.
const INTERVAL: Duration = Duration::from_millis(50);

/// Asks until there is an answer and returns it. An error of `ask` ends the wait at once; `what` is
/// named when the `limit` passes.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() >= end {
            bail!("{what}: not so after {limit:?}");
        }
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "another process gives nothing to wait on"
)]
fn pause() {
    std::thread::sleep(INTERVAL);
}
