//! Cold starts, and the memory of a server that has just started.

use std::time::Instant;

use crate::bare::Bare;
use crate::options::{Group, Options};
use crate::report::{Row, Unit, millis};
use crate::sample::median;
use crate::server::{self, Server};
use crate::{progress, targets};

/// Number of starts whose median is taken.
const STARTS: usize = 5;

const KIBI: f64 = 1024.0;

/// The result of a start with a number of records.
pub(super) struct Start {
    row: Row,
    records: usize,
    /// Memory after the start, in bytes.
    resident: u64,
}

/// Restarts the server several times, and the bare server next to it. Returns `None` if that is not
/// selected.
pub(super) async fn measure(
    server: &mut Server,
    options: &Options,
    records: usize,
) -> anyhow::Result<Option<Start>> {
    if !options.wants(Group::Start) {
        return Ok(None);
    }
    progress::say(&format!("cold start, {records} records"));
    let mut ours = Vec::new();
    let mut limits = Vec::new();
    for _ in 0..STARTS {
        ours.push(server.restart().await?);
        let started = Instant::now();
        let bare = Bare::start(server.folder())?;
        server::answers(&bare.endpoint).await?;
        limits.push(started.elapsed());
    }
    let name = format!("cold start to ready, {records} records");
    Ok(Some(Start {
        row: Row::value(name, Unit::Millis, millis(median(ours)))
            .with_limit(millis(median(limits)))
            .with_targets(targets::cold_start(records)),
        records,
        resident: server.meter().memory()?.resident,
    }))
}

/// Returns the rows of an empty server and of a full one. `used` is the memory of the full one
/// after all reads, in bytes.
pub(super) fn rows(empty: Option<Start>, full: Option<Start>, used: u64) -> Vec<Row> {
    let (Some(empty), Some(full)) = (empty, full) else {
        return Vec::new();
    };
    let total = |when: String, bytes: u64| {
        let megabytes = bytes as f64 / KIBI / KIBI;
        Row::value(format!("RSS, {when}"), Unit::Megabytes, megabytes)
    };
    let records = full.records;
    let per_record = |when: &str, bytes: u64| {
        let kilobytes = bytes.saturating_sub(empty.resident) as f64 / records as f64 / KIBI;
        Row::value(
            format!("RSS per record, {when}"),
            Unit::Kilobytes,
            kilobytes,
        )
        .with_targets(targets::memory_per_record())
    };
    vec![
        total("0 records".into(), empty.resident),
        total(format!("{records} records"), full.resident),
        per_record("after start", full.resident),
        per_record("after all reads", used),
        empty.row,
        full.row,
    ]
}
