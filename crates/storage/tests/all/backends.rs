//! Tests that every backend passes the conformance suite.

use std::{path::Path, sync::Arc};

use storage::{
    Store, conformance,
    sealed::{Keyring, Sealed},
    sqlite::{Sqlite, SqliteOptions},
};
use tempfile::TempDir;

fn sqlite(directory: &Path) -> Arc<dyn Store> {
    Arc::new(Sqlite::open(directory, SqliteOptions::default()).expect("it opens"))
}

fn sealed(directory: &Path) -> Arc<dyn Store> {
    let keyring = Keyring::load_or_create(&directory.join("keys")).expect("a keyring");
    let inner = sqlite(&directory.join("data"));
    Arc::new(Sealed::new(inner, keyring, vec!["/conformance/".into()]))
}

async fn check(open: fn(&Path) -> Arc<dyn Store>) {
    let home = TempDir::new().expect("a directory");
    let number = std::cell::Cell::new(0);
    let place = || home.path().join(number.get().to_string());
    let fresh = || {
        number.set(number.get() + 1);
        std::fs::create_dir(place()).expect("a new name");
    };
    let fresh_store = async || {
        fresh();
        open(&place())
    };
    conformance::run(fresh_store).await;
    conformance::run_restarts(fresh, async || open(&place())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_every_promise() {
    check(sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_sqlite_keeps_every_promise() {
    check(sealed).await;
}
