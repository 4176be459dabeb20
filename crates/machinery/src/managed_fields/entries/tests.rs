//! Capping and ordering of entries.

use serde_json::json;

use super::*;

fn entry(manager: &str, operation: Operation, version: &str, seconds: i64) -> Entry {
    let fields = json!({ format!("f:{manager}"): {} });
    Entry {
        manager: manager.to_owned(),
        operation,
        api_version: version.to_owned(),
        subresource: String::new(),
        fields: FieldSet::from_fields_v1(&fields).unwrap(),
        time: Some(Timestamp::from_second(seconds).unwrap()),
    }
}

/// Checks entries as `manager version seconds`, after capping and in their stored order.
#[track_caller]
fn check(entries: Vec<Entry>, expect: &[&str]) {
    let mut entries = Entries(entries);
    entries.cap();
    let stored = entries.into_recorded().into_iter().map(|entry| {
        let seconds = entry.time.unwrap().0.as_second();
        format!(
            "{} {} {seconds}",
            entry.manager.unwrap(),
            entry.api_version.unwrap()
        )
    });
    assert_eq!(stored.collect::<Vec<_>>(), expect);
}

#[test]
fn applies_come_first_then_the_older_then_the_name() {
    use Operation::{Apply, Update};
    check(
        vec![
            entry("c", Update, "v1", 1),
            entry("b", Update, "v2", 1),
            entry("b", Update, "v1", 1),
            entry("a", Update, "v1", 2),
            entry("z", Apply, "v1", 9),
        ],
        &["z v1 9", "b v1 1", "b v2 1", "c v1 1", "a v1 2"],
    );
}

#[test]
fn folding_keeps_versions_apart_and_applies_out() {
    let updates = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let mut entries: Vec<_> = updates
        .iter()
        .zip(1..)
        .map(|(manager, seconds)| {
            let version = if seconds % 2 == 0 { "v2" } else { "v1" };
            entry(manager, Operation::Update, version, seconds)
        })
        .collect();
    entries.push(entry("applier", Operation::Apply, "v1", 0));
    check(
        entries,
        &[
            "applier v1 0",
            "ancient-changes v1 3",
            "ancient-changes v2 4",
            "e v1 5",
            "f v2 6",
            "g v1 7",
            "h v2 8",
            "i v1 9",
            "j v2 10",
            "k v1 11",
            "l v2 12",
        ],
    );
}

#[test]
fn earlier_ancient_changes_take_the_next_oldest() {
    let mut entries = vec![entry(ANCIENT_CHANGES, Operation::Update, "v1", 50)];
    for seconds in 1..=10 {
        entries.push(entry(
            &format!("w{seconds:02}"),
            Operation::Update,
            "v1",
            seconds,
        ));
    }
    check(
        entries,
        &[
            "w02 v1 2",
            "w03 v1 3",
            "w04 v1 4",
            "w05 v1 5",
            "w06 v1 6",
            "w07 v1 7",
            "w08 v1 8",
            "w09 v1 9",
            "w10 v1 10",
            "ancient-changes v1 50",
        ],
    );
}
