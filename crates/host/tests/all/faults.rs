//! Faults of the host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use host::records::Records;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use kube::client::Body;
use storage::{At, Change, Error, ListOptions, Page, Revision, Store};

use crate::fixture::{
    Faked, Host, THINGS, Things, answer, faulty, is_watch, key, options, text, until,
};

/// Returns an answer that begins and then stays silent.
fn silence() -> Faked {
    Response::new(StreamBody::new(stream::pending()).boxed_unsync())
}

/// Returns the state of a store after the record `last` appears, from a client that lists and then
/// watches, and lists again when the watch requires it.
async fn follow(store: &dyn Store) -> BTreeMap<String, (Bytes, Revision)> {
    let mut state = BTreeMap::new();
    let last = key("last").to_string();
    while !state.contains_key(&last) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let Ok(page) = store.list(THINGS, &ListOptions::default()).await else {
            continue;
        };
        let Ok(mut watch) = store.watch(page.revision).await else {
            continue;
        };
        state = state_of(&page);
        let mut reached = page.revision;
        while !state.contains_key(&last)
            && let Some(Ok(batch)) = watch.next().await
        {
            for event in batch.events {
                assert!(event.revision > reached, "nothing comes twice");
                reached = event.revision;
                let name = event.key.to_string();
                match event.change {
                    Change::Put(value) => {
                        let (number, before) = (number_of(&value), state.get(&name));
                        let expect = before.map_or(0, |(value, _)| number_of(value) + 1);
                        assert_eq!(number, expect, "nothing is left out of {name}");
                        state.insert(name, (value, event.revision));
                    }
                    Change::Deleted => panic!("nothing is deleted"),
                }
            }
        }
    }
    state
}

fn state_of(page: &Page) -> BTreeMap<String, (Bytes, Revision)> {
    let records = page.records.iter().cloned();
    records
        .map(|record| (record.key.to_string(), (record.value, record.revision)))
        .collect()
}

/// Increments a record until `end` is set. Reads the record again after an unacknowledged write.
/// Returns the last acknowledged number.
async fn count(store: &dyn Store, name: &str, end: &AtomicBool) -> u64 {
    let mut acknowledged = 0;
    while !end.load(Ordering::SeqCst) {
        let found = match store.get(&key(name)).await {
            Ok(found) => found,
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (number, written) = match found {
            None => (0, store.create(&key(name), text("0")).await),
            Some(record) => {
                let number = number_of(&record.value);
                assert!(number >= acknowledged, "{number} was {acknowledged}");
                let next = text(&(number + 1).to_string());
                (
                    number + 1,
                    store.update(&key(name), next, record.revision).await,
                )
            }
        };
        if written.is_ok() {
            acknowledged = number;
        }
    }
    acknowledged
}

fn number_of(value: &Bytes) -> u64 {
    let text = String::from_utf8_lossy(value);
    text.parse().expect("a number")
}

/// A host that is disturbed while records are written and followed.
struct Disturbed<'a> {
    host: &'a mut Host,
    records: &'a Records,
    /// The number of watches that the records have started.
    watches: &'a AtomicUsize,
}

