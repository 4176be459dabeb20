//! A revisioned key-value store and the watch cache in front of it.
//!
//! The model is that of etcd, reduced to what an API server needs: every write gets the next
//! store-wide [`Revision`], a write names the revision it replaces, and a [`Watch`] replays every
//! change after a revision. [`Store`] is the contract; a backend is anything that passes the
//! `conformance` suite.
//!
//! ```text
//!   Collection::view / latest / watch_from         reads: from memory, lock-free
//!        Cache  <---- one watch -----+
//!                                    |
//!   create, update, delete ------> Store = Sealed (encryption at rest) over Sqlite | Etcd
//! ```
//!
//! Invariants: this crate does not know resource kinds, metav1 or the HTTP of clients; values are
//! opaque bytes; only `sqlite` names the SQLite library and only `etcd` the gRPC libraries; nothing
//! reads a clock. The meaning of a value, the access to it and the presentation of a failure to a
//! client are left to the generic server.

pub mod cache;
pub mod compaction;
mod complaints;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
#[cfg(feature = "etcd")]
pub mod etcd;
mod key;
pub mod sealed;
pub mod sqlite;
mod store;

pub use complaints::Complaints;
pub use error::{Cause, Error};
pub use key::{InvalidKey, Key, Revision};
pub use store::{
    At, Batch, Change, Event, ListOptions, MAX_VALUE_BYTES, Page, Record, Store, Watch, check_value,
};
