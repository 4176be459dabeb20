//! Random histories of a simulated store: legal as they are, and illegal after one change.
//!
//! The simulation applies each call at one moment between its invocation and its return. Clients
//! overlap; some answers are lost after the call took effect, some before.

use std::collections::BTreeMap;

use history::{
    Action, Call, Delivery, EventKind, History, List, Outcome, Page, State, Time, Watch, check,
};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, prop_assert_ne};
use proptest::proptest;

/// The time between the effects of two calls.
const SPACING: u64 = 100;

/// A call of a random client on a random object.
#[derive(Clone, Debug)]
struct Step {
    client: usize,
    name: usize,
    action: u8,
    /// Time from the invocation to the effect, and from the effect to the return.
    before: u64,
    after: u64,
    lost: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        0..5_usize,
        0..3_usize,
        0..7_u8,
        1..400_u64,
        1..400_u64,
        0..8_u8,
    );
    let step = step.prop_map(|(client, name, action, before, after, lost)| Step {
        client,
        name,
        action,
        before,
        after,
        lost: lost == 0,
    });
    proptest::collection::vec(step, 1..120)
}

/// A sequential store, and the history of its clients.
#[derive(Default)]
struct Simulation {
    version: u64,
    objects: BTreeMap<String, State>,
    history: History,
    events: Vec<Delivery>,
    /// The time at which each client can make its next call.
    free: [u64; 5],
}

/// A change of an object.
struct Change<'a> {
    kind: EventKind,
    name: &'a str,
    at: u64,
}

fn simulate(steps: &[Step]) -> History {
    let mut simulation = Simulation::default();
    for (number, step) in steps.iter().enumerate() {
        simulation.step(u64::try_from(number).unwrap(), step);
    }
    let mut watches = Vec::new();
    for cut in [0, simulation.events.len() / 2] {
        let mut deliveries = simulation.events.clone();
        deliveries.insert(cut, Delivery::Cut);
        watches.push(Watch {
            client: 9,
            from: 0,
            initial: BTreeMap::new(),
            deliveries,
        });
    }
    History {
        watches,
        ..simulation.history
    }
}

impl Simulation {
    fn step(&mut self, number: u64, step: &Step) {
        let at = (number + 5) * SPACING;
        let invoked = (at - step.before).max(self.free[step.client]);
        if invoked >= at {
            return;
        }
        let returned = at + step.after;
        self.free[step.client] = returned + 1;
        let (invoked, returned) = (Time(invoked), Time(returned));
        if step.action == 6 {
            return self.list(step.client, invoked, returned);
        }
        let name = ["a", "b", "c"][step.name].to_owned();
        let live = self.objects.get(&name).map(|state| state.version);
        let action = action(step.action, format!("v{number}"), live);
        let mut outcome = if step.lost && number.is_multiple_of(2) {
            Outcome::Unknown
        } else {
            self.apply(&name, &action, at)
        };
        if step.lost && action != Action::Get {
            outcome = Outcome::Unknown;
        }
        if outcome == Outcome::Unknown && action == Action::Get {
            return;
        }
        self.history.calls.push(Call {
            client: step.client,
            invoked,
            returned,
            name: Some(name),
            action,
            outcome,
        });
    }

    fn list(&mut self, client: usize, invoked: Time, returned: Time) {
        self.history.lists.push(List {
            client,
            invoked,
            returned,
            pages: vec![Page {
                version: self.version,
                items: self.objects.clone(),
            }],
        });
    }

    fn apply(&mut self, name: &str, action: &Action, at: u64) -> Outcome {
        let live = self.objects.get(name).cloned();
        let change = |kind| Change { kind, name, at };
        let fits = |expected: &Option<u64>, live: &State| {
            expected.is_none_or(|expected| expected == live.version)
        };
        match (action, live) {
            (Action::Create(_), Some(_)) => Outcome::AlreadyExists,
            (Action::Create(value), None) => self.put(change(EventKind::Added), value),
            (Action::Get, Some(live)) => Outcome::State(live),
            (_, None) => Outcome::NotFound,
            (Action::Update { expected, .. } | Action::Delete { expected }, Some(live))
                if !fits(expected, &live) =>
            {
                Outcome::Conflict
            }
            (Action::Update { value, .. }, Some(_)) => self.put(change(EventKind::Modified), value),
            (Action::Delete { .. }, Some(live)) => {
                self.version += 1;
                self.objects.remove(name);
                self.event(change(EventKind::Deleted), live.value);
                Outcome::Deleted(at.is_multiple_of(3).then_some(self.version))
            }
            (Action::Listed(_), Some(_)) => panic!("lists are simulated as a whole"),
        }
    }

    fn put(&mut self, change: Change<'_>, value: &str) -> Outcome {
        self.version += 1;
        let state = State {
            version: self.version,
            value: value.to_owned(),
        };
        self.objects.insert(change.name.to_owned(), state.clone());
        self.event(change, value.to_owned());
        Outcome::State(state)
    }

    fn event(&mut self, change: Change<'_>, value: String) {
        self.events.push(Delivery::Event {
            at: Time(change.at + 1),
            kind: change.kind,
            name: change.name.to_owned(),
            state: State {
                version: self.version,
                value,
            },
        });
    }
}

fn action(number: u8, value: String, live: Option<u64>) -> Action {
    match number {
        0 => Action::Create(value),
        1 => Action::Update {
            value,
            expected: None,
        },
        2 => Action::Update {
            value,
            expected: live,
        },
        3 => Action::Update {
            value,
            expected: Some(1),
        },
        4 => Action::Delete { expected: None },
        _ => Action::Get,
    }
}

/// Changes one observation of a client. Returns `false` if the history has no observation of that
/// sort.
fn mutate(history: &mut History, sort: u8, chosen: usize) -> bool {
    let chosen_of = |count: usize| (count > 0).then(|| chosen % count);
    match sort {
        0 | 1 => {
            let states = history
                .calls
                .iter_mut()
                .filter_map(|call| match &mut call.outcome {
                    Outcome::State(state) => Some(state),
                    _ => None,
                });
            let mut states: Vec<&mut State> = states.collect();
            let Some(number) = chosen_of(states.len()) else {
                return false;
            };
            match sort {
                0 => states[number].version += 1000,
                _ => states[number].value.push('!'),
            }
        }
        2 => {
            let items = history.lists.iter_mut().flat_map(|list| &mut list.pages);
            let mut pages: Vec<&mut Page> = items.filter(|page| !page.items.is_empty()).collect();
            let Some(number) = chosen_of(pages.len()) else {
                return false;
            };
            pages[number].items.pop_first();
        }
        _ => {
            let deliveries = &mut history.watches[0].deliveries;
            let Some(number) = chosen_of(deliveries.len() - 1) else {
                return false;
            };
            // The cut is the first item.
            let event = number + 1;
            match sort {
                // A later event makes the gap detectable, and the other watch delivers the removed
                // event.
                3 if event + 1 < deliveries.len() => _ = deliveries.remove(event),
                4 => deliveries.insert(event, deliveries[event].clone()),
                5 if event + 1 < deliveries.len() => deliveries.swap(event, event + 1),
                _ => return false,
            }
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_a_linearizable_store_shows_is_legal(steps in steps()) {
        prop_assert_eq!(check(&simulate(&steps)), []);
    }

    #[test]
    fn one_changed_observation_is_found(steps in steps(), sort in 0..6_u8, chosen in any::<usize>()) {
        let mut history = simulate(&steps);
        if mutate(&mut history, sort, chosen) {
            prop_assert_ne!(check(&history), []);
        }
    }
}
