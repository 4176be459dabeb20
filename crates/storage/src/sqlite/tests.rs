//! Tests that the conformance suite cannot do from outside: files, failures and damage.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use futures_util::StreamExt;
use rusqlite::{Connection, ffi};
use tempfile::TempDir;

use super::{OpenError, Sqlite, SqliteOptions};
use crate::{At, Change, Error, Event, Key, ListOptions, Record, Revision, Store};

/// The moment of a transaction at which a [`Fault`] strikes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    BeforeCommit,
    AfterCommit,
}

/// A simulated disk failure: strikes at one moment of a number of transactions, once it is armed.
#[derive(Clone)]
pub(crate) struct Fault {
    moment: Moment,
    strikes: Arc<AtomicUsize>,
}

impl Fault {
    fn at(moment: Moment) -> Self {
        Self {
            moment,
            strikes: Arc::default(),
        }
    }

    fn arm(&self, strikes: usize) {
        self.strikes.store(strikes, SeqCst);
    }

    pub(crate) fn strike(fault: &Option<Self>, moment: Moment) -> rusqlite::Result<()> {
        let Some(fault) = fault.as_ref().filter(|fault| fault.moment == moment) else {
            return Ok(());
        };
        let left = fault
            .strikes
            .try_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        let failure = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR), None);
        left.map_or(Ok(()), |_| Err(failure()))
    }
}

fn open(directory: &Path) -> Sqlite {
    Sqlite::open(directory, SqliteOptions::default()).expect("it opens")
}

fn open_faulty(directory: &Path, fault: &Fault) -> Sqlite {
    let options = SqliteOptions {
        fault: Some(fault.clone()),
        ..SqliteOptions::default()
    };
    Sqlite::open(directory, options).expect("it opens")
}

fn home() -> TempDir {
    TempDir::new().expect("a directory")
}

fn key(name: &str) -> Key {
    Key::parse(&format!("/test/things/{name}")).expect("a well-formed key")
}

async fn create(store: &Sqlite, name: &str) -> Revision {
    store
        .create(&key(name), Bytes::from_static(b"value"))
        .await
        .expect("the key is free")
}

fn record(name: &str, value: &'static [u8], revision: Revision) -> Record {
    Record {
        key: key(name),
        value: Bytes::from_static(value),
        revision,
    }
}

async fn list(store: &Sqlite, at: At) -> Result<Vec<Record>, Error> {
    let options = ListOptions {
        at,
        ..ListOptions::default()
    };
    Ok(store.list("/test/things/", &options).await?.records)
}

fn mode(path: &Path) -> u32 {
    let metadata = std::fs::metadata(path).expect("it exists");
    metadata.permissions().mode() & 0o777
}

#[tokio::test]
async fn a_failed_commit_acknowledges_nobody_and_is_not_retried() {
    let (home, fault) = (home(), Fault::at(Moment::BeforeCommit));
    let store = open_faulty(home.path(), &fault);
    let first = create(&store, "first").await;
    let mut watch = store.watch(first).await.expect("it is kept");

    fault.arm(2);
    for name in ["lost", "lost"] {
        let failed = store.create(&key(name), Bytes::from_static(b"value")).await;
        assert!(matches!(failed, Err(Error::Unavailable(_))), "{failed:?}");
    }
    assert_eq!(store.current_revision().await.expect("it answers"), first);
    assert_eq!(
        list(&store, At::Latest).await.expect("reads go on").len(),
        1
    );

    let second = create(&store, "second").await;
    assert_eq!(second.get(), first.get() + 1);
    let seen = watch
        .next()
        .await
        .expect("it goes on")
        .expect("it is sound");
    let change = Change::Put(Bytes::from_static(b"value"));
    assert_eq!(
        seen.events,
        [Event {
            key: key("second"),
            revision: second,
            change
        }]
    );
    drop(watch);
    drop(store);
    assert_eq!(
        list(&open(home.path()), At::Latest)
            .await
            .expect("it answers")
            .len(),
        2
    );
}

