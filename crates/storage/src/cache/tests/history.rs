//! The history of events that the cache keeps in memory.

use super::*;

#[tokio::test]
async fn a_state_of_the_past_is_as_it_was_while_the_history_reaches_it() {
    let fixture = Fixture::new(4).await;
    let one = fixture.create("a", "alice:1").await;
    let two = fixture.create("b", "bob:1").await;
    let three = fixture.update("a", "bob:2", one).await;
    let four = fixture.delete("b", two).await;
    let other = fixture.create("other", "alice:3").await;
    let five = fixture.create("b", "alice:4").await;
    fixture.caught_up().await;
    let things = fixture.things();
    let shown = |revision| {
        let view = things.at(revision)?;
        assert_eq!(view.revision, revision);
        let state = state(&view)
            .into_iter()
            .map(|(name, text)| format!("{name}={text}"));
        let state: Vec<String> = state.collect();
        let owned = [
            owned(&view, "alice").join(","),
            owned(&view, "bob").join(","),
        ];
        Some((state.join(" "), owned.join(" ")))
    };
    let past = |state: &str, owned: &str| Some((state.to_owned(), owned.to_owned()));
    assert_eq!(shown(five), past("a=bob:2 b=alice:4", "alice:4 bob:2"));
    assert_eq!(shown(other), past("a=bob:2", " bob:2"));
    assert_eq!(shown(four), past("a=bob:2", " bob:2"));
    assert_eq!(shown(three), past("a=bob:2 b=bob:1", " bob:2,bob:1"));
    assert_eq!(shown(two), past("a=alice:1 b=bob:1", "alice:1 bob:1"));
    assert_eq!(shown(one), past("a=alice:1", "alice:1 "));
    fixture.create("c", "carol:5").await;
    fixture.caught_up().await;
    assert_eq!(shown(one), None, "its history is gone");
    let oldest = past("a=alice:1 b=bob:1", "alice:1 bob:1");
    assert_eq!(shown(two), oldest);
    assert_eq!(shown(Revision::new(five.get() + 100)), None, "yet to come");
}

#[tokio::test]
async fn a_watch_past_the_history_is_told_where_it_begins() {
    let f = Fixture::new(3).await;
    let start = f.cache.applied();
    let mut slow = cursor(&f, start);
    let mut revisions = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        revisions.push(f.create(name, "x").await);
    }
    f.caught_up().await;
    let late = slow.next().await.map(|events| shown(&events));
    assert!(
        matches!(late, Err(Error::Compacted { oldest }) if oldest == revisions[1]),
        "{late:?}"
    );
    let refused = f.things().watch_from(revisions[0]).map(drop);
    assert!(matches!(refused, Err(Error::Compacted { oldest }) if oldest == revisions[1]));
    assert_eq!(
        cursor(&f, revisions[1])
            .next()
            .await
            .expect("it is kept")
            .len(),
        3
    );
}

#[tokio::test]
async fn a_history_of_large_objects_is_bounded_in_bytes() {
    let options = CacheOptions {
        history: 100,
        history_bytes: 25,
    };
    let f = Fixture::reopen(TempDir::new().expect("a directory"), options).await;
    let mut revisions = vec![f.create("a", "0123456789").await];
    for _ in 0..5 {
        let last = revisions[revisions.len() - 1];
        revisions.push(f.update("a", "0123456789", last).await);
    }
    f.caught_up().await;
    let reaches = |revision| f.things().watch_from(revision).is_ok();
    assert!(!reaches(revisions[2]), "three earlier states are 30 bytes");
    assert!(reaches(revisions[3]), "two are 20");
    let large = "0123456789".repeat(10);
    let before = f.update("a", &large, revisions[5]).await;
    let last = f.update("a", "b", before).await;
    f.caught_up().await;
    assert!(!reaches(revisions[5]));
    let events = cursor(&f, before).next().await;
    let events = events.expect("the newest event is kept").len();
    assert_eq!(events, 1);
    f.update("a", "c", last).await;
    f.caught_up().await;
    assert!(!reaches(before) && reaches(last), "the large state is gone");
}

#[tokio::test]
async fn a_long_history_comes_in_portions() {
    let f = Fixture::new(1000).await;
    let start = f.cache.applied();
    let mut last = f.create("a", "0").await;
    for number in 1..600 {
        last = f.update("a", &number.to_string(), last).await;
    }
    f.caught_up().await;
    let mut cursor = cursor(&f, start);
    let mut sizes = Vec::new();
    while cursor.position() < last {
        sizes.push(cursor.try_next().expect("it is kept").len());
    }
    assert_eq!(sizes, [256, 256, 88]);
}

#[tokio::test]
async fn history_before_a_compaction_is_not_offered_after_a_restart() {
    let f = Fixture::new(100).await;
    let a = f.create("a", "1").await;
    let b = f.create("b", "1").await;
    f.store.compact(b).await.expect("it is reached");
    let a2 = f.update("a", "2", a).await;
    let g = Fixture::reopen(f.stop().await, of_events(100)).await;
    assert_eq!(state(&g.things().view()), [("a", "2"), ("b", "1")]);
    let events = cursor(&g, b).next().await.expect("it is kept");
    assert_eq!(shown(&events), [format!("a: 1 -> 2 @ {a2}")]);
    let refused = g.things().watch_from(a).map(drop);
    assert!(matches!(refused, Err(Error::Compacted { oldest }) if oldest == b));
}

#[tokio::test]
async fn a_cache_that_missed_history_loads_anew_and_ends_old_watches() {
    let f = Fixture::new(100).await;
    f.create("kept", "1").await;
    let gone = f.create("gone", "1").await;
    let (paused, things) = cache_of(f.store.clone(), of_events(100)).await;
    let mut old = things.watch_from(gone).expect("it is kept");

    // More commits than the watch buffers, so it needs the log, which has compacted them.
    let mut last = gone;
    for number in 2..100 {
        last = f.update("gone", &number.to_string(), last).await;
    }
    f.delete("gone", last).await;
    let new = f.create("new", "1").await;
    f.store.compact(new).await.expect("it is reached");
    assert_eq!(state(&things.view()), [("gone", "1"), ("kept", "1")]);
    let (running, stop) = (paused.clone(), f.shutdown.clone());
    let runs = tokio::spawn(async move { running.run(stop).await });
    let view = things.latest().await.expect("it catches up");
    assert_eq!(
        (state(&view), view.revision),
        (vec![("kept", "1"), ("new", "1")], new)
    );
    let ended = old.next().await.map(|events| shown(&events));
    assert!(
        matches!(ended, Err(Error::Compacted { oldest }) if oldest == new),
        "{ended:?}"
    );

    let mut fresh = things.watch_from(view.revision).expect("it is kept");
    let last = f.create("last", "1").await;
    let events = fresh.next().await.expect("it is kept");
    assert_eq!(shown(&events), [format!("last: - -> 1 @ {last}")]);
    f.stop().await;
    runs.await.expect("it ends");
}
