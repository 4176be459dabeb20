//! The least part of an illegal history of one object that is illegal still.
//!
//! What is forgotten only makes more orders legal: a read that is left out, and a write whose answer is taken as
//! unknown. So what remains contradicts itself, whatever the calls did whose answers were forgotten.

use std::collections::HashSet;

use crate::change_log::ChangeLog;
use crate::history::{Call, Outcome};
use crate::object::{Knowledge, operations};
use crate::search::{Verdict, search};
use crate::time::Time;

/// Steps of one search: a part that is not decided soon is kept.
const BOUND: usize = 100_000;

/// What calls are compared with.
type Test<'a> = (&'a ChangeLog<'a>, Knowledge);

/// Calls of an illegal history that have no legal order by themselves, in the order of their invocations.
pub(crate) fn minimal(calls: &[Call], log: &ChangeLog<'_>) -> Vec<Call> {
    // What the calls show by themselves is enough in most cases, and then it is all that a reader needs.
    let test = match is_illegal(calls, (log, Knowledge::Calls)) {
        true => (log, Knowledge::Calls),
        false => (log, Knowledge::All),
    };
    let mut kept = shortest_prefix(calls, test);
    let mut size = kept.len().div_ceil(2).max(1);
    loop {
        // From the end, where an illegal answer most often is: it stays, and what has nothing to do with it goes.
        let mut end = kept.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            let mut fewer = kept.clone();
            let part: Vec<Call> = fewer.drain(start..end).filter_map(forget).collect();
            let changed = part != kept[start..end];
            fewer.splice(start..start, part);
            if changed && is_illegal(&fewer, test) {
                kept = fewer;
            }
            end = start;
        }
        if size == 1 {
            break;
        }
        size = size.div_ceil(2);
    }
    shown(kept, calls)
}

/// The calls up to the first return that makes them illegal.
fn shortest_prefix(calls: &[Call], test: Test<'_>) -> Vec<Call> {
    let mut ends: Vec<Time> = calls.iter().map(|call| call.returned).collect();
    ends.sort_unstable();
    let first = ends.partition_point(|end| !is_illegal(&until(calls, *end), test));
    let end = ends.get(first).or(ends.last()).copied().unwrap_or_default();
    until(calls, end)
}

/// What was known at this time.
fn until(calls: &[Call], end: Time) -> Vec<Call> {
    let begun = calls.iter().filter(|call| call.invoked <= end);
    let mut known: Vec<Call> = begun
        .filter_map(|call| match call.returned <= end {
            true => Some(call.clone()),
            false => forget(call.clone()),
        })
        .collect();
    known.sort_by_key(|call| call.invoked);
    known
}

/// The call without its answer, if it could have had an effect.
fn forget(call: Call) -> Option<Call> {
    match call.outcome {
        Outcome::State(_) | Outcome::Deleted(_) | Outcome::Unknown if writes(&call) => Some(Call {
            outcome: Outcome::Unknown,
            ..call
        }),
        _ => None,
    }
}

fn writes(call: &Call) -> bool {
    call.written().is_some() || matches!(call.action, crate::history::Action::Delete { .. })
}

fn is_illegal(calls: &[Call], (log, knowledge): Test<'_>) -> bool {
    search(&operations(calls, log, knowledge), BOUND) == Verdict::Illegal
}

/// Those that matter, with their answers: of the calls whose answers were forgotten, the writes of values that others
/// show.
fn shown(kept: Vec<Call>, calls: &[Call]) -> Vec<Call> {
    let values: HashSet<&str> = kept
        .iter()
        .filter_map(|call| match &call.outcome {
            Outcome::State(state) => Some(state.value.as_str()),
            _ => None,
        })
        .collect();
    let matters = |call: &&Call| {
        call.outcome != Outcome::Unknown
            || call.written().is_some_and(|value| values.contains(value))
    };
    let whole = |call: &Call| {
        let same = |other: &&Call| {
            (other.client, other.invoked, &other.action)
                == (call.client, call.invoked, &call.action)
        };
        calls.iter().find(same).unwrap_or(call).clone()
    };
    kept.iter().filter(matters).map(whole).collect()
}
