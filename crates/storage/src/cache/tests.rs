//! Tests of the cache over a real store.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Cache, CacheBuilder, CacheEvent, CacheOptions, Collection, Decode, EventCursor, View,
    snapshot::{Snapshot, Usage},
};
use crate::{
    Error, Key, Revision, Store,
    sqlite::{Sqlite, SqliteOptions},
};

mod history;

const THINGS: &str = "/test/things/";
const OTHERS: &str = "/test/others/";

/// Decodes the value as text. The part before a colon is the owner.
struct AsText;

impl Decode<String> for AsText {
    fn decode(&self, _: &Key, value: &Bytes, _: Revision) -> String {
        String::from_utf8_lossy(value).into_owned()
    }

    fn index(&self, object: &String) -> Option<Arc<str>> {
        object.split_once(':').map(|(owner, _)| Arc::from(owner))
    }

    fn size(&self, object: &String) -> usize {
        object.len()
    }
}

/// A store, a running cache of it, and the means to stop it.
struct Fixture {
    home: TempDir,
    store: Arc<dyn Store>,
    cache: Cache<String>,
    things: Collection<String>,
    shutdown: CancellationToken,
    runs: tokio::task::JoinHandle<()>,
}

impl Fixture {
    async fn new(history: usize) -> Self {
        Self::reopen(TempDir::new().expect("a directory"), of_events(history)).await
    }

    async fn reopen(home: TempDir, options: CacheOptions) -> Self {
        let store = Sqlite::open(home.path(), SqliteOptions::default()).expect("it opens");
        let store: Arc<dyn Store> = Arc::new(store);
        let (cache, things) = cache_of(store.clone(), options).await;
        let shutdown = CancellationToken::new();
        let (running, stop) = (cache.clone(), shutdown.clone());
        let runs = tokio::spawn(async move { running.run(stop).await });
        Self {
            home,
            store,
            cache,
            things,
            shutdown,
            runs,
        }
    }

    /// Stops the cache and the store, and returns the directory.
    async fn stop(self) -> TempDir {
        self.shutdown.cancel();
        self.runs.await.expect("it ends");
        self.home
    }

    fn things(&self) -> Collection<String> {
        self.things.clone()
    }

    async fn create(&self, name: &str, text: &str) -> Revision {
        let value = Bytes::copy_from_slice(text.as_bytes());
        self.store
            .create(&key(name), value)
            .await
            .expect("the key is free")
    }

    async fn update(&self, name: &str, text: &str, expected: Revision) -> Revision {
        let value = Bytes::copy_from_slice(text.as_bytes());
        self.store
            .update(&key(name), value, expected)
            .await
            .expect("it is at the revision")
    }

    async fn delete(&self, name: &str, expected: Revision) -> Revision {
        self.store
            .delete(&key(name), expected)
            .await
            .expect("it is at the revision")
    }

    async fn caught_up(&self) {
        self.things().latest().await.expect("it catches up");
    }
}

/// Returns a cache of two collections, and the first of them.
async fn cache_of(
    store: Arc<dyn Store>,
    options: CacheOptions,
) -> (Cache<String>, Collection<String>) {
    let mut builder = CacheBuilder::new(store, options);
    let things = builder.collection(THINGS, Arc::new(AsText));
    builder.collection(OTHERS, Arc::new(AsText));
    let cache = builder.start().await.expect("the store answers");
    (cache, things)
}

/// Returns options that limit the history to a number of events.
fn of_events(history: usize) -> CacheOptions {
    CacheOptions {
        history,
        ..CacheOptions::default()
    }
}

fn key(name: &str) -> Key {
    let prefix = if name.starts_with("other") {
        OTHERS
    } else {
        THINGS
    };
    Key::parse(&format!("{prefix}{name}")).expect("a well-formed key")
}

fn state(view: &View<String>) -> Vec<(&str, &str)> {
    view.iter()
        .map(|(key, text)| (key.name(), text.as_str()))
        .collect()
}

/// Like [`state`], for the objects of one owner.
fn owned<'a>(view: &'a View<String>, owner: &'a str) -> Vec<&'a str> {
    view.indexed(owner).map(|text| text.as_str()).collect()
}

