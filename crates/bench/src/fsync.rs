//! The limit of the disk: one thread writes 4 KiB and calls `fdatasync`, again and again.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::sample::Sample;

/// Size of a write: a page of SQLite.
const BLOCK: usize = 4096;

/// Number of blocks in the file, which is written cyclically like SQLite's log between checkpoints.
/// Overwriting a file is what a log does most; growing it would cost a second write.
const BLOCKS: u64 = 1000;

/// A file that is written like a log.
pub(crate) struct Log {
    file: File,
    next: u64,
}

impl Log {
    /// Creates the file at its full size.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(path)?;
        for _ in 0..BLOCKS {
            file.write_all(&[b'x'; BLOCK])?;
        }
        file.sync_all()?;
        Ok(Self { file, next: 0 })
    }

    /// Writes the next `count` blocks and makes them durable.
    pub(crate) fn append(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            self.file.seek(SeekFrom::Start(self.next * BLOCK as u64))?;
            self.file.write_all(&[b'y'; BLOCK])?;
            self.next = (self.next + 1) % BLOCKS;
        }
        self.file.sync_data()
    }
}

/// Writes one block after the other in `folder` for `duration`.
pub(crate) fn measure(folder: &Path, duration: Duration) -> io::Result<Sample> {
    let mut log = Log::create(&folder.join("fsync"))?;
    let mut sample = Sample::default();
    let started = Instant::now();
    let mut now = started;
    while now < started + duration {
        log.append(1)?;
        let then = Instant::now();
        sample.latencies.push(then - now);
        now = then;
    }
    sample.elapsed = started.elapsed();
    Ok(sample)
}
