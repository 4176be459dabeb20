//! Checks of lists: each is the state of all objects at its version, so any two agree on the order
//! of what they show.

use std::collections::{BTreeMap, HashSet};

use crate::change_log::{Change, ChangeLog};
use crate::fault::{Fault, Law};
use crate::history::{Action, History, List, Outcome};

pub(crate) fn faults(history: &History, log: &ChangeLog<'_>) -> Vec<Fault> {
    let mut faults: Vec<Fault> = history.lists.iter().flat_map(of_itself).collect();
    let mut lists: Vec<&List> = history.lists.iter().collect();
    lists.sort_by_key(|list| list.version());
    for pair in lists.windows(2) {
        faults.extend(disagreements(pair[0], pair[1]));
    }
    let vanishing = vanishing(history);
    let mut state: BTreeMap<&str, (u64, Change<'_>)> = BTreeMap::new();
    let mut reached = 0;
    for list in lists {
        for (version, change) in log.range(reached + 1..=list.version()) {
            state.insert(change.name, (version, change));
        }
        reached = list.version();
        let known = reached <= log.complete_to();
        let may_lack = |name: &str| !known && vanishing.contains(name);
        faults.extend(differences(list, &state, may_lack));
    }
    faults
}

/// Returns the objects with a deletion whose version is not known.
fn vanishing(history: &History) -> HashSet<&str> {
    let vanishing = history.calls.iter().filter(|call| {
        matches!(call.action, Action::Delete { .. })
            && matches!(call.outcome, Outcome::Deleted(None) | Outcome::Unknown)
    });
    vanishing.filter_map(|call| call.name.as_deref()).collect()
}

fn of_itself(list: &List) -> Vec<Fault> {
    let mut faults = Vec::new();
    let version = list.version();
    if list.pages.iter().any(|page| page.version != version) {
        let versions: Vec<u64> = list.pages.iter().map(|page| page.version).collect();
        faults.push(fault(
            list,
            &format!("its pages are of versions {versions:?}"),
        ));
    }
    let mut names = HashSet::new();
    for (name, state) in list.items() {
        if !names.insert(name) {
            faults.push(fault(list, &format!("{name:?} is on two pages")));
        }
        if state.version > version {
            faults.push(fault(list, &format!("{name:?} has {state}")));
        }
    }
    faults
}

/// Returns the objects that the later list shows with a version up to that of the earlier list, but
/// that the earlier one does not show.
fn disagreements(earlier: &List, later: &List) -> Vec<Fault> {
    let before = earlier.version();
    let old = later.items().filter(|(_, state)| state.version <= before);
    let missing = old.filter(|(name, state)| earlier.get(name) != Some(*state));
    missing
        .map(|(name, state)| {
            let found = shown(earlier, name);
            fault(
                later,
                &format!("{name:?} has {state}, and in the list at version {before} {found}"),
            )
        })
        .collect()
}

/// Returns the differences between a list and the state at its version.
fn differences(
    list: &List,
    state: &BTreeMap<&str, (u64, Change<'_>)>,
    may_lack: impl Fn(&str) -> bool,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, (version, change)) in state {
        let found = list.get(name);
        let agrees = match (found, change.value) {
            (Some(found), Some(value)) => found.version == *version && found.value == value,
            (None, Some(_)) => may_lack(name),
            (Some(_), None) => false,
            (None, None) => true,
        };
        if !agrees {
            let found = shown(list, name);
            faults.push(fault(
                list,
                &format!("after {change} at version {version}, {name:?} {found}"),
            ));
        }
    }
    faults
}

fn shown(list: &List, name: &str) -> String {
    match list.get(name) {
        Some(state) => format!("has {state}"),
        None => "is absent".to_owned(),
    }
}

fn fault(list: &List, detail: &str) -> Fault {
    let (version, client) = (list.version(), list.client);
    let detail = format!("list of client {client} at version {version}: {detail}");
    Fault::new(Law::ListIsOneState, detail)
}
