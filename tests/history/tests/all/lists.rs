//! Lists that are not a state, or not that of their version.

use history::{History, Law, List, Outcome, Page};

use crate::build::{
    DELETE, GONE, broken, call, check_legal, create, list, objects, of, ok, update,
};

/// Returns a history in which `a` is created and changed, then `b` is created.
fn history(lists: Vec<List>) -> History {
    History {
        calls: vec![
            call(0..1, create("x"), ok(1, "x")),
            call(10..20, update("y"), ok(2, "y")),
            of("b", call(10..20, create("z"), ok(3, "z"))),
        ],
        lists,
        ..History::default()
    }
}

#[test]
fn lists_of_every_state_are_legal() {
    check_legal(&history(vec![
        list(2..3, 1, &[("a", 1, "x")]),
        list(11..12, 1, &[("a", 1, "x")]),
        list(13..14, 2, &[("a", 2, "y")]),
        list(13..14, 3, &[("a", 2, "y"), ("b", 3, "z")]),
        list(30..31, 9, &[("a", 2, "y"), ("b", 3, "z")]),
    ]));
}

#[track_caller]
fn check(lists: Vec<List>, laws: &[Law]) {
    assert_eq!(broken(&history(lists)), laws);
}

#[test]
fn stale_list() {
    let stale = list(30..31, 1, &[("a", 1, "x")]);
    check(vec![stale], &[Law::Linearizable, Law::VersionsFollowTime]);
}

#[test]
fn split_list() {
    // Shows the new state of `b`, and the old one of `a`.
    let split = list(11..12, 3, &[("a", 1, "x"), ("b", 3, "z")]);
    check(vec![split], &[Law::ListIsOneState]);
}

#[test]
fn lists_that_disagree_on_the_order() {
    let one = list(11..12, 2, &[("a", 2, "y")]);
    let other = list(11..12, 2, &[("a", 1, "x"), ("b", 3, "z")]);
    check(vec![one, other], &[Law::ListIsOneState]);
}

#[test]
fn list_from_the_future() {
    let future = list(11..12, 2, &[("a", 2, "y"), ("b", 3, "z")]);
    check(vec![future], &[Law::ListIsOneState]);
}

#[test]
fn versions_of_lists_that_go_back() {
    let lists = vec![
        list(2..3, 5, &[("a", 1, "x")]),
        list(4..5, 4, &[("a", 1, "x")]),
    ];
    // The writes of versions 2 and 3 are invoked after version 5 was observed.
    assert_eq!(
        broken(&history(lists)),
        [Law::VersionsFollowTime, Law::ListIsOneState]
    );
}

#[test]
fn missing_object() {
    let missing = list(30..31, 3, &[("a", 2, "y")]);
    check(vec![missing], &[Law::Linearizable, Law::ListIsOneState]);
}

#[test]
fn page_of_another_version() {
    let mut paged = list(13..14, 2, &[("a", 2, "y")]);
    paged.pages.push(Page {
        version: 3,
        items: objects(&[("b", 3, "z")]),
    });
    check(vec![paged], &[Law::ListIsOneState]);
}

#[test]
fn object_on_two_pages() {
    let mut paged = list(13..14, 2, &[("a", 2, "y")]);
    paged.pages.push(paged.pages[0].clone());
    check(vec![paged], &[Law::ListIsOneState]);
}

#[test]
fn object_that_comes_back_in_a_later_list() {
    let mut history = history(vec![
        list(40..60, 4, &[("b", 3, "z")]),
        list(40..60, 5, &[("a", 2, "y"), ("b", 3, "z")]),
    ]);
    history.calls.push(call(40..60, DELETE, Outcome::Unknown));
    assert_eq!(broken(&history), [Law::ListIsOneState]);
}

#[test]
fn deleted_object_in_a_list() {
    let mut history = history(vec![list(50..51, 9, &[("a", 2, "y"), ("b", 3, "z")])]);
    history
        .calls
        .push(call(40..41, DELETE, Outcome::Deleted(Some(4))));
    assert_eq!(broken(&history), [Law::Linearizable, Law::ListIsOneState]);
    history.calls.last_mut().unwrap().outcome = GONE;
    assert_eq!(broken(&history), [Law::Linearizable]);
}
