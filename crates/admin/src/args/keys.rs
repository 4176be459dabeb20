//! The command line of `keys`.

use std::path::PathBuf;

use clap::Subcommand;

/// The server, and the operation on its keys.
#[derive(Debug, clap::Args)]
pub struct KeysArgs {
    /// Kubeconfig file for the server. Defaults to KUBECONFIG, or ~/.kube/config if it is not set.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context in that file. Defaults to its current context.
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,

    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

/// The operations on keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Lists the keys that sign tokens, and their times of use.
    List,

    /// Adds a signing key that starts to sign after one day. All tokens stay valid.
    ///
    /// The server rotates its keys every 90 days by itself. Use this command to rotate them
    /// earlier, without an emergency.
    Rotate,

    /// Replaces all signing keys at once. Every token that was issued before becomes invalid within
    /// a second.
    ///
    /// All kubeconfig files with tokens stop working and must be created again; requests to
    /// clusters that are in flight end. Files without tokens (`generateToken: false`), client
    /// certificates and the credentials of clusters stay valid.
    RevokeAll(RevokeAllArgs),

    /// Encrypts the secrets in the store again, with the first key in the file of encryption keys.
    ///
    /// Before that, add a new line at the top of the file and restart the server (all replicas).
    /// Afterwards, the lines that the command no longer prints can be removed.
    Reseal,
}

/// Flags of `keys revoke-all`.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeAllArgs {
    /// Do not ask for confirmation.
    #[arg(long)]
    pub(crate) yes: bool,
}
