//! Tests a process that is killed while it writes: acknowledged writes survive, there are no writes
//! that were not made, and the store continues from its last state.
//!
//! The test runs itself again with a directory. That child writes with 16 tasks and prints a line for
//! every acknowledged write. The parent kills it after a random number of lines, so at a random
//! moment of some write, opens the store and checks it.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::StreamExt;
use storage::{
    Change, Event, Key, ListOptions, Revision, Store,
    sqlite::{Sqlite, SqliteOptions},
};

const KILLS: u64 = 50;
const WRITERS: u64 = 16;

/// Prefix of the directory in the child's arguments, which the test harness takes for a filter.
const DIRECTORY: &str = "crash-directory=";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_kill_9() {
    let place = std::env::args().find_map(|a| a.strip_prefix(DIRECTORY).map(str::to_owned));
    if let Some((cycle, directory)) = place.as_deref().and_then(|place| place.split_once(':')) {
        return write_until_killed(cycle, Path::new(directory)).await;
    }
    let home = tempfile::TempDir::new().expect("a directory");
    let mut random = 0x5EED_u64;
    let mut acknowledged = BTreeMap::new();
    let mut head = Revision::new(0);
    for cycle in 0..KILLS {
        let lines = xorshift(&mut random) % 600;
        let mut child = start_writer(home.path(), cycle);
        let new = read_until_killed(&mut child, lines);
        let newest = new.keys().next_back().copied();
        assert!(
            new.keys().next().is_none_or(|first| *first > head),
            "no revision is used twice"
        );
        acknowledged.extend(new);
        head = check(home.path(), &acknowledged).await;
        assert!(
            newest.is_none_or(|newest| newest <= head),
            "revisions do not go back"
        );
    }
    assert!(
        acknowledged.len() > 1000,
        "the children wrote: {}",
        acknowledged.len()
    );
}

/// Runs as the child process.
async fn write_until_killed(cycle: &str, directory: &Path) {
    let store = Arc::new(open(directory));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        writers.push(tokio::spawn(write(
            store.clone(),
            format!("{cycle}-{writer}"),
        )));
    }
    for writer in writers {
        writer.await.expect("only the kill ends it");
    }
}

/// Creates, updates and deletes for ever, and compacts now and then.
async fn write(store: Arc<Sqlite>, writer: String) {
    for number in 0u64.. {
        let key = key(&format!("{writer}-{number}"));
        let created = store
            .create(&key, content(&key, 1))
            .await
            .expect("it is new");
        acknowledge(created, &key, 1);
        if number % 3 > 0 {
            let updated = store
                .update(&key, content(&key, 2), created)
                .await
                .expect("it is ours");
            acknowledge(updated, &key, 2);
            if number % 3 > 1 {
                let deleted = store.delete(&key, updated).await.expect("it is ours");
                acknowledge(deleted, &key, 0);
            }
        }
        if number % 8 == 4 {
            let through = Revision::new(created.get().saturating_sub(50));
            store.compact(through).await.expect("it is reached");
        }
    }
}

/// Prints one line with a single write, which a pipe does not interleave.
fn acknowledge(revision: Revision, key: &Key, version: u8) {
    let line = format!("\nacknowledged {revision} {} {version}\n", key.name());
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .expect("the parent reads");
}

