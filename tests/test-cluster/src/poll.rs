//! Polling for conditions that cannot be waited for.

use std::time::{Duration, Instant};

use anyhow::bail;

/// Poll interval: short compared with a start, long compared with the cost of a poll.
const INTERVAL: Duration = Duration::from_millis(50);

/// Polls until `ask` returns a value, and returns it. An error of `ask` ends the wait at once. The
/// error for a passed `limit` contains `what`.
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