#[tokio::test]
async fn a_commit_that_failed_but_happened_is_seen_by_watches() {
    let (home, fault) = (home(), Fault::at(Moment::AfterCommit));
    let store = open_faulty(home.path(), &fault);
    let start = store.current_revision().await.expect("it answers");
    let mut watch = store.watch(start).await.expect("it is kept");
    let first = create(&store, "first").await;
    // Having received this event, the watch waits for live commits.
    let batch = watch
        .next()
        .await
        .expect("it goes on")
        .expect("it is sound");
    assert_eq!(batch.revision, first);

    fault.arm(1);
    let unclear = store
        .create(&key("unclear"), Bytes::from_static(b"value"))
        .await;
    assert!(matches!(unclear, Err(Error::Unavailable(_))), "{unclear:?}");
    assert_eq!(store.get(&key("unclear")).await.expect("it answers"), None);

    create(&store, "second").await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let batch = watch
            .next()
            .await
            .expect("it goes on")
            .expect("it is sound");
        seen.extend(batch.events.into_iter().map(|event| event.key));
    }
    assert_eq!(seen, [key("unclear"), key("second")]);
    let again = store
        .create(&key("unclear"), Bytes::from_static(b"value"))
        .await;
    assert!(matches!(again, Err(Error::Exists)), "{again:?}");
}

/// Returns the number of rows in the file, through another connection.
fn rows(directory: &Path) -> i64 {
    let connection = Connection::open(directory.join("state.db")).expect("it opens");
    connection
        .query_row("SELECT count(*) FROM log", [], |row| row.get(0))
        .expect("a number")
}

#[tokio::test]
async fn an_interrupted_compaction_is_finished_by_the_next() {
    let (home, fault) = (home(), Fault::at(Moment::BeforeCommit));
    let store = open_faulty(home.path(), &fault);
    let mut last = create(&store, "updated").await;
    for _ in 0..600 {
        let value = Bytes::from_static(b"value");
        last = store
            .update(&key("updated"), value, last)
            .await
            .expect("it is ours");
    }
    let gone = create(&store, "gone").await;
    let end = store.delete(&key("gone"), gone).await.expect("it is ours");

    // The first step succeeds: readers see the compaction, and part of the rows is removed.
    assert!(
        store
            .write(super::Operation::Compact { through: end })
            .await
            .expect("a step")
            < end
    );
    fault.arm(1);
    let interrupted = store.compact(end).await;
    assert!(
        matches!(interrupted, Err(Error::Unavailable(_))),
        "{interrupted:?}"
    );
    let halfway = rows(home.path());
    assert!((2..603).contains(&halfway), "{halfway}");
    drop(store);

    let store = open(home.path());
    assert_eq!(store.compacted_revision().await.expect("it answers"), end);
    assert_eq!(store.current_revision().await.expect("it answers"), end);
    let expect = [record("updated", b"value", last)];
    assert_eq!(
        list(&store, At::Exactly(end)).await.expect("it is kept"),
        expect
    );
    store
        .compact(last)
        .await
        .expect("an earlier one finishes it too");
    assert_eq!(rows(home.path()), 1);
    assert_eq!(
        list(&store, At::Exactly(end)).await.expect("it is kept"),
        expect
    );
}

#[tokio::test]
async fn a_flipped_bit_damages_one_record_and_is_noticed() {
    let home = home();
    let store = open(home.path());
    let (bad, good) = (create(&store, "bad").await, create(&store, "good").await);
    drop(store);
    let connection = Connection::open(home.path().join("state.db")).expect("it opens");
    connection
        .execute(
            "UPDATE log SET value = x'76616c7564' WHERE key LIKE '%/bad'",
            [],
        )
        .expect("it is written");
    drop(connection);

    let store = open(home.path());
    let read = store.get(&key("bad")).await;
    assert!(
        matches!(&read, Err(Error::Corrupt { key: Some(at), .. }) if *at == key("bad")),
        "{read:?}"
    );
    let expect = [record("bad", b"", bad), record("good", b"value", good)];
    assert_eq!(
        list(&store, At::Latest).await.expect("the rest is sound"),
        expect
    );
    store
        .delete(&key("bad"), bad)
        .await
        .expect("it can be removed");
}

#[track_caller]
fn check_refused(prepare: impl FnOnce(&Path), expect: &str) {
    let home = home();
    prepare(home.path());
    let refused = Sqlite::open(home.path(), SqliteOptions::default()).err();
    let refused = refused.map(|error| {
        error
            .to_string()
            .replace(&*home.path().to_string_lossy(), "DIR")
    });
    assert_eq!(refused.as_deref(), Some(expect));
}

