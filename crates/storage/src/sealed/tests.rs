//! Tests of sealing through the store, and of the keyring's file.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use tempfile::TempDir;

use super::{KeyInUse, Keyring, KeyringError, Resealed, Sealed};
use crate::{
    Change, Error, Key, ListOptions, Revision, Store,
    sqlite::{Sqlite, SqliteOptions},
};

const KEY_A: &str = "00000000000000aa:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
const KEY_B: &str = "00000000000000bb:QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=";

fn home() -> TempDir {
    TempDir::new().expect("a directory")
}

fn keyring(home: &Path, lines: &[&str]) -> Keyring {
    let path = home.join(format!("keys{}", lines.len()));
    fs::write(&path, lines.join("\n")).expect("it is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    Keyring::load_or_create(&path).expect("a keyring")
}

/// Returns a store, and the same store with `/secret/` sealed.
fn pair(home: &Path, lines: &[&str]) -> (Arc<dyn Store>, Sealed) {
    let inner = Sqlite::open(&home.join("data"), SqliteOptions::default()).expect("it opens");
    let inner: Arc<dyn Store> = Arc::new(inner);
    let sealed = Sealed::new(inner.clone(), keyring(home, lines), vec!["/secret/".into()]);
    (inner, sealed)
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("a well-formed key")
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn value(store: &dyn Store, at: &str) -> Result<Bytes, Error> {
    Ok(store.get(&key(at)).await?.expect("it is there").value)
}

#[tokio::test]
async fn only_values_under_its_prefixes_are_sealed() {
    let home = home();
    let (inner, sealed) = pair(home.path(), &[KEY_A]);
    for at in ["/secret/things/a", "/plain/things/a"] {
        sealed
            .create(&key(at), text("hello"))
            .await
            .expect("it is free");
        assert_eq!(value(&sealed, at).await.expect("it opens"), text("hello"));
    }
    assert_eq!(
        value(&*inner, "/plain/things/a")
            .await
            .expect("it is there"),
        text("hello")
    );
    let stored = value(&*inner, "/secret/things/a")
        .await
        .expect("it is there");
    assert_eq!(
        &stored[..9],
        b"\x01\0\0\0\0\0\0\0\xaa",
        "version and key id"
    );
    assert_eq!(stored.len(), 9 + 12 + 5 + 16);
    assert!(!stored.windows(5).any(|part| part == b"hello"));
}

#[tokio::test]
async fn a_value_that_does_not_open_fails_closed_and_alone() {
    let home = home();
    let (inner, sealed) = pair(home.path(), &[KEY_A]);
    sealed
        .create(&key("/secret/things/good"), text("good"))
        .await
        .expect("it is free");
    let stored = value(&*inner, "/secret/things/good")
        .await
        .expect("it is there");
    let start = inner.current_revision().await.expect("it answers");
    let planted = [("moved", stored), ("plain", text("{\"admin\":true}"))];
    let mut last = Revision::new(0);
    for (name, bytes) in planted {
        let at = key(&format!("/secret/things/{name}"));
        last = inner.create(&at, bytes).await.expect("it is free");
        let read = sealed.get(&at).await;
        assert!(
            matches!(&read, Err(Error::Corrupt { key: Some(k), .. }) if *k == at),
            "{read:?}"
        );
        let refused = sealed.update(&at, text("x"), Revision::new(0)).await;
        let shown = match refused {
            Err(Error::Conflict {
                current: Some(record),
            }) => record.value,
            _ => text("no conflict"),
        };
        assert_eq!(shown, Bytes::new(), "{name}");
    }
    let page = sealed
        .list("/secret/", &ListOptions::default())
        .await
        .expect("the rest is sound");
    let values: Vec<Bytes> = page
        .records
        .into_iter()
        .map(|record| record.value)
        .collect();
    assert_eq!(values, [text("good"), Bytes::new(), Bytes::new()]);

    let mut watch = sealed.watch(start).await.expect("it is kept");
    let batch = watch
        .next()
        .await
        .expect("it goes on")
        .expect("it is sound");
    let changes: Vec<Change> = batch.events.into_iter().map(|event| event.change).collect();
    assert_eq!(
        changes,
        [Change::Put(Bytes::new()), Change::Put(Bytes::new())]
    );
    sealed
        .delete(&key("/secret/things/plain"), last)
        .await
        .expect("it can be removed");
}

#[tokio::test]
async fn a_new_first_key_takes_over_by_resealing() {
    let home = home();
    let (inner, old) = pair(home.path(), &[KEY_A]);
    for name in ["a", "b", "c"] {
        old.create(&key(&format!("/secret/things/{name}")), text(name))
            .await
            .expect("it is free");
    }
    drop((inner, old));

    let (inner, both) = pair(home.path(), &[KEY_B, KEY_A]);
    let a = both
        .get(&key("/secret/things/a"))
        .await
        .expect("it opens")
        .expect("it is there");
    both.update(&a.key, text("newer"), a.revision)
        .await
        .expect("it is ours");
    inner
        .create(&key("/secret/things/damaged"), text("x"))
        .await
        .expect("it is free");
    for rewritten in [2, 0] {
        let keys = vec![KeyInUse {
            id: "00000000000000bb".to_owned(),
            values: 3,
            is_newest: true,
        }];
        let expect = Resealed {
            rewritten,
            unreadable: 1,
            keys,
        };
        assert_eq!(both.reseal_all().await.expect("it answers"), expect);
    }
    let kept = inner.compacted_revision().await.expect("it answers");
    let current = inner.current_revision().await.expect("it answers");
    assert_eq!(kept, current, "no older state holds a value of the old key");
    drop((inner, both));

    let (_inner, new) = pair(home.path(), &[KEY_B, "# the old one is gone"]);
    for (name, expect) in [("a", "newer"), ("b", "b"), ("c", "c")] {
        let at = format!("/secret/things/{name}");
        assert_eq!(value(&new, &at).await.expect("it opens"), text(expect));
    }
    assert!(matches!(
        value(&new, "/secret/things/damaged").await,
        Err(Error::Corrupt { .. })
    ));
}

/// Returns a store whose values are bound to their writes, over the same inner store.
fn bound(inner: &Arc<dyn Store>, home: &Path) -> Sealed {
    Sealed::bound_to_writes(inner.clone(), keyring(home, &[KEY_A]), vec!["/".into()])
}

async fn raw(store: &dyn Store, at: &str) -> Bytes {
    value(store, at).await.expect("it is there")
}

/// Writes the bytes at a key, whether or not it exists.
async fn put_back(inner: &dyn Store, at: &str, bytes: Bytes) -> Revision {
    match inner.get(&key(at)).await.expect("it answers") {
        Some(found) => inner.update(&key(at), bytes, found.revision).await,
        None => inner.create(&key(at), bytes).await,
    }
    .expect("it is written")
}

/// Writes more values than fit into a window.
async fn write_a_window(store: &dyn Store) {
    let writes = (0..1100).map(async |number| {
        let other = key(&format!("/g/r/other-{number}"));
        store.create(&other, text("x")).await.expect("it is free");
    });
    join_all(writes).await;
}

async fn seen_by_all(store: &Sealed, at: &str) -> Vec<Bytes> {
    let got = value(store, at).await.unwrap_or_default();
    let page = store
        .list("/", &ListOptions::default())
        .await
        .expect("it lists");
    let listed = page
        .records
        .into_iter()
        .find(|record| record.key.as_str() == at);
    let revision = store.current_revision().await.expect("it answers");
    let before = Revision::new(revision.get() - 1);
    let mut watch = store.watch(before).await.expect("it is kept");
    let batch = watch
        .next()
        .await
        .expect("it goes on")
        .expect("it is sound");
    let mut seen = vec![got, listed.expect("it is there").value];
    for event in batch.events {
        if let Change::Put(value) = event.change {
            seen.push(value);
        }
    }
    seen
}

#[tokio::test]
async fn what_was_deleted_or_replaced_cannot_be_put_back() {
    let home = home();
    let (inner, _) = pair(home.path(), &[KEY_A]);
    let (running, at) = (bound(&inner, home.path()), "/g/r/n");
    let first = running
        .create(&key(at), text("1"))
        .await
        .expect("it is free");
    let one = raw(&*inner, at).await;
    let second = running
        .update(&key(at), text("2"), first)
        .await
        .expect("ours");
    let two = raw(&*inner, at).await;
    assert_eq!(seen_by_all(&running, at).await, ["2", "2", "2"]);
    running.delete(&key(at), second).await.expect("ours");

    let none = vec![Bytes::new(); 3];
    for bytes in [&one, &two] {
        put_back(&*inner, at, bytes.clone()).await;
        assert_eq!(seen_by_all(&running, at).await, none, "while it runs");
        // A process that starts reads the history first, as a cache does.
        let started = bound(&inner, home.path());
        let mut history = started.watch(Revision::new(1)).await.expect("it is kept");
        let seen = history
            .next()
            .await
            .expect("it goes on")
            .expect("it is sound");
        assert!(seen.events.len() > 2);
        assert_eq!(seen_by_all(&started, at).await, none, "after a restart");
    }
    write_a_window(&running).await;
    put_back(&*inner, at, two).await;
    let ignorant = bound(&inner, home.path());
    assert_eq!(
        seen_by_all(&ignorant, at).await,
        none,
        "without any history"
    );
}

#[tokio::test]
async fn every_value_of_many_writers_at_once_is_readable_from_its_first_write() {
    const EACH: u64 = 200;
    let home = home();
    let (inner, _) = pair(home.path(), &[KEY_A]);
    let replicas = [bound(&inner, home.path()), bound(&inner, home.path())];
    let reader = bound(&inner, home.path());
    let start = reader.current_revision().await.expect("it answers");
    let mut watch = reader.watch(start).await.expect("it is kept");
    let names = (0..2 * EACH).map(|number| key(&format!("/g/r/{number}")));
    let writes = names.zip(replicas.iter().cycle());
    let writes = writes.map(|(at, store)| async move {
        store.create(&at, text("x")).await.expect("it is free");
    });
    join_all(writes).await;
    let mut seen = Vec::new();
    while (seen.len() as u64) < 2 * EACH {
        let batch = watch
            .next()
            .await
            .expect("it goes on")
            .expect("it is sound");
        for event in batch.events {
            match event.change {
                Change::Put(value) => seen.push(value),
                Change::Deleted => panic!("nobody deletes"),
            }
        }
    }
    assert!(seen.iter().all(|value| value == "x"), "{seen:?}");
}

#[tokio::test]
async fn a_value_that_others_overtook_is_sealed_again() {
    let home = home();
    let (inner, _) = pair(home.path(), &[KEY_A]);
    let (late, at) = (bound(&inner, home.path()), "/g/r/n");
    write_a_window(&*inner).await;
    // `late` does not know these writes.
    let created = late.create(&key(at), text("1")).await.expect("it is free");
    let found = inner
        .get(&key(at))
        .await
        .expect("it answers")
        .expect("it is there");
    assert_eq!(found.revision, created);
    assert_eq!(
        seen_by_all(&bound(&inner, home.path()), at).await,
        ["1", "1", "1"]
    );
}

#[tokio::test]
async fn what_has_no_seal_or_one_without_a_stamp_is_adopted_on_request_alone() {
    let home = home();
    let (inner, old) = pair(home.path(), &[KEY_A]);
    old.create(&key("/secret/r/a"), text("a"))
        .await
        .expect("it is free");
    inner
        .create(&key("/g/r/b"), text("b"))
        .await
        .expect("it is free");
    let foreign = Keyring::generate().expect("random bytes");
    let foreign = Sealed::bound_to_writes(inner.clone(), foreign, vec!["/".into()]);
    foreign
        .create(&key("/g/r/c"), text("c"))
        .await
        .expect("it is free");

    let store = bound(&inner, home.path());
    let listed = async || {
        let page = store
            .list("/", &ListOptions::default())
            .await
            .expect("it lists");
        let values = page.records.into_iter().map(|record| record.value);
        values.collect::<Vec<_>>()
    };
    assert_eq!(listed().await, ["", "", ""]);
    let adopted = store.adopt("/").await.expect("it answers");
    assert_eq!(
        adopted
            .sealed
            .iter()
            .map(Key::as_str)
            .collect::<Vec<_>>()
            .len(),
        2
    );
    assert_eq!(adopted.foreign, [key("/g/r/c")]);
    assert_eq!(listed().await, ["b", "", "a"]);
    let again = store.adopt("/").await.expect("it answers");
    assert_eq!(again.sealed, []);
}

#[track_caller]
fn check_refused(lines: &str, mode: u32, expect: &str) {
    let home = home();
    let path = home.path().join("keys");
    fs::write(&path, lines).expect("it is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
    let refused = Keyring::load_or_create(&path).map(|ring| format!("{ring:?}"));
    let refused = refused.map_err(|e| e.to_string().replace(&*path.to_string_lossy(), "FILE"));
    assert_eq!(refused, Err(expect.to_owned()));
}

#[test]
fn a_keyring_that_is_not_safe_and_sound_is_refused() {
    let exposed = "the keyring FILE has mode 0640, but must not be accessible to other users";
    check_refused(KEY_A, 0o640, exposed);
    check_refused("", 0o600, "the keyring FILE is empty");
    check_refused("# none\n\n", 0o600, "the keyring FILE is empty");
    let malformed = "the keyring FILE has a malformed or repeated key in line 2";
    check_refused(&format!("{KEY_B}\n{KEY_B}"), 0o600, malformed);
    check_refused(&format!("{KEY_B}\n{}", &KEY_A[1..]), 0o600, malformed);
    check_refused(
        &format!("{KEY_B}\n{}", KEY_A.replace('Q', "!")),
        0o600,
        malformed,
    );
    check_refused(&format!("{KEY_B}\n00000000000000aa:QUFB"), 0o600, malformed);
    check_refused(
        &format!("{KEY_B}\n+0000000000000aa{}", &KEY_A[16..]),
        0o600,
        malformed,
    );
    check_refused(&format!("{KEY_B}\nkey"), 0o600, malformed);
}

#[test]
fn a_mounted_keyring_may_be_read_by_its_group_and_is_not_made() {
    let home = home();
    let path = home.path().join("keys");
    assert!(matches!(Keyring::load(&path), Err(KeyringError::Io { .. })));
    fs::write(&path, KEY_A).expect("it is written");
    for (mode, refused) in [(0o440, false), (0o444, true), (0o420, true), (0o400, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
        let exposed = matches!(Keyring::load(&path), Err(KeyringError::Exposed { .. }));
        assert_eq!(exposed, refused, "{mode:o}");
    }
}

#[test]
fn a_new_keyring_is_kept_and_private() {
    let home = home();
    let path = home.path().join("keys");
    let made = Keyring::load_or_create(&path).expect("it is made");
    let read = Keyring::load_or_create(&path).expect("it is read");
    assert_eq!(made.newest().id, read.newest().id);
    assert_eq!(format!("{made:?}"), "Keyring(1 keys)");
    assert_eq!(
        fs::metadata(&path).expect("it exists").permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        fs::read_dir(home.path()).expect("it is ours").count(),
        1,
        "no draft is left"
    );
}
