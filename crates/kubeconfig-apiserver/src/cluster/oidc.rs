//! `cluster oidc`.

use anyhow::{Result, bail};
use kube::Client;

use crate::args::OidcArgs;

/// Runs the command.
pub(crate) async fn run(_server: &Client, _args: &OidcArgs) -> Result<()> {
    bail!("not there yet")
}
