//! Create, update, delete and get.

use std::sync::Arc;

use super::{all, concurrently, conflict, create, current, delete, key, record, update, value};
use crate::{Error, MAX_VALUE_BYTES, Revision, Store};

/// Checks that zero never identifies a state, even before the first write.
pub async fn a_new_store_has_a_revision(store: &dyn Store) {
    assert!(current(store).await > Revision::new(0));
    assert!(store.compacted_revision().await.expect("it answers") <= current(store).await);
    assert_eq!(all(store).await, []);
}

/// Checks that bytes are returned unchanged, with the revision of their write.
pub async fn a_record_reads_back_as_written(store: &dyn Store) {
    let text = "\0\u{7f} not JSON, ünïcode \n";
    let revision = create(store, "a", text).await;
    assert_eq!(
        store.get(&key("a")).await.expect("it answers"),
        Some(record("a", text, revision))
    );
    assert_eq!(store.get(&key("b")).await.expect("it answers"), None);
    let revision = update(store, "a", "other", revision).await;
    let read = store.get(&key("a")).await.expect("it answers");
    assert_eq!(read, Some(record("a", "other", revision)));
}

/// Checks that create, update, an update to the same value, and delete each have a revision of
/// their own, and the current revision is never behind.
pub async fn revisions_grow_with_every_write(store: &dyn Store) {
    let mut last = current(store).await;
    let mut grows = async |revision: Revision| {
        assert!(revision > last, "{revision} comes after {last}");
        assert!(current(store).await >= revision);
        last = revision;
        revision
    };
    let a = grows(create(store, "a", "1").await).await;
    let b = grows(create(store, "b", "1").await).await;
    let a = grows(update(store, "a", "1", a).await).await;
    grows(delete(store, "b", b).await).await;
    grows(delete(store, "a", a).await).await;
}

/// Checks that the existing record is kept.
pub async fn create_refuses_a_taken_key(store: &dyn Store) {
    let revision = create(store, "a", "first").await;
    let second = store.create(&key("a"), value("second")).await;
    assert!(matches!(second, Err(Error::Exists)), "{second:?}");
    assert_eq!(all(store).await, [record("a", "first", revision)]);
}

/// Checks that a deleted key behaves like a new one, except for the revision.
pub async fn a_deleted_key_is_free_again(store: &dyn Store) {
    let first = create(store, "a", "1").await;
    let removed = delete(store, "a", first).await;
    assert_eq!(store.get(&key("a")).await.expect("it answers"), None);
    assert_eq!(all(store).await, []);
    let again = create(store, "a", "2").await;
    assert!(again > removed);
    assert_eq!(all(store).await, [record("a", "2", again)]);
}

/// Checks that other revisions have no effect, and the error contains the current record.
pub async fn update_and_delete_need_the_newest_revision(store: &dyn Store) {
    let old = create(store, "a", "old").await;
    let new = update(store, "a", "new", old).await;
    let gone = create(store, "gone", "1").await;
    let removed = delete(store, "gone", gone).await;
    let never = Revision::new(0);

    let a = || Some(record("a", "new", new));
    let cases = [
        ("a", old, a()),
        ("a", never, a()),
        ("a", removed, a()),
        ("gone", gone, None),
        ("gone", removed, None),
        ("gone", never, None),
        ("absent", new, None),
        ("absent", never, None),
    ];
    for (name, expected, present) in cases {
        let updated = store.update(&key(name), value("x"), expected).await;
        let deleted = store.delete(&key(name), expected).await;
        for result in [updated, deleted] {
            assert_eq!(conflict(result), Ok(present.clone()), "{name}");
        }
    }
    assert_eq!(all(store).await, [record("a", "new", new)]);
}

/// Checks that empty values, which would appear damaged, and too large values are rejected.
pub async fn unfit_values_are_refused(store: &dyn Store) {
    let revision = create(store, "a", "1").await;
    let large = vec![b'x'; MAX_VALUE_BYTES + 1];
    let created = store.create(&key("b"), large.clone().into()).await;
    let updated = store.update(&key("a"), large.into(), revision).await;
    for result in [created, updated] {
        assert!(matches!(result, Err(Error::TooLarge { .. })), "{result:?}");
    }
    let created = store.create(&key("b"), value("")).await;
    let updated = store.update(&key("a"), value(""), revision).await;
    for result in [created, updated] {
        assert!(matches!(result, Err(Error::Empty)), "{result:?}");
    }
    assert_eq!(all(store).await, [record("a", "1", revision)]);

    let fits = vec![b'x'; 1 << 20];
    store
        .create(&key("b"), fits.into())
        .await
        .expect("a mebibyte fits");
}

/// Checks that all but one of concurrent creates fail with `Exists`.
pub async fn one_of_concurrent_creates_wins(store: &Arc<dyn Store>) {
    let results = concurrently(store, 32, async |store: Arc<dyn Store>, task| {
        store
            .create(&key("contended"), value(&task.to_string()))
            .await
    });
    let mut winners = Vec::new();
    for (task, result) in results.await.into_iter().enumerate() {
        match result {
            Ok(revision) => winners.push(record("contended", &task.to_string(), revision)),
            Err(error) => assert!(matches!(error, Error::Exists), "{error:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(all(&**store).await, winners);
}

/// Checks that all but one of concurrent updates fail with the record that the winner wrote.
pub async fn one_of_concurrent_updates_wins(store: &Arc<dyn Store>) {
    let base = create(&**store, "contended", "base").await;
    let results = concurrently(store, 32, move |store: Arc<dyn Store>, task| async move {
        store
            .update(&key("contended"), value(&task.to_string()), base)
            .await
    })
    .await;
    let now = all(&**store).await;
    let mut winners = 0;
    for result in results {
        match result {
            Ok(revision) => {
                winners += 1;
                assert_eq!(now[0].revision, revision);
            }
            refused => assert_eq!(conflict(refused), Ok(now.first().cloned())),
        }
    }
    assert_eq!(winners, 1);
}

/// Checks that no update is lost when clients read, modify, write, and retry on conflict.
pub async fn concurrent_increments_are_all_counted(store: &Arc<dyn Store>) {
    create(&**store, "counter", "0").await;
    concurrently(store, 8, async |store: Arc<dyn Store>, _| {
        for _ in 0..10 {
            while !increment(&*store).await {}
        }
    })
    .await;
    assert_eq!(all(&**store).await[0].value, value("80"));
}

async fn increment(store: &dyn Store) -> bool {
    let counter = store
        .get(&key("counter"))
        .await
        .expect("it answers")
        .expect("it is there");
    let text = String::from_utf8_lossy(&counter.value).into_owned();
    let next = text.parse::<u64>().expect("a number") + 1;
    match store
        .update(&key("counter"), value(&next.to_string()), counter.revision)
        .await
    {
        Ok(_) => true,
        refused => {
            let newer = conflict(refused).expect("a conflict").expect("it is there");
            assert!(
                newer.revision > counter.revision,
                "the conflict shows a newer record"
            );
            false
        }
    }
}
