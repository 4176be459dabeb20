//! Illegal histories of one object.

use history::Action::Get;
use history::{Law, Outcome, check};

use crate::build::{DELETE, GONE, call, check_calls, create, of, of_calls, ok, update, update_at};

const NOT_LINEARIZABLE: &[Law] = &[Law::Linearizable];

#[test]
fn stale_read() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        call(2..3, update("y"), ok(2, "y")),
        call(4..5, Get, ok(1, "x")),
    ];
    check_calls(calls, NOT_LINEARIZABLE);
}

#[test]
fn reads_that_go_back() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        call(2..20, update("y"), ok(2, "y")),
        call(4..5, Get, ok(2, "y")),
        call(6..7, Get, ok(1, "x")),
    ];
    check_calls(calls, NOT_LINEARIZABLE);
}

#[test]
fn lost_update() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        call(2..5, update_at(1, "y"), ok(2, "y")),
        call(3..6, update_at(1, "z"), ok(3, "z")),
    ];
    check_calls(calls, NOT_LINEARIZABLE);
}

#[test]
fn acknowledged_write_that_is_lost() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        call(2..3, Get, Outcome::NotFound),
    ];
    check_calls(calls, NOT_LINEARIZABLE);
}

#[test]
fn resurrected_delete() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        call(2..3, DELETE, GONE),
        call(4..5, Get, ok(1, "x")),
    ];
    check_calls(calls, NOT_LINEARIZABLE);
}

#[test]
fn double_delete() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        call(2..5, DELETE, GONE),
        call(3..6, DELETE, GONE),
    ];
    check_calls(calls, NOT_LINEARIZABLE);
}

#[test]
fn double_create() {
    let calls = vec![
        call(0..5, create("x"), ok(1, "x")),
        call(1..6, create("y"), ok(2, "y")),
    ];
    check_calls(calls, NOT_LINEARIZABLE);
}

#[test]
fn refusals_without_a_reason() {
    for calls in [
        vec![call(0..1, create("x"), Outcome::AlreadyExists)],
        vec![
            call(0..1, create("x"), ok(1, "x")),
            call(2..3, update_at(1, "y"), Outcome::Conflict),
        ],
        vec![
            call(0..1, create("x"), ok(1, "x")),
            call(2..3, update("y"), Outcome::NotFound),
        ],
        vec![
            call(0..1, create("x"), ok(1, "x")),
            call(2..3, Get, Outcome::Conflict),
        ],
    ] {
        check_calls(calls, NOT_LINEARIZABLE);
    }
}

#[test]
fn effect_before_its_call() {
    let calls = vec![
        call(0..1, Get, ok(1, "x")),
        call(2..3, create("x"), ok(1, "x")),
    ];
    check_calls(
        calls,
        &[
            Law::Linearizable,
            Law::NothingInvented,
            Law::VersionsFollowTime,
        ],
    );
}

#[test]
fn phantom() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        call(2..3, Get, ok(2, "never sent")),
    ];
    check_calls(calls, &[Law::Linearizable, Law::NothingInvented]);
}

#[test]
fn refused_write_that_is_seen() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        call(2..3, update("y"), ok(2, "y")),
        call(4..5, update_at(1, "z"), Outcome::Conflict),
        call(6..7, Get, ok(3, "z")),
    ];
    check_calls(calls, &[Law::Linearizable, Law::NothingInvented]);
}

#[test]
fn value_of_another_object() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        of("b", call(2..3, create("y"), ok(2, "y"))),
        of("b", call(4..5, Get, ok(1, "x"))),
    ];
    check_calls(calls, &[Law::Linearizable, Law::OneWritePerVersion]);
}

#[test]
fn answer_with_another_value() {
    let calls = vec![call(0..1, create("x"), ok(1, "y"))];
    check_calls(calls, &[Law::NothingInvented]);
}

#[test]
fn version_given_twice() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        of("b", call(0..1, create("y"), ok(1, "y"))),
    ];
    check_calls(calls, &[Law::OneWritePerVersion]);
}

#[test]
fn version_that_goes_back_in_time() {
    let calls = vec![
        call(0..1, create("x"), ok(7, "x")),
        of("b", call(2..3, create("y"), ok(3, "y"))),
    ];
    check_calls(calls, &[Law::VersionsFollowTime]);
}

#[test]
fn order_against_versions() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        call(2..10, update("y"), ok(5, "y")),
        call(2..10, update("z"), ok(3, "z")),
        call(4..5, Get, ok(5, "y")),
        call(6..7, Get, ok(3, "z")),
    ];
    check_calls(calls, NOT_LINEARIZABLE);
}

#[test]
fn what_is_shown_is_the_contradiction_alone() {
    let mut calls = vec![call(0..1, create("x"), ok(1, "x"))];
    for number in 2..40 {
        let time = number * 10;
        let value = format!("v{number}");
        calls.push(call(time..time + 3, update(&value), ok(number, &value)));
        calls.push(call(time + 4..time + 5, Get, ok(number, &value)));
    }
    calls.push(call(500..501, Get, ok(20, "v20")));
    let [fault] = &check(&of_calls(calls))[..] else {
        panic!("one fault is expected");
    };
    let times = "   0.000000 s to    0.000000 s  client  0  ";
    let shown = format!(
        "\"a\": these of its 78 calls have no legal order, whatever the others did:\n  \
         {times}get -> \"v39\" at version 39\n  \
         {times}get -> \"v20\" at version 20"
    );
    assert_eq!(fault.detail, shown);
}