fn start_writer(home: &Path, cycle: u64) -> Child {
    let program = std::env::current_exe().expect("a path");
    Command::new(program)
        .args(["--exact", "crash::acknowledged_writes_survive_kill_9"])
        .arg("--nocapture")
        .arg(format!("{DIRECTORY}{cycle}:{}", home.display()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// The acknowledged writes: the record's name and its version, by revision.
type Acknowledged = BTreeMap<Revision, (String, u8)>;

/// Kills the child after `lines` acknowledgements and returns all that it made.
fn read_until_killed(child: &mut Child, lines: u64) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    for line in out.lines() {
        let line = line.expect("text");
        if let Some(words) = line.strip_prefix("acknowledged ") {
            let words: Vec<&str> = words.split(' ').collect();
            let revision = Revision::new(words[0].parse().expect("a revision"));
            let version = words[2].parse().expect("a version");
            let before = acknowledged.insert(revision, (words[1].to_owned(), version));
            assert_eq!(before, None, "a revision is acknowledged once");
        }
        if acknowledged.len() as u64 == lines {
            child.kill().expect("it runs");
        }
    }
    let status = child.wait().expect("it has ended");
    assert_eq!(status.signal(), Some(9), "only the kill ends it: {status}");
    acknowledged
}

/// Checks the store in `home` against all acknowledged writes; returns its revision.
async fn check(home: &Path, acknowledged: &Acknowledged) -> Revision {
    let store = open(home);
    let head = store.current_revision().await.expect("it answers");
    let compacted = store.compacted_revision().await.expect("it answers");
    let log = events(&store, compacted, head).await;
    assert!(
        log.windows(2)
            .all(|pair| pair[0].revision < pair[1].revision),
        "in order"
    );
    assert_eq!(
        log.len() as u64,
        head.get() - compacted.get(),
        "no revision is missing"
    );
    for event in &log {
        let version = version(&event.key, &event.change);
        if let Some(told) = acknowledged.get(&event.revision) {
            assert_eq!((event.key.name(), version), (told.0.as_str(), told.1));
        }
    }
    check_state(&store, acknowledged).await;
    head
}

/// Checks that every record is at the version last acknowledged, or at the one that its writer's
/// next step would give it.
async fn check_state(store: &Sqlite, acknowledged: &Acknowledged) {
    let page = store
        .list("/crash/records/", &ListOptions::default())
        .await
        .expect("it answers");
    let mut present: BTreeMap<String, u8> = BTreeMap::new();
    for record in page.records {
        let version = version(&record.key, &Change::Put(record.value));
        present.insert(record.key.name().to_owned(), version);
    }
    let mut told: BTreeMap<&str, u8> = BTreeMap::new();
    for (name, version) in acknowledged.values() {
        told.insert(name, *version);
    }
    for (name, version) in told {
        let number: u64 = name
            .rsplit('-')
            .next()
            .unwrap_or_default()
            .parse()
            .expect("a number");
        let possible: &[u8] = match (version, number % 3) {
            (1, 0) => &[1],
            (1, _) => &[1, 2],
            (2, 1) => &[2],
            (2, _) => &[2, 0],
            _ => &[0],
        };
        let found = present.get(name).copied().unwrap_or(0);
        assert!(
            possible.contains(&found),
            "{name} was told to be at {version}, is at {found}"
        );
    }
}

async fn events(store: &Sqlite, after: Revision, through: Revision) -> Vec<Event> {
    let mut watch = store.watch(after).await.expect("it is kept");
    let mut events = Vec::new();
    let mut reached = after;
    while reached < through {
        let batch = watch
            .next()
            .await
            .expect("it goes on")
            .expect("it is sound");
        events.extend(batch.events);
        reached = batch.revision;
    }
    events
}

fn open(home: &Path) -> Sqlite {
    let options = SqliteOptions {
        checkpoint_bytes: 256 << 10,
        ..SqliteOptions::default()
    };
    Sqlite::open(home, options).expect("it opens")
}

fn key(name: &str) -> Key {
    Key::parse(&format!("/crash/records/{name}")).expect("a well-formed key")
}

/// Returns a value that depends on the key, so that an invented or torn record is detected.
fn content(key: &Key, version: u8) -> Bytes {
    Bytes::from(format!("{key} version {version}. ").repeat(20))
}

/// Returns the version of a change, which must be one that a child makes.
#[track_caller]
fn version(key: &Key, change: &Change) -> u8 {
    let versions = [
        Change::Deleted,
        Change::Put(content(key, 1)),
        Change::Put(content(key, 2)),
    ];
    let version = versions.iter().position(|version| version == change);
    version
        .and_then(|v| u8::try_from(v).ok())
        .expect("a change that somebody made")
}

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
