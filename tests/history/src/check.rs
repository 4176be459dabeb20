//! The list of all checks.

use crate::change_log::ChangeLog;
use crate::fault::{Fault, Law};
use crate::history::{Action, Call, History, Outcome};
use crate::minimal::minimal;
use crate::object::{self, Knowledge, Object, operations};
use crate::register::Register;
use crate::search::{Verdict, search};
use crate::{lists, versions, watches};

/// Maximum number of steps of one search. A legal history of `n` operations takes a small multiple
/// of `n`.
const BOUND: usize = 3_000_000;

/// Returns every fault of a history; empty for a history that a linearizable store can produce.
pub fn check(history: &History) -> Vec<Fault> {
    let whole = with_withdrawals(history);
    let history = &whole;
    let (log, mut faults) = ChangeLog::of(history);
    faults.extend(log.invented(history));
    faults.extend(versions::faults(history, &log));
    faults.extend(lists::faults(history, &log));
    faults.extend(watches::faults(history, &log));
    for object in object::all(history, &log) {
        faults.extend(not_linearizable(&object, &log));
    }
    faults
}

/// Returns the history with additional calls of unknown outcome for the deletions that the server
/// may have made by itself.
fn with_withdrawals(history: &History) -> History {
    let mut whole = history.clone();
    let (log, _) = ChangeLog::of(history);
    let creates = history.calls.iter().filter(|call| {
        matches!(call.action, Action::Create(_)) && call.outcome == Outcome::Unknown
    });
    for create in creates.filter(|_| history.withdraws) {
        let value = create.written().unwrap_or_default();
        if let (Some(name), expected @ Some(_)) = (log.name_of(value), log.version_of(value)) {
            whole.calls.push(Call {
                name: Some(name.to_owned()),
                action: Action::Delete { expected },
                ..create.clone()
            });
        }
    }
    whole
}

fn not_linearizable(object: &Object, log: &ChangeLog<'_>) -> Option<Fault> {
    let name = &object.name;
    let count = object.calls.len();
    let operations = operations(&object.calls, log, Knowledge::All);
    match search(Register::default(), &operations, BOUND) {
        Verdict::Legal => None,
        Verdict::Unknown => Some(Fault::new(
            Law::Decidable,
            format!("{name:?}: no order of its {count} calls was found within the bound"),
        )),
        Verdict::Illegal => {
            let shown = minimal(&object.calls, log);
            let mut detail = format!(
                "{name:?}: these of its {count} calls have no legal order, whatever the others did:"
            );
            for call in &shown {
                detail.push_str(&format!("\n  {call}"));
            }
            Some(Fault::new(Law::Linearizable, detail))
        }
    }
}

/// Returns whether the answer of a call shows the value that the call wrote.
pub(crate) fn answers_for_itself(call: &Call) -> bool {
    match (&call.outcome, call.written()) {
        (Outcome::State(state), Some(written)) => state.value == written,
        _ => true,
    }
}
