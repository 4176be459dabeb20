//! The rules for when changes are due, which depend only on the state.

use std::sync::Arc;

use certificates::{Authority, Certificate, Error, Names, Validity};
use jiff::{SignedDuration, Timestamp};

use super::state::{Previous, State};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Lifetime of a CA. It is limited, so that replacing a CA is routine.
const CA_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);

/// Remaining lifetime of a CA at which the next one is announced.
const CA_ANNOUNCED: SignedDuration = SignedDuration::from_hours(24 * 180);

/// Time between the announcement of a CA and its first use. The host needs only minutes, but the
/// bundle is also written to kubeconfig files for the gateway. Files that are younger than this
/// keep working.
const CA_OVERLAP: SignedDuration = SignedDuration::from_hours(24 * 90);

/// Lifetime of the serving certificate. It is short, since a replica without access to the Secret
/// serves its certificate until it expires.
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Remaining lifetime of the serving certificate at which a new one is signed. It leaves ten days
/// to notice problems.
const LEAF_RENEWAL: SignedDuration = SignedDuration::from_hours(24 * 10);

/// The common name of the serving certificate. Clients check the alternative names instead.
const LEAF_NAME: &str = "serving";

/// Creates the state for the first start.
pub(super) fn beginning(names: &Names, now: Timestamp) -> Result<State, String> {
    let made = authority(now).and_then(|ca| signed(ca, names, now));
    made.map_err(unmade)
}

/// Returns the next state, if a change is due.
pub(super) fn due(
    state: &State,
    names: &Names,
    next_is_trusted: bool,
    now: Timestamp,
) -> Result<Option<State>, String> {
    let mut new = state.clone();
    let mut changed = false;
    while let Some(step) = step(&new, names, next_is_trusted && !changed, now).map_err(unmade)? {
        new = step;
        changed = true;
    }
    Ok(changed.then_some(new))
}

/// Returns the state after one step, if one is due. No step is due twice in a row.
fn step(
    state: &State,
    names: &Names,
    next_is_trusted: bool,
    now: Timestamp,
) -> Result<Option<State>, Error> {
    let ca = state.ca.certificate().validity;
    if ca.left(now) <= SignedDuration::ZERO {
        return expired(state, names, now).map(Some);
    }
    match &state.next {
        None if ca.left(now) < CA_ANNOUNCED => {
            let next = Some(authority(now)?);
            return Ok(Some(State {
                next,
                ..state.clone()
            }));
        }
        Some(next) if next_is_trusted && next.certificate().validity.age(now) >= CA_OVERLAP => {
            return switched(state, next, names, now).map(Some);
        }
        _ => {}
    }
    if state.leaf.validity.left(now) < LEAF_RENEWAL {
        return renewed(state, names, now).map(Some);
    }
    if !state.leaf.names.contain(names) {
        // Replicas of two versions may need different names: include those of both.
        let all = names.clone().with(&state.leaf.names);
        return renewed(state, &all, now).map(Some);
    }
    if state
        .previous
        .as_ref()
        .is_some_and(|previous| is_over(previous, now))
    {
        return Ok(Some(State {
            previous: None,
            ..state.clone()
        }));
    }
    Ok(None)
}

/// Replaces an expired CA. No client trusts it any more, so no transition is needed.
fn expired(state: &State, names: &Names, now: Timestamp) -> Result<State, Error> {
    match &state.next {
        Some(next) if next.certificate().validity.left(now) > DAY => {
            signed(Arc::clone(next), names, now)
        }
        _ => signed(authority(now)?, names, now),
    }
}

fn switched(
    state: &State,
    next: &Arc<Authority>,
    names: &Names,
    now: Timestamp,
) -> Result<State, Error> {
    Ok(State {
        previous: Some(Previous {
            ca: state.ca.certificate_pem().to_owned(),
            leaf: state.pair.certificate.clone(),
        }),
        ..signed(Arc::clone(next), names, now)?
    })
}

fn renewed(state: &State, names: &Names, now: Timestamp) -> Result<State, Error> {
    let State { pair, leaf, .. } = signed(Arc::clone(&state.ca), names, now)?;
    Ok(State {
        pair,
        leaf,
        ..state.clone()
    })
}

fn signed(ca: Arc<Authority>, names: &Names, now: Timestamp) -> Result<State, Error> {
    let pair = ca.serving(LEAF_NAME, names, Validity::starting(now, LEAF_LIFE))?;
    let leaf = pair.read()?;
    Ok(State {
        ca,
        next: None,
        previous: None,
        pair,
        leaf,
    })
}

/// Creates a CA. Each has a unique name, for clients that select CAs by name.
fn authority(now: Timestamp) -> Result<Arc<Authority>, Error> {
    let name = format!("serving-ca@{}", now.as_second());
    Authority::create(&name, Validity::starting(now, CA_LIFE)).map(Arc::new)
}

/// Returns whether the last certificate of a previous CA has expired. The certificate was validated
/// when the Secret was read.
fn is_over(previous: &Previous, now: Timestamp) -> bool {
    Certificate::from_pem(previous.leaf.as_bytes())
        .is_ok_and(|leaf| leaf.validity.left(now) <= SignedDuration::ZERO)
}

fn unmade(error: Error) -> String {
    format!("a serving certificate cannot be created: {error}")
}

#[cfg(test)]
mod tests;