async fn check_under_writers(host: &mut Host, disturb: impl for<'a> AsyncFnOnce(Disturbed<'a>)) {
    let watches = Arc::new(AtomicUsize::new(0));
    let counting = faulty(host.client.clone(), {
        let watches = Arc::clone(&watches);
        move |request: &Request<Body>| {
            watches.fetch_add(usize::from(is_watch(request)), Ordering::SeqCst);
            None
        }
    });
    let records = host.records_by(counting, &host.namespace());
    let end = Arc::new(AtomicBool::new(false));
    let names = ["n0", "n1", "n2", "n3"];
    let writers = names.map(|name| {
        let (records, end) = (Arc::clone(&*records), Arc::clone(&end));
        tokio::spawn(async move { count(&*records, name, &end).await })
    });
    let followed = Arc::clone(&*records);
    let followed = tokio::spawn(async move { follow(&*followed).await });
    let things = Things::of(Arc::clone(&*records) as _, THINGS).await;
    let all_wrote = async |since: Revision| {
        let page = records.list(THINGS, &ListOptions::default()).await.ok()?;
        let newer = page.records.iter().filter(|record| record.revision > since);
        (newer.count() == names.len()).then_some(())
    };
    until("all write", async || all_wrote(Revision::default()).await).await;
    disturb(Disturbed {
        host,
        records: &records,
        watches: &watches,
    })
    .await;
    let back = until("the host is back", async || {
        records.current_revision().await.ok()
    })
    .await;
    until("all write again", async || all_wrote(back).await).await;
    end.store(true, Ordering::SeqCst);

    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.push(writer.await.expect("it ends"));
    }
    records.create(&key("last"), text("0")).await.unwrap();
    let page = records.list(THINGS, &ListOptions::default()).await.unwrap();
    let lines: Vec<String> = page
        .records
        .iter()
        .map(|record| {
            format!(
                "{}={}",
                record.key.name(),
                String::from_utf8_lossy(&record.value)
            )
        })
        .collect();
    assert_eq!(followed.await.expect("it ends"), state_of(&page));
    assert_eq!(things.latest().await, lines);
    for (name, acknowledged) in names.iter().zip(acknowledged) {
        let record = records.get(&key(name)).await.unwrap().expect("it is there");
        assert!(
            number_of(&record.value) >= acknowledged,
            "{name}: {acknowledged} is lost"
        );
    }
    until("the trouble is over", async || {
        records.trouble().is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_host_restarts() {
    let mut host = Host::start(&[]).await;
    check_under_writers(&mut host, async |Disturbed { host, .. }| {
        tokio::task::block_in_place(|| {
            host.cluster.stop_apiserver();
            host.cluster
                .restart_apiserver(&options(&[]))
                .expect("it starts again");
        });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_host_stands_still() {
    let mut host = Host::start(&[]).await;
    check_under_writers(&mut host, async |Disturbed { host, records, .. }| {
        host.cluster.pause_apiserver().expect("it runs");
        until("requests fail", async || records.trouble()).await;
        host.cluster.resume_apiserver().expect("it is there");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_host_ends_watches() {
    let mut host = Host::start(&["--min-request-timeout=1"]).await;
    check_under_writers(&mut host, async |Disturbed { watches, .. }| {
        let before = watches.load(Ordering::SeqCst);
        until("three watches end", async || {
            (watches.load(Ordering::SeqCst) >= before + 3).then_some(())
        })
        .await;
    })
    .await;
}

/// A connection that has died silently: the watch is open but delivers nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_watch_is_replaced() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let silent = Arc::new(AtomicUsize::new(0));
    let client = faulty(host.client.clone(), {
        let silent = Arc::clone(&silent);
        move |request: &Request<Body>| {
            let mute = is_watch(request) && silent.fetch_add(1, Ordering::SeqCst) == 0;
            mute.then(silence)
        }
    });
    let records = host.records_by(client, &namespace);
    let other = host.records(&namespace);
    let things = Things::of(Arc::clone(&*records) as _, THINGS).await;
    let created = other.create(&key("a"), text("1")).await.unwrap();
    until("it is there", async || {
        (things.collection.view().len() == 1).then_some(())
    })
    .await;
    other.delete(&key("a"), created).await.unwrap();
    until("it is gone", async || {
        things.collection.view().is_empty().then_some(())
    })
    .await;
    assert!(silent.load(Ordering::SeqCst) >= 2, "the first was replaced");
}

/// Returns a client whose requests fail as often as the counter says.
fn failing(
    host: &Host,
    code: u16,
    retry_after: Option<&'static str>,
) -> (kube::Client, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(0));
    let client = faulty(host.client.clone(), {
        let left = Arc::clone(&left);
        move |request: &Request<Body>| {
            let counts = request.method() == "POST" && request.uri().path().ends_with("/secrets");
            let less = |left: usize| left.checked_sub(1);
            let fails = counts
                && left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
                    .is_ok();
            fails.then(|| answer(code, retry_after))
        }
    });
    (client, left)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_host_is_asked_again_as_it_says() {
    let host = Host::start(&[]).await;
    for (code, retry_after) in [(429, Some("1")), (429, None), (503, Some("1"))] {
        let (client, left) = failing(&host, code, retry_after);
        let records = host.records_by(client, &host.namespace());
        records.current_revision().await.unwrap();
        left.store(2, Ordering::SeqCst);
        records.create(&key("a"), text("1")).await.unwrap();
        assert_eq!(left.load(Ordering::SeqCst), 0);
        assert_eq!(records.trouble(), None);
    }
}

/// The host may have executed the request.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_host_is_not_asked_again() {
    let host = Host::start(&[]).await;
    for code in [500, 503, 504] {
        let (client, left) = failing(&host, code, None);
        let records = host.records_by(client, &host.namespace());
        records.current_revision().await.unwrap();
        left.store(2, Ordering::SeqCst);
        let refused = records.create(&key("a"), text("1")).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        assert_eq!(left.load(Ordering::SeqCst), 1);
        let (client, left) = failing(&host, 429, Some("3600"));
        let records = host.records_by(client, &host.namespace());
        records.current_revision().await.unwrap();
        left.store(1, Ordering::SeqCst);
        let refused = records.create(&key("a"), text("1")).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn states_that_the_host_has_compacted_are_gone() {
    let host = Host::start(&[
        "--etcd-compaction-interval=2s",
        "--feature-gates=ListFromCacheSnapshot=false",
    ])
    .await;
    let records = host.records(&host.namespace());
    let first = records.create(&key("a"), text("1")).await.unwrap();
    let mut last = first;
    let exactly = |revision| ListOptions {
        at: At::Exactly(revision),
        ..ListOptions::default()
    };
    let oldest = until("it is compacted", async || {
        last = records.update(&key("a"), text("x"), last).await.unwrap();
        // A different prefix each time, since a listing is kept for a while after it was read.
        let prefix = format!("/test.example/{}/", host.name("others"));
        match records.list(&prefix, &exactly(first)).await {
            Err(Error::Compacted { oldest }) => Some(oldest),
            other => {
                other.expect("it answers");
                None
            }
        }
    })
    .await;
    assert!(oldest > first);
    assert!(records.compacted_revision().await.unwrap() >= oldest);
    let things = Things::of(Arc::clone(&*records) as _, THINGS).await;
    assert_eq!(things.latest().await, ["a=x"]);
}
