//! Commands of administrators: they talk to a running server.
//!
//! The commands are clients of APIs, as the user of a kubeconfig file: [`cluster`], [`keys`] and [`user`]
//! of a
//! kubeconfig-apiserver, and [`check`] of the host cluster of an aggregated server. A command has
//! a type for its flags and a function `run`. It shares types and rules with the server, but no
//! state: it starts no listener and opens no store.

mod args;
pub mod check;
mod client;
pub mod cluster;
mod console;
pub mod keys;
mod seal_key;
mod table;
pub mod user;

pub use args::{CheckArgs, ClusterArgs, KeysArgs, UserArgs};
pub use console::Console;
