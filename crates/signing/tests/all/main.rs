//! The keys of a server in a store.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod key_store;
mod signing_keys;

use std::sync::Arc;

use storage::Store;
use storage::sqlite::{Sqlite, SqliteOptions};
use tempfile::TempDir;

/// Returns an empty store, and the folder that holds it.
fn store() -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path(), SqliteOptions::default()).unwrap();
    (Arc::new(store), folder)
}
