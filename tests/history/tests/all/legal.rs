//! Histories that look unusual and are legal.

use history::{Call, History, Law, Outcome};

use crate::build::{
    DELETE, GONE, broken, call, check_calls, check_legal, create, list, of, of_calls, ok, update,
    update_at,
};
use history::Action::Get;

#[test]
fn a_read_may_see_either_side_of_a_concurrent_write() {
    let writes = [
        call(0..1, create("x"), ok(1, "x")),
        call(10..20, update("y"), ok(2, "y")),
    ];
    for seen in [ok(1, "x"), ok(2, "y")] {
        let mut calls = writes.to_vec();
        calls.push(call(12..13, Get, seen));
        check_calls(calls, &[]);
    }
}

#[test]
fn an_unknown_write_may_have_its_effect_late_or_never() {
    let calls = [
        call(0..1, create("x"), ok(1, "x")),
        call(2..3, update("y"), Outcome::Unknown),
        call(4..5, Get, ok(1, "x")),
    ];
    check_calls(calls.to_vec(), &[]);
    let mut late = calls.to_vec();
    late.push(call(6..7, Get, ok(2, "y")));
    check_calls(late, &[]);
}

#[test]
fn an_unknown_delete_explains_that_an_object_is_gone() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        call(2..3, DELETE, Outcome::Unknown),
        call(4..5, Get, ok(1, "x")),
        call(6..7, Get, Outcome::NotFound),
        call(8..9, create("y"), ok(5, "y")),
    ];
    check_calls(calls, &[]);
}

#[test]
fn an_unknown_write_that_nobody_saw_explains_a_conflict() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        call(2..3, update("y"), Outcome::Unknown),
        call(4..5, update_at(1, "z"), Outcome::Conflict),
        call(6..7, update("w"), ok(4, "w")),
    ];
    check_calls(calls, &[]);
}

#[test]
fn a_server_may_give_up_an_update_without_a_version() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        call(2..3, update("y"), Outcome::Conflict),
        call(4..5, Get, ok(1, "x")),
    ];
    check_calls(calls, &[]);
}

#[test]
fn names_are_used_again() {
    let calls = vec![
        call(0..1, create("x"), ok(1, "x")),
        call(2..3, create("y"), Outcome::AlreadyExists),
        call(4..5, DELETE, GONE),
        call(6..7, DELETE, Outcome::NotFound),
        call(8..9, create("z"), ok(3, "z")),
        call(10..11, update_at(1, "w"), Outcome::Conflict),
    ];
    check_calls(calls, &[]);
}

#[test]
fn a_create_without_an_answer_is_found_by_its_value() {
    let unnamed = Call {
        name: None,
        ..call(0..1, create("x"), Outcome::Unknown)
    };
    let history = History {
        calls: vec![unnamed, of("b", call(4..5, Get, ok(1, "x")))],
        lists: vec![list(2..3, 1, &[("b", 1, "x")])],
        ..History::default()
    };
    check_legal(&history);
}

#[test]
fn a_server_may_withdraw_what_it_did_not_acknowledge() {
    let withdrawn = |outcome| History {
        calls: vec![
            call(0..1, create("x"), outcome),
            call(2..3, Get, ok(1, "x")),
            call(4..5, Get, Outcome::NotFound),
        ],
        withdraws: true,
        ..History::default()
    };
    check_legal(&withdrawn(Outcome::Unknown));
    assert_eq!(broken(&withdrawn(ok(1, "x"))), [Law::Linearizable]);
    let kept = History {
        withdraws: false,
        ..withdrawn(Outcome::Unknown)
    };
    assert_eq!(broken(&kept), [Law::Linearizable]);
}

#[test]
fn hundreds_of_unknown_writes_are_decided() {
    let mut calls = vec![call(0..1, create("x"), ok(1, "x"))];
    for number in 0..300 {
        let time = 2 + number..3 + number;
        calls.push(call(
            time.clone(),
            update(&format!("u{number}")),
            Outcome::Unknown,
        ));
        calls.push(call(time, DELETE, Outcome::Unknown));
    }
    for number in 0..300 {
        calls.push(call(400 + number..401 + number, Get, ok(1, "x")));
    }
    check_legal(&of_calls(calls.clone()));
    calls.push(call(800..801, Get, Outcome::NotFound));
    calls.push(call(802..803, Get, ok(1, "x")));
    check_calls(calls, &[history::Law::Linearizable]);
}