/// Formats events as `name: previous -> current @ revision`, with `-` for an absent object.
fn shown(events: &[Arc<CacheEvent<String>>]) -> Vec<String> {
    let show = |object: &Option<Arc<String>>| object.as_deref().cloned().unwrap_or("-".into());
    let line = |event: &Arc<CacheEvent<String>>| {
        let (previous, current) = (show(&event.previous), show(&event.current));
        format!(
            "{}: {previous} -> {current} @ {}",
            event.key.name(),
            event.revision
        )
    };
    events.iter().map(line).collect()
}

fn cursor(fixture: &Fixture, after: Revision) -> EventCursor<String> {
    fixture
        .things()
        .watch_from(after)
        .expect("the history goes back so far")
}

#[tokio::test]
async fn a_read_shows_own_writes_and_its_revision() {
    let f = Fixture::new(100).await;
    let a = f.create("a", "1").await;
    let view = f.things().latest().await.expect("it catches up");
    assert_eq!((state(&view), view.revision), (vec![("a", "1")], a));
    let a2 = f.update("a", "2", a).await;
    let b = f.create("b", "1").await;
    let later = f.things().latest().await.expect("it catches up");
    assert_eq!(
        (state(&later), later.revision),
        (vec![("a", "2"), ("b", "1")], b)
    );
    assert_eq!(
        (state(&view), view.revision),
        (vec![("a", "1")], a),
        "a view does not change"
    );
    f.delete("a", a2).await;
    let other = f.create("other", "1").await;
    let last = f.things().latest().await.expect("it catches up");
    assert_eq!((state(&last), last.revision), (vec![("b", "1")], other));
}

#[tokio::test]
async fn a_view_is_searched_by_key_prefix_and_index() {
    let f = Fixture::new(100).await;
    let mut revisions = Vec::new();
    for (name, text) in [
        ("n/a", "ann:1"),
        ("n/b", "bob:1"),
        ("n-b", "ann:2"),
        ("m/a", "bob:2"),
    ] {
        revisions.push(f.create(name, text).await);
    }
    let view = f.things().latest().await.expect("it catches up");
    let ranged = |prefix: &str, after: Option<&str>| -> Vec<String> {
        view.range(prefix, after)
            .map(|(key, _)| key.to_string())
            .collect()
    };
    assert_eq!(
        ranged("/test/things/n/", None),
        ["/test/things/n/a", "/test/things/n/b"]
    );
    assert_eq!(
        ranged("/test/things/n/", Some("/test/things/n/a")),
        ["/test/things/n/b"]
    );
    assert_eq!(ranged("/test/things/n/", Some("/test/things/a")).len(), 2);
    assert_eq!(ranged("/test/things/n/", Some("/test/things/z")), [""; 0]);
    assert_eq!(
        view.get("/test/things/n/a").map(|text| text.as_str()),
        Some("ann:1")
    );
    assert_eq!(view.get("/test/things/n").map(|text| text.as_str()), None);
    assert_eq!(view.len(), 4);

    let owned = |view: &View<String>, owner: &str| -> Vec<String> {
        view.indexed(owner).map(|text| text.to_string()).collect()
    };
    assert_eq!(owned(&view, "ann"), ["ann:2", "ann:1"]);
    assert_eq!(owned(&view, "an"), [""; 0]);
    let ranged = |prefix: &str, after: Option<&str>| -> Vec<String> {
        let texts = view.indexed_range("ann", prefix, after);
        texts.map(|text| text.to_string()).collect()
    };
    assert_eq!(ranged("/test/things/", None), ["ann:2", "ann:1"]);
    assert_eq!(ranged("/test/things/n/", None), ["ann:1"]);
    assert_eq!(ranged("/test/things/", Some("/test/things/n-b")), ["ann:1"]);
    assert_eq!(ranged("/test/things/", Some("/test/things/n/a")), [""; 0]);
    f.update("n/a", "bob:3", revisions[0]).await;
    f.delete("n/b", revisions[1]).await;
    let view = f.things().latest().await.expect("it catches up");
    assert_eq!(owned(&view, "ann"), ["ann:2"]);
    assert_eq!(owned(&view, "bob"), ["bob:2", "bob:3"]);
}

