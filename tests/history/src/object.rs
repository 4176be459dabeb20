//! The calls of one object, and their conversion to operations of the search.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::change_log::ChangeLog;
use crate::history::{Action, Call, History, List, Outcome, State};
use crate::register::{Content, Effect, Value};
use crate::search::Operation;
use crate::time::Time;

/// An object and its calls, including a read for each list that may show it.
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) calls: Vec<Call>,
}

/// Returns all objects that a call has written to. A create whose name is not observed belongs to
/// an object that no client saw.
pub(crate) fn all(history: &History, log: &ChangeLog<'_>) -> Vec<Object> {
    let mut calls: BTreeMap<&str, Vec<Call>> = BTreeMap::new();
    for call in &history.calls {
        let found = || log.name_of(call.written()?);
        if let Some(name) = call.name.as_deref().or_else(found) {
            calls.entry(name).or_default().push(call.clone());
        }
    }
    let object = |(name, mut calls): (&str, Vec<Call>)| {
        let began = calls.iter().map(|call| call.invoked).min();
        // Before the first call an object is absent, and lists that agree need no search.
        let lists = history.lists.iter().filter(|list| {
            list.get(name).is_some() || began.is_some_and(|began| list.returned >= began)
        });
        calls.extend(lists.map(|list| read_by(list, name)));
        Object {
            name: name.to_owned(),
            calls,
        }
    };
    calls.into_iter().map(object).collect()
}

/// The facts about a write in addition to its own answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// Everything that any answer or event shows.
    All,
    /// Only what the answers of the same calls show.
    Calls,
}

/// Converts the calls of one object to operations. A write of unknown outcome must have happened
/// before its value was first observed. If its value is not observed, it may have happened, unless
/// the log knows all writes.
pub(crate) fn operations(
    calls: &[Call],
    log: &ChangeLog<'_>,
    knowledge: Knowledge,
) -> Vec<Operation> {
    let shown = Shown::by(calls);
    let mut numbers = HashMap::new();
    let mut operations = Vec::with_capacity(calls.len());
    for call in calls {
        let mut version = call.written().and_then(|value| log.version_of(value));
        let mut returned = Some(call.returned);
        if call.outcome == Outcome::Unknown {
            let all = knowledge == Knowledge::All;
            if all && log.is_complete() && call.written().is_some() && version.is_none() {
                continue;
            }
            let value = call.written().unwrap_or_default();
            returned = match knowledge {
                Knowledge::All => log.seen(value),
                Knowledge::Calls => shown.values.get(value).copied(),
            };
            let expected = |version: &u64| shown.expected.contains(version);
            version = version.filter(|version| all || returned.is_some() || expected(version));
        }
        operations.push(Operation {
            invoked: call.invoked,
            returned,
            effect: effect(call, version, &mut numbers),
        });
    }
    operations
}

/// The facts that calls show about other writes.
struct Shown<'a> {
    /// Values, with the first return of a call that shows it.
    values: HashMap<&'a str, Time>,
    /// Versions that a call expects.
    expected: HashSet<u64>,
}

impl<'a> Shown<'a> {
    fn by(calls: &'a [Call]) -> Self {
        let mut shown = Self {
            values: HashMap::new(),
            expected: HashSet::new(),
        };
        for call in calls {
            if let Outcome::State(state) = &call.outcome {
                let first = shown.values.entry(&state.value).or_insert(call.returned);
                *first = call.returned.min(*first);
            }
            if let Action::Update { expected, .. } | Action::Delete { expected } = &call.action {
                shown.expected.extend(expected);
            }
        }
        shown
    }
}

fn read_by(list: &List, name: &str) -> Call {
    Call {
        client: list.client,
        invoked: list.invoked,
        returned: list.returned,
        name: Some(name.to_owned()),
        action: Action::Listed(list.version()),
        outcome: match list.get(name) {
            Some(state) => Outcome::State(state.clone()),
            None => Outcome::NotFound,
        },
    }
}

fn effect<'a>(
    call: &'a Call,
    version: Option<u64>,
    numbers: &mut HashMap<&'a str, Value>,
) -> Effect {
    let mut number = |value: &'a str| {
        let next = numbers.len().try_into().unwrap_or(Value::MAX);
        *numbers.entry(value).or_insert(next)
    };
    let mut content = |state: &'a State| Content {
        value: Some(number(&state.value)),
        version: Some(state.version),
    };
    match (&call.action, &call.outcome) {
        (Action::Create(_), Outcome::State(state)) => Effect::Create(content(state)),
        (Action::Create(_), Outcome::AlreadyExists) => Effect::Exists,
        (Action::Create(value), Outcome::Unknown) => Effect::Create(Content {
            value: version.map(|_| number(value)),
            version,
        }),
        (Action::Update { expected, .. }, Outcome::State(state)) => Effect::Update {
            to: content(state),
            expected: *expected,
        },
        (Action::Update { value, expected }, Outcome::Unknown) => Effect::Update {
            to: Content {
                value: version.map(|_| number(value)),
                version,
            },
            expected: *expected,
        },
        (Action::Delete { expected }, Outcome::Deleted(version)) => Effect::Delete {
            expected: *expected,
            version: *version,
        },
        (Action::Delete { expected }, Outcome::Unknown) => Effect::Delete {
            expected: *expected,
            version: None,
        },
        (Action::Update { expected, .. } | Action::Delete { expected }, Outcome::Conflict) => {
            Effect::Conflicts(*expected)
        }
        (Action::Get | Action::Listed(_), Outcome::State(state)) => {
            Effect::Read(Some(content(state)))
        }
        (
            Action::Get | Action::Listed(_) | Action::Update { .. } | Action::Delete { .. },
            Outcome::NotFound,
        ) => Effect::Read(None),
        _ => Effect::Impossible,
    }
}
