//! Space that is reserved for a full disk.
//!
//! A file of [`BYTES`] is in the directory of the store. When a write finds the disk full, the file
//! is removed. The space that it frees is enough for hundreds of deletions, and for moving the
//! write-ahead log into the database, which frees the log's space for the next ones. Until the file
//! can be written again, only operations that need almost no space are committed, so that a
//! kubeconfig can be revoked on a full disk.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::files;

/// Size of the file in bytes. A deletion that is committed alone writes about 12 KiB to the
/// write-ahead log. Small in unit tests, which open thousands of stores.
const BYTES: u64 = if cfg!(test) { 64 << 10 } else { 4 << 20 };

/// Space that must be available beyond that of the file before the file is written again, in bytes.
/// Without this margin, the space that was freed would make the disk appear to have space.
const MARGIN: u64 = BYTES / 4;

/// The part of the reserve that updates may use until the write-ahead log has been truncated again,
/// in bytes. Some updates revoke: they suspend a kubeconfig, or disable a user.
const FOR_UPDATES: usize = 1 << 20;

/// The bytes of the write-ahead log that an update takes in addition to its value, if it is
/// committed alone.
pub(super) const UPDATE_BYTES: usize = 3 * 4096;

/// Interval between two attempts to write the file.
const PAUSE: Duration = Duration::from_secs(1);

const FILE: &str = "RESERVE";
const UNFINISHED: &str = "RESERVE.new";

/// The reserve: the file, or its absence.
pub(super) struct Reserve {
    directory: PathBuf,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// The file exists, or cannot be written for another reason than a full disk.
    Held,
    /// The disk is full.
    GivenUp {
        left_for_updates: usize,
        tried: Option<Instant>,
    },
}

impl Reserve {
    /// Writes the file unless it exists. A full disk is not an error.
    pub(super) fn of(directory: &Path) -> Self {
        let mut reserve = Self {
            directory: directory.to_owned(),
            state: State::GivenUp {
                left_for_updates: FOR_UPDATES,
                tried: None,
            },
        };
        let is_there = fs::metadata(directory.join(FILE)).is_ok_and(|file| file.len() == BYTES);
        match is_there {
            true => reserve.state = State::Held,
            false => reserve.restore(Instant::now()),
        }
        reserve
    }

    /// Returns whether the disk is not full, as far as is known.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.state, State::Held)
    }

    /// Returns the number of bytes that updates may still write on a full disk; `None` if it is not
    /// full.
    pub(super) fn left_for_updates(&self) -> Option<usize> {
        match self.state {
            State::Held => None,
            State::GivenUp {
                left_for_updates, ..
            } => Some(left_for_updates),
        }
    }

    /// Subtracts the bytes that updates wrote on a full disk.
    pub(super) fn spend(&mut self, bytes: usize) {
        if let State::GivenUp {
            left_for_updates, ..
        } = &mut self.state
        {
            *left_for_updates = left_for_updates.saturating_sub(bytes);
        }
    }

    /// Releases the space for the database. Returns whether there was any.
    pub(super) fn give_up(&mut self, now: Instant) -> bool {
        let was_held = self.is_held();
        if was_held {
            self.state = State::GivenUp {
                left_for_updates: FOR_UPDATES,
                tried: Some(now),
            };
        }
        give_up(&self.directory) && was_held
    }

    /// Resets the allowance of updates, after the write-ahead log was truncated.
    pub(super) fn refill(&mut self) {
        if let State::GivenUp {
            left_for_updates, ..
        } = &mut self.state
        {
            *left_for_updates = FOR_UPDATES;
        }
    }

    /// Returns whether the file was released and the last attempt to write it again was at least
    /// [`PAUSE`] ago.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        match self.state {
            State::Held => false,
            State::GivenUp { tried, .. } => {
                tried.is_none_or(|tried| now.duration_since(tried) >= PAUSE)
            }
        }
    }

    /// Writes the file again, if an attempt is due.
    pub(super) fn restore(&mut self, now: Instant) {
        if !self.is_due(now) {
            return;
        }
        let State::GivenUp { tried, .. } = &mut self.state else {
            return;
        };
        let is_first = tried.replace(now).is_none();
        match write(&self.directory) {
            Ok(()) => self.state = State::Held,
            Err(error) if is_full(&error) => {}
            Err(error) => {
                // The next write to the database shows whether it can be written.
                self.state = State::Held;
                tracing::warn!(%error, "no space can be reserved for a full disk");
            }
        }
        match (self.is_held(), is_first) {
            (true, false) => tracing::info!("the disk has free space again"),
            (false, true) => tracing::error!("the disk is full: only deletions are stored"),
            _ => {}
        }
    }
}

/// Removes the file. Returns whether it existed.
pub(super) fn give_up(directory: &Path) -> bool {
    fs::remove_file(directory.join(FILE)).is_ok()
}

fn write(directory: &Path) -> io::Result<()> {
    let (unfinished, finished) = (directory.join(UNFINISHED), directory.join(FILE));
    let _ = fs::remove_file(&unfinished);
    let fill = || {
        let mut file = files::create_private(&unfinished)?;
        for block in 0..(BYTES + MARGIN) / BLOCK as u64 {
            file.write_all(&noise(block))?;
        }
        file.set_len(BYTES)?;
        file.sync_all()?;
        fs::rename(&unfinished, &finished)
    };
    let filled = fill();
    if filled.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    filled
}

const BLOCK: usize = 16 << 10;

/// Returns pseudo-random bytes, which a file system cannot compress.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let next = || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next)
        .take(BLOCK / 8)
        .flatten()
        .collect()
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}
