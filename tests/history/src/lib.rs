//! Decides whether what clients saw of a store of versioned objects is what a linearizable store shows.
//!
//! A [`History`] holds calls with the times at which they were invoked and returned, lists, and watches. [`check()`]
//! returns every [`Fault`] of it. Each object is a register whose writes may be conditional on a version
//! (`register`); its calls are searched for a legal order by the algorithm of Wing and Gong with the
//! memory of Lowe (`search`). Linearizability is local, so the objects are searched one by one. What concerns
//! several objects needs no search, because versions are one order of all writes: `lists` must be the state at
//! their version, `watches` the changes between two versions, and versions must grow with time (`versions`).
//!
//! A call whose outcome is unknown may have had its effect at any time after it was invoked, or never. Values must be
//! unique: no two writes of a history have the same one. Then a value says which write it comes from, and whether a
//! call of unknown outcome had its effect.
//!
//! The checkers in crates do not fit: `stateright` has no memory of what it tried and one recursion for each call,
//! which histories of thousands of calls do not survive, and `todc-utils` does not know calls without an outcome.
//!
//! This crate is pure: it neither reads a clock nor does any I/O, and it knows nothing of Kubernetes.

mod change_log;
mod check;
mod fault;
mod history;
mod lists;
mod minimal;
mod object;
mod register;
mod search;
mod time;
mod versions;
mod watches;

pub use check::check;
pub use fault::{Fault, Law};
pub use history::{Action, Call, Delivery, EventKind, History, List, Outcome, Page, State, Watch};
pub use time::Time;
