//! The commands for people.

pub(crate) mod completion;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod merge;
pub(crate) mod prune;
pub(crate) mod status;

use std::io::{Write, stdout};

use anyhow::{Context, Result};

/// What was asked for, on stdout.
fn print(text: &str) -> Result<()> {
    stdout()
        .lock()
        .write_all(text.as_bytes())
        .context("stdout is closed")
}
