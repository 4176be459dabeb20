//! Decides whether the observations of the clients of a store of versioned objects are consistent
//! with a linearizable store.
//!
//! A [`History`] contains calls with the times at which they were invoked and returned, lists, and
//! watches. [`check()`] returns every [`Fault`] of it. Each object is a register whose writes may
//! be conditional on a version (`register`); its calls are searched for a legal order by the
//! algorithm of Wing and Gong with the memory of Lowe (`search`). Linearizability is local, so the
//! objects are searched one by one. Properties of several objects need no search, because versions
//! are a total order of all writes: `lists` must be the state at their version, `watches` the
//! changes between two versions, and versions must grow with time (`versions`).
//!
//! A call with an unknown outcome may have taken effect at any time after it was invoked, or never.
//! Values must be unique: no two writes of a history have the same one. A value then identifies the
//! write it comes from, and shows whether a call of unknown outcome took effect.
//!
//! Existing checkers do not fit: `stateright` does not remember the states that it tried and
//! recurses once per call, which overflows for histories of thousands of calls, and `todc-utils`
//! does not support calls without an outcome.
//!
//! This crate is pure: it neither reads a clock nor does any I/O, and it does not know Kubernetes.

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
