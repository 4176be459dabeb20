//! Tests with members that die, stop answering and come back.

use std::sync::Arc;

use storage::{
    Error, Key, Revision,
    cache::{CacheBuilder, CacheOptions, Decode},
};
use tokio_util::sync::CancellationToken;

use super::{chain, create, history::Run, key, names, next, open, start, value};

/// Number of writes after which all writers are active.
const SOME: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn writes_and_watches_survive_the_death_of_leaders() {
    let mut cluster = start(3, &[]);
    let run = Run::start(open(&cluster, "/tests"), 16).await;
    for _ in 0..3 {
        run.more(SOME).await;
        let leader = cluster.leader().expect("there is one");
        cluster.kill(leader);
        run.more(SOME).await;
        cluster.restart(leader).expect("it comes back");
    }
    run.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_and_watches_survive_silent_members() {
    let cluster = start(3, &[]);
    let run = Run::start(open(&cluster, "/tests"), 16).await;
    for member in [0, 1, 2, 0] {
        run.more(SOME).await;
        cluster.pause(member).expect("it runs");
        run.more(SOME).await;
        cluster.resume(member).expect("it runs");
    }
    run.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_all_members_leaves_everything() {
    let mut cluster = start(3, &[]);
    let run = Run::start(open(&cluster, "/tests"), 16).await;
    run.more(SOME).await;
    cluster.restart_all().expect("they come back");
    run.more(SOME).await;
    run.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_etcd_calls_end_and_later_ones_succeed() {
    let mut cluster = start(1, &[]);
    let store = open(&cluster, "/tests");
    let mut watch = store.watch(create(&*store, "a").await).await.expect("kept");
    cluster.kill(0);
    let (a, b) = (key("a"), key("b"));
    let calls = tokio::join!(
        store.get(&a),
        store.current_revision(),
        store.create(&b, value("b")),
    );
    for error in [calls.0.map(drop), calls.1.map(drop)] {
        let error = error.expect_err("nobody is there");
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        let chain = chain(&error);
        assert!(chain.contains("Connection refused"), "{chain}");
    }
    // The write may have been sent already.
    assert!(
        matches!(calls.2, Err(Error::Unavailable(_))),
        "{:?}",
        calls.2
    );
    cluster.restart(0).expect("it comes back");
    assert_eq!(names(&*store).await, ["a"]);
    let created = create(&*store, "c").await;
    assert_eq!(next(&mut watch).await.revision, created);
}

struct Name;

impl Decode<String> for Name {
    fn decode(&self, key: &Key, _: &bytes::Bytes, _: Revision) -> String {
        key.name().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_follows_through_a_change_of_the_leader() {
    let mut cluster = start(3, &[]);
    let (store, other) = (open(&cluster, "/tests"), open(&cluster, "/tests"));
    let mut builder = CacheBuilder::new(store.clone(), CacheOptions::default());
    let things = builder.collection("/tests/things/", Arc::new(Name));
    let cache = builder.start().await.expect("it loads");
    let shutdown = CancellationToken::new();
    let _stop = shutdown.clone().drop_guard();
    tokio::spawn(async move { cache.run(shutdown).await });
    create(&*other, "a").await;
    let cached = async || {
        let view = things.latest().await.expect("it follows");
        view.iter()
            .map(|(_, name)| String::clone(name))
            .collect::<Vec<_>>()
    };
    assert_eq!(cached().await, ["a"]);
    cluster.kill(cluster.leader().expect("there is one"));
    // The outcome may be unknown if the write was in flight to the old leader.
    while !matches!(
        other.create(&key("b"), value("b")).await,
        Ok(_) | Err(Error::Exists)
    ) {}
    assert_eq!(cached().await, ["a", "b"]);
}
