//! `cluster webhook`.

use anyhow::{Result, bail};
use kube::Client;

use crate::args::WebhookArgs;

/// Runs the command.
pub(crate) async fn run(_server: &Client, _args: &WebhookArgs) -> Result<()> {
    bail!("not there yet")
}