#[test]
fn a_store_that_cannot_be_used_is_refused_with_one_clear_line() {
    check_refused(
        |home| {
            drop(open(home));
            let connection = Connection::open(home.join("state.db")).expect("it opens");
            connection
                .pragma_update(None, "user_version", 7)
                .expect("it is written");
        },
        "the data has format 7, but this version supports formats up to 2: run a newer version",
    );
    check_refused(
        |home| {
            std::fs::write(
                home.join("state.db"),
                "not a database, but long enough to be looked at",
            )
            .expect("it is written");
        },
        "the database cannot be opened",
    );
    check_refused(
        |home| std::fs::create_dir(home.join("LOCK")).expect("it is made"),
        "DIR/LOCK cannot be opened",
    );
}

#[tokio::test]
async fn a_file_with_the_index_of_format_1_is_taken_over() {
    let home = home();
    let store = open(home.path());
    let first = create(&store, "first").await;
    drop(store);
    let connection = Connection::open(home.path().join("state.db")).expect("it opens");
    connection
        .execute_batch("CREATE INDEX log_by_key ON log (key); PRAGMA user_version = 1")
        .expect("it is written");
    drop(connection);

    let expect = [record("first", b"value", first)];
    let store = open(home.path());
    assert_eq!(list(&store, At::Latest).await.expect("it is sound"), expect);
    drop(store);
    let connection = Connection::open(home.path().join("state.db")).expect("it opens");
    let left: (i64, i64) = connection
        .query_row(
            "SELECT (SELECT user_version FROM pragma_user_version), count(*) FROM sqlite_schema \
             WHERE name = 'log_by_key'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("two numbers");
    assert_eq!(left, (2, 0));
}

#[test]
fn only_one_may_have_a_directory() {
    let home = home();
    let store = open(home.path());
    let second = Sqlite::open(home.path(), SqliteOptions::default());
    assert!(matches!(second, Err(OpenError::InUse(at)) if at == home.path()));
    drop(store);
    open(home.path());
}

#[tokio::test]
async fn a_directory_with_foreign_files_keeps_its_mode_but_not_its_secrets() {
    let home = home();
    let open_to_others = std::fs::Permissions::from_mode(0o755);
    std::fs::write(home.path().join("foreign"), "").expect("it is written");
    std::fs::set_permissions(home.path(), open_to_others.clone()).expect("it is ours");
    let store = open(home.path());
    create(&store, "a").await;
    assert_eq!(mode(home.path()), 0o755);
    assert_eq!(mode(&home.path().join("state.db")), 0o600);
    assert_eq!(mode(&home.path().join("state.db-wal")), 0o600);
    drop(store);

    // The directory is now known to contain a store.
    std::fs::set_permissions(home.path().join("state.db"), open_to_others).expect("it is ours");
    let _store = open(home.path());
    assert_eq!(mode(home.path()), 0o700);
    assert_eq!(mode(&home.path().join("state.db")), 0o600);
}

#[tokio::test]
async fn a_backup_is_a_store_of_its_own() {
    let (home, other) = (home(), home());
    let store = open(home.path());
    let first = create(&store, "first").await;
    let copy = other.path().join("state.db");
    store.back_up(copy.clone()).await.expect("it is written");
    create(&store, "second").await;
    assert_eq!(mode(&copy), 0o600);
    let again = store.back_up(copy).await;
    assert!(matches!(again, Err(Error::Unavailable(_))), "{again:?}");

    let restored = open(other.path());
    assert_eq!(
        restored.current_revision().await.expect("it answers"),
        first
    );
    let expect = [record("first", b"value", first)];
    assert_eq!(
        list(&restored, At::Latest).await.expect("it answers"),
        expect
    );
}

#[tokio::test]
async fn a_watch_ends_with_the_store() {
    let home = home();
    let store = open(home.path());
    let mut watch = store
        .watch(create(&store, "a").await)
        .await
        .expect("it is kept");
    drop(store);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn the_write_ahead_log_is_used_over_and_over() {
    let home = home();
    let options = SqliteOptions {
        checkpoint_bytes: 64 << 10,
        ..SqliteOptions::default()
    };
    let store = Sqlite::open(home.path(), options).expect("it opens");
    let value = Bytes::from(vec![b'x'; 32 << 10]);
    let mut last = create(&store, "a").await;
    let mut written = 0;
    let log = home.path().join("state.db-wal");
    let log_bytes = || std::fs::metadata(&log).expect("it exists").len();
    while written < 2 * log_bytes() {
        last = store
            .update(&key("a"), value.clone(), last)
            .await
            .expect("it is ours");
        written += value.len() as u64;
        assert!(written < 1 << 30, "the log has only grown");
    }
}

/// Returns all that a store answers: its records and all its events.
async fn answers(store: &Sqlite) -> Result<(Vec<Record>, Vec<Event>), Error> {
    let records = list(store, At::Latest).await?;
    let end = store.current_revision().await?;
    let mut watch = store.watch(store.compacted_revision().await?).await?;
    let mut events = Vec::new();
    while events.last().is_none_or(|last: &Event| last.revision < end) {
        events.extend(watch.next().await.expect("it goes on")?.events);
    }
    Ok((records, events))
}

/// Flips bits in the file, one at a time, and asserts that no flip changes the answers unnoticed.
#[tokio::test]
async fn no_flipped_bit_changes_an_answer_unnoticed() {
    let home = home();
    let store = open(home.path());
    for number in 0..60 {
        let (at, value) = (
            key(&format!("n{number:02}")),
            format!("value {number} ").repeat(30),
        );
        let first = store
            .create(&at, value.clone().into())
            .await
            .expect("the key is free");
        if number % 3 == 0 {
            store
                .update(&at, value.into(), first)
                .await
                .expect("it is ours");
        }
    }
    let expect = answers(&store).await.expect("it is sound");
    drop(store);

    let sound = std::fs::read(home.path().join("state.db")).expect("it is ours");
    let (mut unnoticed, mut noticed) = (Vec::new(), 0);
    // A step that shares no factor with the size reaches every page and every bit of a byte. The
    // marks are small, so each of their bits is flipped.
    let anywhere = (0..sound.len() * 8).step_by(1009);
    let marks = sound
        .windows(5)
        .enumerate()
        .filter(|(_, text)| *text == b"swept" || *text == b"compa");
    let marks = marks.flat_map(|(place, _)| (place - 6) * 8..(place + 20) * 8);
    for bit in anywhere.chain(marks) {
        let mut file = sound.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        std::fs::remove_dir_all(home.path()).expect("it is ours");
        std::fs::create_dir(home.path()).expect("it is ours");
        std::fs::write(home.path().join("state.db"), file).expect("it is written");
        let Ok(store) = Sqlite::open(home.path(), SqliteOptions::default()) else {
            noticed += 1;
            continue;
        };
        if store.verify().await.is_err() {
            noticed += 1;
        } else if answers(&store).await.ok().as_ref() != Some(&expect) {
            unnoticed.push(bit);
        }
    }
    assert_eq!(unnoticed, [0; 0], "{noticed} were noticed");
    assert!(noticed > 100, "{noticed}");
}

#[tokio::test]
async fn a_file_that_is_mostly_free_gives_its_space_back_when_it_is_opened() {
    let directory = tempfile::tempdir().expect("a directory");
    let size = || {
        let file = directory.path().join(super::files::DATABASE);
        std::fs::metadata(file).expect("the file").len()
    };
    let store = open(directory.path());
    let kept = key("kept");
    let value = Bytes::from(vec![b'x'; 1 << 20]);
    store.create(&kept, value.clone()).await.expect("created");
    let mut last = Revision::new(0);
    for number in 0..20 {
        let name = key(&format!("n{number}"));
        let revision = store.create(&name, value.clone()).await.expect("created");
        last = store.delete(&name, revision).await.expect("deleted");
    }
    store.compact(last).await.expect("compacted");
    drop(store);
    let store = open(directory.path());
    assert!(size() < 3 << 20, "{} bytes", size());
    let found = store.get(&kept).await.expect("it answers");
    assert_eq!(found.map(|record| record.value), Some(value));
    assert_eq!(store.current_revision().await.expect("it answers"), last);
    store.verify().await.expect("whole");
}
