//! The command line of `keys`.

use std::path::PathBuf;

use clap::Subcommand;

/// The server, and the operation on its keys.
#[derive(Debug, clap::Args)]
pub(crate) struct KeysArgs {
    /// The file that leads to the server. Defaults to what KUBECONFIG names, else ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The context in it to use. Defaults to its current one.
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,

    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

/// The operations on keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Prints the keys that sign tokens, and the times of their lives.
    List,

    /// Adds a signing key that takes over after one day. All tokens stay valid.
    ///
    /// The server rotates its keys every 90 days by itself. This is for a key that should go earlier, without an emergency.
    Rotate,

    /// Replaces all signing keys at once. Every token that was issued before is invalid within a second.
    ///
    /// All kubeconfig files with tokens stop working and must be created again; requests to clusters that are under way end. Files
    /// without tokens (`generateToken: false`), client certificates and the credentials of clusters stay valid.
    RevokeAll(RevokeAllArgs),

    /// Encrypts the secrets in the store again, with the first line of the file of encryption keys.
    ///
    /// Put a new line on top of the file and restart the server (all replicas) before. The lines that the command does not print any
    /// more can be removed afterwards.
    Reseal,
}

/// Flags of `keys revoke-all`.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeAllArgs {
    /// Do not ask for a confirmation.
    #[arg(long)]
    pub(crate) yes: bool,
}
