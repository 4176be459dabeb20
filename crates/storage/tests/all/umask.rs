//! Tests that files are accessible to their owner only, regardless of the umask. The test runs
//! itself again under a shell that sets one.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command};

use storage::{
    sealed::Keyring,
    sqlite::{Sqlite, SqliteOptions},
};

/// Prefix of the directory in the child's arguments, which the test harness takes for a filter.
const DIRECTORY: &str = "umask-directory=";

/// Runs as the child process.
fn make_files(place: &Path) {
    let store = Sqlite::open(&place.join("data"), SqliteOptions::default()).expect("it opens");
    Keyring::load_or_create(&place.join("keys")).expect("a keyring");
    // Leaves the write-ahead log and its index behind, as a crash does.
    std::mem::forget(store);
}

fn check(umask: &str) {
    let home = tempfile::TempDir::new().expect("a directory");
    let program = std::env::current_exe().expect("a path");
    let status = Command::new("sh")
        .args(["-c", "umask \"$1\"; shift; exec \"$@\"", "sh", umask])
        .arg(program)
        .args([
            "--exact",
            "umask::files_are_for_their_owner_whatever_the_umask",
        ])
        .arg(format!("{DIRECTORY}{}", home.path().display()))
        .status();
    assert!(status.expect("it runs").success());
    let mode = |name: &str| {
        let metadata = std::fs::metadata(home.path().join(name)).expect(name);
        format!("{name} {:o}", metadata.permissions().mode() & 0o777)
    };
    let names = [
        "data",
        "data/LOCK",
        "data/state.db",
        "data/state.db-wal",
        "data/state.db-shm",
    ];
    let expect = [
        "data 700",
        "data/LOCK 600",
        "data/state.db 600",
        "data/state.db-wal 600",
        "data/state.db-shm 600",
    ];
    assert_eq!(names.map(mode), expect, "umask {umask}");
    assert_eq!(mode("keys"), "keys 600", "umask {umask}");
}

#[test]
fn files_are_for_their_owner_whatever_the_umask() {
    let place = std::env::args().find_map(|a| a.strip_prefix(DIRECTORY).map(str::to_owned));
    if let Some(place) = place {
        return make_files(Path::new(&place));
    }
    check("000");
    check("022");
    check("277");
}
