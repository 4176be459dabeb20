//! Lists and their pages.

use std::sync::Arc;

use bytes::Bytes;

use super::{PREFIX, concurrently, create, current, delete, key, record, update, value};
use crate::{At, Error, Key, ListOptions, Page, Record, Revision, Store};

/// Reads all pages of `limit` records; the later ones at the revision of the first, as clients do.
async fn pages(store: &dyn Store, prefix: &str, limit: usize) -> Vec<Page> {
    let mut options = ListOptions {
        limit: Some(limit),
        ..ListOptions::default()
    };
    let mut pages: Vec<Page> = Vec::new();
    loop {
        let page = store
            .list(prefix, &options)
            .await
            .expect("the store answers");
        assert!(page.records.len() <= limit);
        options.at = At::Exactly(page.revision);
        options.after = page.records.last().map(|record| record.key.clone());
        let more = page.more;
        pages.push(page);
        if !more {
            return pages;
        }
    }
}

async fn exactly(store: &dyn Store, revision: Revision) -> Vec<Record> {
    let options = ListOptions {
        at: At::Exactly(revision),
        ..ListOptions::default()
    };
    let page = store
        .list(PREFIX, &options)
        .await
        .expect("the revision is kept");
    assert_eq!(page.revision, revision);
    page.records
}

/// Checks that lists are not in the order of writing, of case or of segments, and exclude keys next
/// to the prefix.
pub async fn a_list_is_in_byte_order_and_within_its_prefix(store: &dyn Store) {
    let inside = ["B", "a", "a-b", "a.b", "a/b", "a0", "b/a", "é"];
    for name in inside.iter().rev() {
        create(store, name, name).await;
    }
    for beside in [
        "/conformance/thing/a",
        "/conformance/things-x/a",
        "/conformance/thingz/a",
    ] {
        let beside = Key::parse(beside).expect("a well-formed key");
        store
            .create(&beside, Bytes::from_static(b"x"))
            .await
            .expect("the key is free");
    }
    let names = async |prefix: &str, after: Option<Key>| -> Vec<String> {
        let options = ListOptions {
            after,
            ..ListOptions::default()
        };
        let page = store
            .list(prefix, &options)
            .await
            .expect("the store answers");
        page.records
            .iter()
            .map(|r| r.key.as_str()[PREFIX.len()..].to_owned())
            .collect()
    };
    assert_eq!(names(PREFIX, None).await, inside);
    assert_eq!(names(PREFIX, Some(key("a-b"))).await, inside[3..]);
    assert_eq!(names(PREFIX, Some(key("a-"))).await, inside[2..]);
    assert_eq!(names(PREFIX, Some(key("zzz"))).await, ["é"]);
    assert_eq!(names("/conformance/things/a/", None).await, ["a/b"]);
    assert_eq!(names("/conformance/things/none/", None).await, [""; 0]);
}

/// Checks that pages have neither gap nor repeat, for every limit.
pub async fn pages_cover_a_prefix(store: &dyn Store) {
    let mut whole = Vec::new();
    for number in 0..10 {
        let name = format!("n{number}");
        whole.push(record(&name, &name, create(store, &name, &name).await));
    }
    for limit in [1, 3, 5, 9, 10, 11] {
        let pages = pages(store, PREFIX, limit).await;
        assert_eq!(pages.len(), 10usize.div_ceil(limit), "pages of {limit}");
        let records: Vec<Record> = pages.into_iter().flat_map(|page| page.records).collect();
        assert_eq!(records, whole, "pages of {limit}");
    }
}

/// Checks an exact list at every revision: it shows creations, updates and removals, but no later
/// ones.
pub async fn an_exact_list_shows_that_state(store: &dyn Store) {
    let r0 = current(store).await;
    let r1 = create(store, "a", "1").await;
    let r2 = create(store, "b", "1").await;
    let r3 = update(store, "a", "2", r1).await;
    let r4 = delete(store, "b", r2).await;
    let r5 = create(store, "b", "2").await;
    assert_eq!(exactly(store, r0).await, []);
    assert_eq!(exactly(store, r1).await, [record("a", "1", r1)]);
    assert_eq!(
        exactly(store, r2).await,
        [record("a", "1", r1), record("b", "1", r2)]
    );
    assert_eq!(
        exactly(store, r3).await,
        [record("a", "2", r3), record("b", "1", r2)]
    );
    assert_eq!(exactly(store, r4).await, [record("a", "2", r3)]);
    assert_eq!(
        exactly(store, r5).await,
        [record("a", "2", r3), record("b", "2", r5)]
    );
}

/// Checks pages while every task moves a record: creates it elsewhere, removes it from its old
/// place. All pages of one list together show each record once or twice, never not at all, at the
/// first page's revision.
pub async fn pages_agree_while_others_write(store: &Arc<dyn Store>) {
    const RECORDS: usize = 12;
    for number in 0..RECORDS {
        create(&**store, &format!("{number}-0"), "x").await;
    }
    let done = concurrently(store, RECORDS + 1, async |store: Arc<dyn Store>, task| {
        if task < RECORDS {
            shuffle(&*store, task).await
        } else {
            read_pages(&*store).await
        }
    });
    done.await;
}

async fn shuffle(store: &dyn Store, number: usize) {
    for step in 1..20 {
        let (old, new) = (
            key(&format!("{number}-{}", step - 1)),
            key(&format!("{number}-{step}")),
        );
        store
            .create(&new, value("x"))
            .await
            .expect("the key is free");
        let record = store
            .get(&old)
            .await
            .expect("it answers")
            .expect("it is there");
        store
            .delete(&old, record.revision)
            .await
            .expect("nobody else touches it");
    }
}

async fn read_pages(store: &dyn Store) {
    for _ in 0..20 {
        let pages = pages(store, PREFIX, 5).await;
        assert!(pages.iter().all(|page| page.revision == pages[0].revision));
        let records: Vec<&Record> = pages.iter().flat_map(|page| &page.records).collect();
        for number in 0..12 {
            let start = format!("{PREFIX}{number}-");
            let count = records
                .iter()
                .filter(|r| r.key.as_str().starts_with(&start))
                .count();
            assert!((1..=2).contains(&count), "{count} of record {number}");
        }
        assert!(
            records
                .iter()
                .all(|record| record.revision <= pages[0].revision)
        );
    }
}

/// Checks that a list does not show a state that may still change.
pub async fn a_list_ahead_of_the_store_is_refused(store: &dyn Store) {
    create(store, "a", "1").await;
    let requested = Revision::new(current(store).await.get() + 1_000_000);
    let options = ListOptions {
        at: At::Exactly(requested),
        ..ListOptions::default()
    };
    let listed = store.list(PREFIX, &options).await;
    assert!(
        matches!(listed, Err(Error::FutureRevision { requested: r, .. }) if r == requested),
        "{listed:?}"
    );
}
