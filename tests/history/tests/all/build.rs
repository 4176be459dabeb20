//! Helpers to build histories by hand. The object is `a` and the client 0 unless a test specifies
//! otherwise.

use std::collections::BTreeMap;
use std::ops::Range;

use history::{
    Action, Call, Delivery, EventKind, History, Law, List, Outcome, Page, State, Time, Watch, check,
};

/// Returns a call between two times.
pub(crate) fn call(time: Range<u64>, action: Action, outcome: Outcome) -> Call {
    Call {
        client: 0,
        invoked: Time(time.start),
        returned: Time(time.end),
        name: Some("a".to_owned()),
        action,
        outcome,
    }
}

/// Returns the same call on another object.
pub(crate) fn of(name: &str, call: Call) -> Call {
    Call {
        name: Some(name.to_owned()),
        ..call
    }
}

pub(crate) fn create(value: &str) -> Action {
    Action::Create(value.to_owned())
}

pub(crate) fn update(value: &str) -> Action {
    Action::Update {
        value: value.to_owned(),
        expected: None,
    }
}

pub(crate) fn update_at(expected: u64, value: &str) -> Action {
    Action::Update {
        value: value.to_owned(),
        expected: Some(expected),
    }
}

pub(crate) const DELETE: Action = Action::Delete { expected: None };

pub(crate) fn state(version: u64, value: &str) -> State {
    State {
        version,
        value: value.to_owned(),
    }
}

pub(crate) fn ok(version: u64, value: &str) -> Outcome {
    Outcome::State(state(version, value))
}

pub(crate) const GONE: Outcome = Outcome::Deleted(None);

/// Returns the objects `(name, version, value)`.
pub(crate) fn objects(items: &[(&str, u64, &str)]) -> BTreeMap<String, State> {
    let items = items.iter();
    items
        .map(|(name, version, value)| ((*name).to_owned(), state(*version, value)))
        .collect()
}

pub(crate) fn list(time: Range<u64>, version: u64, items: &[(&str, u64, &str)]) -> List {
    List {
        client: 0,
        invoked: Time(time.start),
        returned: Time(time.end),
        pages: vec![Page {
            version,
            items: objects(items),
        }],
    }
}

pub(crate) fn event(at: u64, kind: EventKind, version: u64, value: &str) -> Delivery {
    Delivery::Event {
        at: Time(at),
        kind,
        name: "a".to_owned(),
        state: state(version, value),
    }
}

pub(crate) fn bookmark(at: u64, version: u64) -> Delivery {
    Delivery::Bookmark {
        at: Time(at),
        version,
    }
}

/// Returns a watch from before the first write.
pub(crate) fn watch(deliveries: Vec<Delivery>) -> Watch {
    Watch {
        client: 0,
        from: 0,
        initial: BTreeMap::new(),
        deliveries,
    }
}

pub(crate) fn of_calls(calls: Vec<Call>) -> History {
    History {
        calls,
        ..History::default()
    }
}

/// Returns the laws that a history breaks, each once.
pub(crate) fn broken(history: &History) -> Vec<Law> {
    let mut laws: Vec<Law> = check(history).iter().map(|fault| fault.law).collect();
    laws.sort_unstable();
    laws.dedup();
    laws
}

#[track_caller]
pub(crate) fn check_legal(history: &History) {
    assert_eq!(check(history), []);
}

#[track_caller]
pub(crate) fn check_calls(calls: Vec<Call>, laws: &[Law]) {
    assert_eq!(broken(&of_calls(calls)), laws);
}
