//! A log that cannot be written loses lines and has no other effect.

use std::fs::File;
use std::io::{ErrorKind, PipeReader, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use e2e::faults::{Fault, Operation};
use e2e::http::{Request, expect};
use e2e::server::Options;
use e2e::{Faults, Server, poll};
use serde_json::json;

use super::{LIMIT, create_code, health, metric};
use crate::record;

/// The metric of dropped lines.
const DROPPED: &str = "log_lines_dropped_total";

/// The line that reports dropped lines.
const TOLD: &str = "log lines were dropped";

/// Starts a server that logs to a pipe, and returns the reading end.
fn start_with_pipe(faults: &Faults) -> (Server, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    let options = Options {
        environment: faults.environment().unwrap(),
        stderr: Some(Arc::new(OwnedFd::from(writer))),
        ..Options::default()
    };
    (Server::start_with(options).unwrap(), reader)
}

/// Returns the number after `name` in each line that contains it.
fn numbers<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = u64> + 'a {
    let after = text
        .lines()
        .filter_map(move |line| line.split_once(name))
        .map(|(_, after)| after);
    after.map(|after| {
        let digits = after.find(|c: char| !c.is_ascii_digit());
        after[..digits.unwrap_or(after.len())].parse().unwrap()
    })
}

#[test]
fn a_closed_log_costs_its_lines_and_no_answer() {
    let faults = Faults::new().unwrap();
    let (mut server, reader) = start_with_pipe(&faults);
    drop(reader);
    let alice = server.client("alice").unwrap();
    for _ in 0..20 {
        assert_eq!(create_code(&alice), 201);
    }
    assert_eq!(record::names(&alice).len(), 20);
    assert_eq!(metric(&server, "apiserver_request_panics_total"), 0);
    assert!(metric(&server, DROPPED) >= 20);

    // The threads of the store log when a disk fails.
    faults.set(Operation::Sync, Fault::Error).unwrap();
    assert_eq!(create_code(&alice), 503);
    faults.set(Operation::Sync, Fault::None).unwrap();
    poll::until("writes again", LIMIT, || {
        Ok((create_code(&alice) == 201).then_some(()))
    })
    .unwrap();
    let name = &record::names(&alice)[0];
    let deletion = Request::new("DELETE", &record::at(name));
    expect(alice.send(&deletion).unwrap(), 200).unwrap();
    assert_eq!(health(&server, "/livez"), 200);
    assert!(server.terminate().unwrap().success());
}

#[test]
fn a_log_on_a_full_disk_goes_on_when_there_is_space() {
    let (server, faults) = super::start();
    let alice = server.client("alice").unwrap();
    for fault in [Fault::NoSpace, Fault::Torn, Fault::Error] {
        faults.set(Operation::Log, fault).unwrap();
        for _ in 0..5 {
            assert_eq!(create_code(&alice), 201, "{fault:?}");
        }
    }
    faults.set(Operation::Log, Fault::None).unwrap();
    let last = record::name(&record::create(&alice, json!({})));
    let deletion = Request::new("DELETE", &record::at(&last));
    expect(alice.send(&deletion).unwrap(), 200).unwrap();
    let log = poll::until("the lines after the fault", LIMIT, || {
        let log = String::from_utf8_lossy(&std::fs::read(server.log_file())?).into_owned();
        Ok((log.contains(&last) && log.contains(TOLD)).then_some(log))
    })
    .unwrap();
    assert!(
        log.lines()
            .any(|line| line.contains(&last) && line.starts_with("20")),
        "a line that broke off ends before the next one"
    );
    let told: u64 = numbers(&log, "lines=").sum();
    assert_eq!(told, metric(&server, DROPPED));
    assert!(told >= 10);
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let faults = Faults::new().unwrap();
    let (server, mut reader) = start_with_pipe(&faults);
    let alice = server.client("alice").unwrap();
    // Far more than fits into the pipe and the queue.
    let sent: usize = 600;
    let anonymous = server.anonymous().unwrap();
    for number in 0..sent {
        let path = format!("/apis/refused-{number}-{}", "x".repeat(3000));
        assert_eq!(anonymous.get(&path).unwrap().status, 401);
    }
    assert_eq!(create_code(&alice), 201);
    for path in ["/livez", "/readyz"] {
        assert_eq!(health(&server, path), 200);
    }
    let dropped = metric(&server, DROPPED);
    assert!(dropped > 0);

    let reading = thread::spawn(move || {
        let mut text = Vec::new();
        let mut part = [0; 1 << 16];
        loop {
            let count = reader.read(&mut part).unwrap();
            text.extend_from_slice(&part[..count]);
            let so_far = String::from_utf8_lossy(&text);
            if count == 0 || so_far.contains(TOLD) && so_far.ends_with('\n') {
                return so_far.into_owned();
            }
        }
    });
    let log = reading.join().unwrap();
    let kept = log.matches("/apis/refused-").count();
    // The line of the report may have been dropped as well, and later ones.
    let told: u64 = numbers(&log, "lines=").sum();
    assert!(
        kept + usize::try_from(told).unwrap() >= sent,
        "{kept} {told}"
    );
    assert!(kept > 0 && told > 0);
}

#[test]
fn a_program_that_cannot_say_why_it_ends_ends_all_the_same() {
    let program = e2e::program::path().unwrap();
    let run = |stderr: File| {
        let mut command = Command::new(program);
        command
            .args(["standalone", "--data-dir", "/dev/null/none"])
            .stdin(Stdio::null())
            .stderr(stderr);
        let mut child = command.spawn().unwrap();
        poll::until("the end", LIMIT, || Ok(child.try_wait()?)).unwrap()
    };
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    assert_eq!(run(File::from(OwnedFd::from(writer))).code(), Some(1));

    let (reader, writer) = pipe().unwrap();
    let mut full = File::from(OwnedFd::from(writer));
    rustix::fs::fcntl_setfl(&full, rustix::fs::OFlags::NONBLOCK).unwrap();
    while !matches!(full.write(&[0; 1024]), Err(error) if error.kind() == ErrorKind::WouldBlock) {}
    rustix::fs::fcntl_setfl(&full, rustix::fs::OFlags::empty()).unwrap();
    assert_eq!(run(full).code(), Some(1));
    drop(reader);
}
