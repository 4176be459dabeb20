//! Reduction of an illegal history of one object to a minimal illegal part.
//!
//! A reduction only makes more orders legal: it omits a read, treats the answer of a write as
//! unknown, or omits everything before a moment without calls, after which the object may have any
//! content. So the rest contradicts itself, regardless of the effects of the calls whose answers
//! were omitted.

use std::collections::HashSet;

use crate::change_log::ChangeLog;
use crate::history::{Action, Call, Outcome};
use crate::object::{Knowledge, operations};
use crate::register::{Content, Effect, Register};
use crate::search::{Operation, Verdict, search};
use crate::time::Time;

/// Maximum number of steps of one search. A part that cannot be decided within it is kept.
const BOUND: usize = 100_000;

/// The facts that calls are compared with.
#[derive(Clone, Copy)]
struct Test<'a> {
    log: &'a ChangeLog<'a>,
    knowledge: Knowledge,
    /// True if the object may have any content at first.
    anything: bool,
}

/// Returns calls of an illegal history that have no legal order by themselves, in the order of
/// their invocations.
pub(crate) fn minimal(calls: &[Call], log: &ChangeLog<'_>) -> Vec<Call> {
    // In most cases the facts that the calls show are sufficient, and the result is then
    // self-explanatory.
    let mut test = Test {
        log,
        knowledge: Knowledge::Calls,
        anything: false,
    };
    if !test.is_illegal(calls) {
        test.knowledge = Knowledge::All;
    }
    let mut kept = shortest_prefix(calls, test);
    let anything = Test {
        anything: true,
        ..test
    };
    if let Some(suffix) = shortest_suffix(&kept, anything) {
        (kept, test) = (suffix, anything);
    }
    let mut size = kept.len().div_ceil(2).max(1);
    loop {
        // From the end, where the illegal answer is most often: it is kept, and unrelated calls are
        // removed.
        let mut end = kept.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            let mut fewer = kept.clone();
            let part: Vec<Call> = fewer.drain(start..end).filter_map(forget).collect();
            let changed = part != kept[start..end];
            fewer.splice(start..start, part);
            if changed && test.is_illegal(&fewer) {
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

/// Returns the calls up to the first return that makes them illegal.
fn shortest_prefix(calls: &[Call], test: Test<'_>) -> Vec<Call> {
    let mut ends: Vec<Time> = calls.iter().map(|call| call.returned).collect();
    ends.sort_unstable();
    let first = ends.partition_point(|end| !test.is_illegal(&until(calls, *end)));
    let end = ends.get(first).or(ends.last()).copied().unwrap_or_default();
    until(calls, end)
}

/// Returns the calls since the last moment without calls after which they are illegal, for any
/// content of the object.
fn shortest_suffix(calls: &[Call], test: Test<'_>) -> Option<Vec<Call>> {
    let mut moments = Vec::new();
    let mut returned = Time::default();
    for call in calls.iter().filter(|call| call.outcome != Outcome::Unknown) {
        if call.invoked > returned {
            moments.push(call.invoked);
        }
        returned = returned.max(call.returned);
    }
    let suffix = |moment: &Time| {
        let since = |call: &&Call| call.invoked >= *moment || call.outcome == Outcome::Unknown;
        calls.iter().filter(since).cloned().collect::<Vec<Call>>()
    };
    let mut suffixes = moments.iter().rev().map(suffix);
    suffixes.find(|suffix| test.is_illegal(suffix))
}

/// Returns the facts that were known at this time.
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

/// Returns the call without its answer, or `None` if it could not have had an effect.
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
    call.written().is_some() || matches!(call.action, Action::Delete { .. })
}

impl Test<'_> {
    fn is_illegal(&self, calls: &[Call]) -> bool {
        let operations = operations(calls, self.log, self.knowledge);
        let mut initial = vec![Register::default()];
        if self.anything {
            initial.push(Register::of(Content::default()));
            initial.extend(contents(&operations).into_iter().map(Register::of));
        }
        let illegal = |initial| search(initial, &operations, BOUND) == Verdict::Illegal;
        initial.into_iter().all(illegal)
    }
}

/// Returns the contents that operations show or expect. All other contents are equivalent.
fn contents(operations: &[Operation]) -> HashSet<Content> {
    let mut contents = HashSet::new();
    for operation in operations {
        match operation.effect {
            Effect::Create(content) | Effect::Read(Some(content)) => _ = contents.insert(content),
            Effect::Update { to, .. } => _ = contents.insert(to),
            _ => {}
        }
        if let Effect::Update { expected, .. }
        | Effect::Delete { expected, .. }
        | Effect::Conflicts(expected) = operation.effect
        {
            let version = expected;
            contents.insert(Content {
                value: None,
                version,
            });
        }
    }
    contents
}

/// Returns the relevant calls with their answers: of the calls whose answers were omitted, only the
/// writes that others show or expect.
fn shown(kept: Vec<Call>, calls: &[Call]) -> Vec<Call> {
    let mut values: HashSet<&str> = HashSet::new();
    let mut versions: HashSet<u64> = HashSet::new();
    for call in kept.iter().filter(|call| call.outcome != Outcome::Unknown) {
        if let Outcome::State(state) = &call.outcome {
            values.insert(state.value.as_str());
        }
        if let Action::Update { expected, .. } | Action::Delete { expected } = &call.action {
            versions.extend(expected);
        }
    }
    let whole = |call: &Call| {
        let same = |other: &&Call| {
            (other.client, other.invoked, &other.action)
                == (call.client, call.invoked, &call.action)
        };
        calls.iter().find(same).unwrap_or(call).clone()
    };
    let matters = |call: &Call| {
        call.outcome != Outcome::Unknown
            || call.written().is_some_and(|value| values.contains(value))
            || whole(call)
                .shown_version()
                .is_some_and(|version| versions.contains(&version))
    };
    kept.iter()
        .filter(|call| matters(call))
        .map(whole)
        .collect()
}
