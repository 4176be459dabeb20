//! When what is due: rules over the state alone.

use std::sync::Arc;

use certificates::{Authority, Certificate, Error, Names, Validity};
use jiff::{SignedDuration, Timestamp};

use super::state::{Previous, State};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A CA signs for months only, so that the way to replace it is one that is walked often.
const CA_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);

/// With so much left of a CA, the next one is announced.
const CA_ANNOUNCED: SignedDuration = SignedDuration::from_hours(24 * 180);

/// How long a CA is announced before it signs. The host needs minutes; but the bundle also goes into
/// kubeconfig files for the gateway, and whoever holds one that is younger than this can go on.
const CA_OVERLAP: SignedDuration = SignedDuration::from_hours(24 * 90);

/// A replica that is cut off from the Secret serves what it has until that is over: so short.
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(24 * 30);

/// With so much left of the serving certificate, a new one is signed: ten days to notice trouble.
const LEAF_RENEWAL: SignedDuration = SignedDuration::from_hours(24 * 10);

/// What the serving certificate calls its owner; clients look at the names beside it.
const LEAF_NAME: &str = "serving";

/// The state of a first start.
pub(super) fn beginning(names: &Names, now: Timestamp) -> Result<State, String> {
    let made = authority(now).and_then(|ca| signed(ca, names, now));
    made.map_err(unmade)
}

/// The state that should follow, if anything is due.
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

/// One step; each takes its own reason away.
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
        // Replicas of two versions may want different names: both get what they want.
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

/// Nobody trusts anything of a CA that is over: there is nothing to be careful about.
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

/// A name of its own for each, for clients that choose among CAs by name.
fn authority(now: Timestamp) -> Result<Arc<Authority>, Error> {
    let name = format!("serving-ca@{}", now.as_second());
    Authority::create(&name, Validity::starting(now, CA_LIFE)).map(Arc::new)
}

/// Whether nobody can serve a certificate of it any more. One that cannot be read was checked when
/// the Secret was.
fn is_over(previous: &Previous, now: Timestamp) -> bool {
    Certificate::from_pem(previous.leaf.as_bytes())
        .is_ok_and(|leaf| leaf.validity.left(now) <= SignedDuration::ZERO)
}

fn unmade(error: Error) -> String {
    format!("a serving certificate cannot be made: {error}")
}

#[cfg(test)]
mod tests;
