//! Limits and protections of this process that the kernel enforces.

use std::io;

use apiserver::server::Limits;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

/// The number of files that are open apart from connections to clients: the store, certificates,
/// logs, and the prober's connections to clusters.
const OTHER_FILES: u64 = 256;

/// The number of files of a connection: the connection itself, and the connection to the cluster.
const FILES_PER_CONNECTION: u64 = 2;

/// Prevents other processes of the same user from reading the memory of this process, which
/// contains tokens and keys, and the kernel from writing it to a core file.
pub(crate) fn keep_memory_private() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Returns the limits of each of `listeners` listeners: as many connections as requested, or as the
/// limit of open files permits.
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
            "the limit of open files (ulimit -n) permits fewer connections than requested"
        );
    }
    Limits {
        connections,
        ..Limits::default()
    }
}

/// Raises the limit of open files to its maximum, and returns the limit. `None` if there is no
/// limit.
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
