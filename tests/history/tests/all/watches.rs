//! Watches that omit, repeat, reorder or invent events.

use history::EventKind::{Added, Deleted, Modified};
use history::{Delivery, History, Law, Outcome};

use crate::build::{
    DELETE, GONE, bookmark, broken, call, check_legal, create, event, objects, ok, update, watch,
};

/// Returns a history of an object that is created at version 1, changed at 3, deleted at 5, and
/// created at 7.
fn history(deliveries: Vec<Delivery>) -> History {
    History {
        calls: vec![
            call(0..1, create("x"), ok(1, "x")),
            call(2..3, update("y"), ok(3, "y")),
            call(4..5, DELETE, GONE),
            call(6..7, create("z"), ok(7, "z")),
        ],
        watches: vec![watch(deliveries)],
        ..History::default()
    }
}

fn all() -> Vec<Delivery> {
    vec![
        event(1, Added, 1, "x"),
        event(3, Modified, 3, "y"),
        Delivery::Cut,
        bookmark(3, 4),
        event(5, Deleted, 5, "y"),
        event(8, Added, 7, "z"),
    ]
}

#[track_caller]
fn check(deliveries: Vec<Delivery>, laws: &[Law]) {
    assert_eq!(broken(&history(deliveries)), laws);
}

#[test]
fn every_change_once_is_legal() {
    check_legal(&history(all()));
}

#[test]
fn a_watch_that_begins_after_a_deletion_is_legal() {
    let mut history = history(all());
    let mut late = watch(vec![event(8, Added, 7, "z")]);
    late.from = 5;
    history.watches.push(late);
    check_legal(&history);
}

#[test]
fn events_that_are_yet_to_come_are_not_missing() {
    check(all()[..2].to_vec(), &[]);
}

#[test]
fn missing_event() {
    let mut deliveries = all();
    deliveries.remove(1);
    check(deliveries, &[Law::WatchFollows, Law::WatchComplete]);
}

#[test]
fn missing_deletion() {
    let mut deliveries = all();
    deliveries.remove(4);
    check(deliveries, &[Law::WatchFollows, Law::WatchComplete]);
}

#[test]
fn event_that_another_watch_delivered() {
    let mut history = history(all());
    let mut other = watch(all());
    other.deliveries.remove(4);
    other.from = 4;
    other.initial = objects(&[("a", 3, "y")]);
    other.deliveries.drain(..4);
    history.watches.push(other);
    assert_eq!(broken(&history), [Law::WatchFollows, Law::WatchComplete]);
}

#[test]
fn duplicated_event() {
    let mut deliveries = all();
    deliveries.insert(3, deliveries[1].clone());
    check(deliveries, &[Law::WatchInOrder]);
}

#[test]
fn reordered_events() {
    let mut deliveries = all();
    deliveries.swap(0, 1);
    check(deliveries, &[Law::WatchInOrder, Law::WatchFollows]);
}

#[test]
fn bookmark_ahead_of_an_event() {
    let mut deliveries = all();
    deliveries[3] = bookmark(3, 6);
    check(deliveries, &[Law::WatchInOrder]);
}

#[test]
fn bookmark_ahead_of_a_write_to_come() {
    let mut deliveries = all();
    deliveries[3] = bookmark(3, 7);
    deliveries.truncate(4);
    // The deletion at version 5 is not known here; the create at version 7 is known and missing.
    check(deliveries, &[Law::VersionsFollowTime, Law::WatchComplete]);
}

#[test]
fn bookmark_that_goes_back() {
    let mut deliveries = all();
    deliveries[3] = bookmark(3, 2);
    check(deliveries, &[Law::WatchInOrder]);
}

#[test]
fn event_of_another_state_than_acknowledged() {
    let mut deliveries = all();
    deliveries[1] = event(3, Modified, 3, "w");
    check(deliveries, &[Law::OneWritePerVersion, Law::WatchFollows]);
}

#[test]
fn event_of_a_write_that_nobody_sent() {
    let mut deliveries = all();
    deliveries.push(event(9, Modified, 8, "w"));
    check(deliveries, &[Law::NothingInvented]);
}

#[test]
fn deletion_that_nobody_asked_for() {
    let mut deliveries = all();
    deliveries.push(event(9, Deleted, 8, "z"));
    check(deliveries, &[Law::NothingInvented]);
}

#[test]
fn event_before_its_write() {
    let mut deliveries = all();
    deliveries[5] = event(5, Added, 7, "z");
    check(deliveries, &[Law::NothingInvented, Law::VersionsFollowTime]);
}

#[test]
fn a_complete_watch_shows_that_an_unknown_write_did_not_happen() {
    let mut history = History {
        calls: vec![
            call(0..1, create("x"), ok(1, "x")),
            call(2..3, update("y"), Outcome::Unknown),
            call(4..5, crate::build::update_at(1, "z"), Outcome::Conflict),
        ],
        ..History::default()
    };
    check_legal(&history);
    history.watches = vec![watch(vec![event(1, Added, 1, "x"), bookmark(9, 9)])];
    assert_eq!(broken(&history), [Law::Linearizable]);
}
