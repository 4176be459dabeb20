//! Periodic compaction: discards old states, as etcd does every five minutes, without reading a
//! clock.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::{Error, Revision, Store};

/// The amount of history to keep.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Age below which history is kept. History older than twice this is discarded.
    pub age: Duration,
    /// Number of the newest revisions that are kept regardless of age. Should be at least what a
    /// cache keeps, so that after a restart the cache finds the history of its watches.
    pub revisions: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(300),
            revisions: 8192,
        }
    }
}

/// Compacts once every `retention.age`, up to the revision that was current one interval ago, until
/// `shutdown`. A failure is logged, and the next turn tries again. Dropping the future is safe.
pub async fn run(store: Arc<dyn Store>, retention: Retention, shutdown: CancellationToken) {
    let start = tokio::time::Instant::now() + retention.age;
    let mut turns = interval_at(start, retention.age);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = store.current_revision().await.unwrap_or_default();
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            () = shutdown.cancelled() => return,
        }
        match turn(&*store, seen, retention.revisions).await {
            Ok(current) => seen = current,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "compaction failed"
                );
            }
        }
    }
}

/// Compacts what is before `seen` and not among the newest `keep` revisions. Returns the current
/// revision.
async fn turn(store: &dyn Store, seen: Revision, keep: u64) -> Result<Revision, Error> {
    let current = store.current_revision().await?;
    let through = seen.min(Revision::new(current.get().saturating_sub(keep)));
    if through > store.compacted_revision().await? {
        store.compact(through).await?;
        tracing::debug!(%through, %current, "compacted");
    }
    Ok(current)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use bytes::Bytes;
    use tokio_util::sync::CancellationToken;

    use super::{Retention, run};
    use crate::{
        Key, Revision, Store,
        sqlite::{Sqlite, SqliteOptions},
    };

    async fn write(store: &dyn Store, times: u64) -> Revision {
        for number in 0..times {
            let key = Key::parse("/test/things/a").expect("a well-formed key");
            let value = Bytes::from(number.to_string());
            match store.get(&key).await.expect("it answers") {
                None => store.create(&key, value).await,
                Some(record) => store.update(&key, value, record.revision).await,
            }
            .expect("no other client writes");
        }
        store.current_revision().await.expect("it answers")
    }

    async fn compacted(store: &dyn Store) -> Revision {
        store.compacted_revision().await.expect("it answers")
    }

    #[tokio::test]
    async fn what_was_old_one_turn_ago_goes_but_the_newest_stay() {
        let home = tempfile::TempDir::new().expect("a directory");
        let store = Sqlite::open(home.path(), SqliteOptions::default()).expect("it opens");
        let start = compacted(&store).await;
        let first = write(&store, 20).await;
        assert_eq!(
            super::turn(&store, start, 5).await.expect("it answers"),
            first
        );
        assert_eq!(compacted(&store).await, start, "nothing is old yet");
        let second = write(&store, 20).await;
        assert_eq!(
            super::turn(&store, first, 5).await.expect("it answers"),
            second
        );
        assert_eq!(compacted(&store).await, first);
        super::turn(&store, second, 5).await.expect("it answers");
        assert_eq!(compacted(&store).await, Revision::new(second.get() - 5));
    }

    #[tokio::test]
    async fn it_ends_when_told() {
        let home = tempfile::TempDir::new().expect("a directory");
        let store = Sqlite::open(home.path(), SqliteOptions::default()).expect("it opens");
        let shutdown = CancellationToken::new();
        let retention = Retention {
            age: Duration::from_secs(3600),
            revisions: 1,
        };
        let runs = tokio::spawn(run(Arc::new(store), retention, shutdown.clone()));
        tokio::task::yield_now().await;
        shutdown.cancel();
        runs.await.expect("it ends");
    }
}