#[tokio::test]
async fn a_watch_gets_each_event_with_what_was_before() {
    let f = Fixture::new(100).await;
    let start = f.cache.applied();
    let a1 = f.create("a", "1").await;
    let a2 = f.update("a", "2", a1).await;
    f.create("other", "x").await;
    let a3 = f.delete("a", a2).await;
    f.caught_up().await;
    let log = [
        format!("a: - -> 1 @ {a1}"),
        format!("a: 1 -> 2 @ {a2}"),
        format!("a: 2 -> - @ {a3}"),
    ];
    for (skipped, after) in [start, a1, a2].into_iter().enumerate() {
        let mut cursor = cursor(&f, after);
        assert_eq!(
            shown(&cursor.next().await.expect("it is kept")),
            log[skipped..]
        );
        assert_eq!(cursor.position(), a3);
    }
    let mut live = cursor(&f, a3);
    let a4 = f.create("a", "3").await;
    let events = live.next().await.expect("it is kept");
    assert_eq!(shown(&events), [format!("a: - -> 3 @ {a4}")]);
}

#[test]
fn a_snapshot_ahead_of_the_applied_revision_counts_as_what_it_is() {
    let [applied, newer] = [Revision::new(5), Revision::new(7)];
    let mut snapshot = Snapshot::<String>::empty(applied);
    let (current, previous) = (None, None);
    snapshot.record(
        CacheEvent {
            key: key("a"),
            revision: newer,
            current,
            previous,
        },
        &CacheOptions::default(),
        String::len,
    );
    let snapshot = Arc::new(snapshot);
    assert_eq!(View::new(applied, snapshot.clone()).revision, newer);
    assert_eq!(
        View::new(Revision::new(9), snapshot).revision,
        Revision::new(9)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_and_a_watch_fit_together_at_any_moment() {
    let f = Fixture::new(10_000).await;
    let (things, store) = (f.things(), f.store.clone());
    let writer = tokio::spawn(async move {
        let mut last = Revision::new(0);
        for number in 0..300 {
            let name = key(&format!("n{}", number % 7));
            let text = Bytes::from(number.to_string());
            last = match store.get(&name).await.expect("it answers") {
                None => store.create(&name, text).await,
                Some(r) if number % 3 == 0 => store.delete(&name, r.revision).await,
                Some(r) => store.update(&name, text, r.revision).await,
            }
            .expect("nobody else writes");
        }
        last
    });
    let mut samples = Vec::new();
    while !writer.is_finished() {
        let view = things.view();
        let cursor = things.watch_from(view.revision).expect("it is kept");
        samples.push((view, cursor));
        tokio::task::yield_now().await;
    }
    let end = writer.await.expect("it ends");
    let expect = things.not_older_than(end).await.expect("it catches up");
    samples.truncate(500);
    for (view, mut cursor) in samples {
        let mut objects: std::collections::BTreeMap<&str, String> = view
            .iter()
            .map(|(key, text)| (key.name(), text.to_string()))
            .collect();
        let mut events = Vec::new();
        while cursor.position() < end {
            events.extend(cursor.try_next().expect("it is kept"));
        }
        for event in &events {
            assert!(event.revision > view.revision);
            let before = match &event.current {
                Some(text) => objects.insert(event.key.name(), text.to_string()),
                None => objects.remove(event.key.name()),
            };
            assert_eq!(before.as_ref(), event.previous.as_deref());
        }
        let reached: Vec<(&str, &str)> = objects.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(reached, state(&expect));
    }
}

#[tokio::test]
async fn the_usage_of_an_owner_is_counted_as_objects_come_and_go() {
    let f = Fixture::new(100).await;
    let check = |view: &View<String>, owner: &str, objects, bytes| {
        assert_eq!(view.usage(owner), Usage { objects, bytes }, "{owner}");
        let all: Vec<_> = owned(view, owner);
        let counted = (all.len(), all.iter().map(|text| text.len()).sum::<usize>());
        assert_eq!(counted, (objects, bytes), "{owner}");
    };
    let a = f.create("a", "ann:12").await;
    let b = f.create("b", "ann:3").await;
    f.create("c", "bob:").await;
    let now = || f.things().view();
    f.caught_up().await;
    check(&now(), "ann", 2, 11);
    check(&now(), "bob", 1, 4);
    let a = f.update("a", "ann:1234", a).await;
    f.delete("b", b).await;
    f.caught_up().await;
    check(&now(), "ann", 1, 8);
    f.update("a", "bob:1", a).await;
    f.caught_up().await;
    check(&now(), "ann", 0, 0);
    check(&now(), "bob", 2, 9);
    let past = f.things().at(b).expect("the history reaches it");
    check(&past, "ann", 2, 11);
    check(&past, "bob", 0, 0);
    let g = Fixture::reopen(f.stop().await, of_events(1)).await;
    check(&g.things().view(), "bob", 2, 9);
}

#[tokio::test]
async fn a_position_moves_with_the_store_when_nothing_happens_here() {
    let f = Fixture::new(100).await;
    let a = f.create("a", "1").await;
    f.caught_up().await;
    let mut cursor = cursor(&f, a);
    let elsewhere = f.create("other", "1").await;
    f.caught_up().await;
    let events = cursor
        .next_or_progress(Instant::now())
        .await
        .expect("it is kept");
    assert_eq!((shown(&events), cursor.position()), (vec![], elsewhere));
    let b = f.create("b", "1").await;
    let later = Instant::now() + Duration::from_secs(60);
    let events = cursor.next_or_progress(later).await.expect("it is kept");
    assert_eq!(shown(&events), [format!("b: - -> 1 @ {b}")]);
}

#[tokio::test(start_paused = true)]
async fn a_future_revision_is_waited_for_three_seconds() {
    let f = Fixture::new(100).await;
    let ahead = Revision::new(f.cache.applied().get() + 1);
    let start = Instant::now();
    let refused = f.things().not_older_than(ahead).await.map(drop);
    assert!(
        matches!(refused, Err(Error::FutureRevision { requested, .. }) if requested == ahead),
        "{refused:?}"
    );
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}

#[tokio::test]
async fn a_future_revision_that_comes_is_shown() {
    let f = Fixture::new(100).await;
    let ahead = Revision::new(f.cache.applied().get() + 1);
    let things = f.things();
    let waiting =
        tokio::spawn(async move { things.not_older_than(ahead).await.map(|v| v.revision) });
    tokio::task::yield_now().await;
    f.create("a", "1").await;
    assert_eq!(waiting.await.expect("it ends").expect("it comes"), ahead);
}

#[tokio::test]
async fn watches_resume_after_a_restart() {
    let f = Fixture::new(4).await;
    let mut revisions = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        revisions.push(f.create(name, "x").await);
    }
    let g = Fixture::reopen(f.stop().await, of_events(4)).await;
    assert_eq!(g.things().view().len(), 6);
    assert_eq!(g.things().view().revision, revisions[5]);
    let events = cursor(&g, revisions[1]).next().await.expect("it is kept");
    assert_eq!(events.len(), 4);
    let refused = g.things().watch_from(revisions[0]).map(drop);
    assert!(matches!(refused, Err(Error::Compacted { oldest }) if oldest == revisions[1]));
}

#[tokio::test]
async fn watches_end_when_the_cache_is_shut_down() {
    let f = Fixture::new(100).await;
    let (a, things) = (f.create("a", "1").await, f.things());
    f.caught_up().await;
    let mut waiting = cursor(&f, a);
    let mut behind = cursor(&f, Revision::new(a.get() - 1));
    let waits = tokio::spawn(async move { waiting.next().await.map(|events| shown(&events)) });
    tokio::task::yield_now().await;
    f.stop().await;
    let ended = waits.await.expect("it ends");
    assert!(matches!(ended, Err(Error::Closed)), "{ended:?}");
    assert_eq!(
        shown(&behind.next().await.expect("it is there")),
        [format!("a: - -> 1 @ {a}")]
    );
    assert!(matches!(behind.next().await.map(drop), Err(Error::Closed)));
    assert_eq!(things.view().len(), 1);
}
