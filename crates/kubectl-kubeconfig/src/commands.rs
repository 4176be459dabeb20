//! The interactive commands.

pub(crate) mod access;
pub(crate) mod completion;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod merge;
pub(crate) mod prune;
pub(crate) mod status;

use std::io::{Write, stdout};

use anyhow::{Context, Result};

/// Writes the result of a command to stdout.
fn print(text: &str) -> Result<()> {
    stdout()
        .lock()
        .write_all(text.as_bytes())
        .context("stdout is closed")
}
