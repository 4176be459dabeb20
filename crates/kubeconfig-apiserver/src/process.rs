//! The limits that the kernel sets to this process.

use std::io;

use apiserver::server::Limits;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

/// Files that are open apart from connections: the store, certificates, logs, connections to clusters that probe.
const OTHER_FILES: u64 = 256;

/// Files of one connection: its own, and the one to the cluster that it leads to.
const FILES_PER_CONNECTION: u64 = 2;

/// Keeps other processes of this user from reading the memory of this one, where tokens and keys are, and the
/// kernel from writing it into a file.
pub(crate) fn keep_memory_private() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// The limits of each of so many listeners: as many connections as wanted, or as the kernel allows files.
pub(crate) fn listener_limits(max_connections: usize, listeners: u64) -> Limits {
    let wanted = max_connections;
    let connections = match raise_open_files() {
        Some(files) => wanted.min(connections_for(files, listeners)),
        None => wanted,
    };
    if connections < wanted {
        tracing::warn!(
            wanted,
            connections,
            "the limit of open files (ulimit -n) allows fewer connections"
        );
    }
    Limits {
        connections,
        ..Limits::default()
    }
}

/// Allows this process as many open files as it may have, and returns their number; `None` if there is no limit.
fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            limit.current
        }
    }
}

fn connections_for(files: u64, listeners: u64) -> usize {
    let for_connections = files.saturating_sub(OTHER_FILES);
    let connections = for_connections / FILES_PER_CONNECTION / listeners;
    usize::try_from(connections).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_into_the_files_that_may_be_open() {
        #[track_caller]
        fn check(files: u64, listeners: u64, expected: usize) {
            assert_eq!(connections_for(files, listeners), expected);
        }
        check(1024, 1, 384);
        check(1024, 2, 192);
        check(20_000, 1, 9872);
        check(100, 1, 1);
    }

    #[test]
    fn the_memory_of_the_process_is_private() {
        keep_memory_private().unwrap();
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
        let dumpable = rustix::process::dumpable_behavior().unwrap();
        assert_eq!(dumpable, DumpableBehavior::NotDumpable);
    }
}
