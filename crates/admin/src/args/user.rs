//! The command line of `user`.

use std::path::PathBuf;

use clap::{Subcommand, value_parser};

/// The server, and the operation on its users.
#[derive(Debug, clap::Args)]
pub struct UserArgs {
    /// Data folder of a standalone server on this machine. Its admin.kubeconfig is used unless
    /// --kubeconfig is set, and its CA issues the certificate in the file of a new user.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "KUBECONFIG_APISERVER_DATA_DIR"
    )]
    pub(crate) data_dir: Option<PathBuf>,

    /// Kubeconfig file for the server. Defaults to KUBECONFIG, or ~/.kube/config if it is not set.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context in that file. Defaults to its current context.
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,

    #[command(subcommand)]
    pub(crate) command: UserCommand,
}

/// The operations on users.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Adds a user and, with --data-dir, prints a first kubeconfig for the server.
    ///
    /// The kubeconfig contains a client certificate with the name and the groups of the user, and its
    /// key. With it the user can create kubeconfigs, or log in with the plugin:
    ///
    ///   kubeconfig-apiserver user add dana --group team-a --data-dir ./data --file dana.kubeconfig
    ///   kubectl --kubeconfig dana.kubeconfig kubeconfig login --from-context
    ///
    /// Run it again for another certificate of the same user, for example with other groups.
    #[command(verbatim_doc_comment)]
    Add(AddUserArgs),

    /// Lists the users, the names that they log in with, and their last logins.
    List,

    /// Denies all requests of a user and rejects all tokens of the user.
    Disable(UserName),

    /// Permits requests of a disabled user again.
    Enable(UserName),

    /// Removes a user. The tokens of the user stop, also for a later user of the same name.
    Remove(UserName),
}

/// Flags of `user add`.
#[derive(Debug, clap::Args)]
pub(crate) struct AddUserArgs {
    /// Name that the user logs in with, such as dana or dana@example.com.
    pub(crate) name: String,

    /// Group of the user, in the certificate; can be repeated.
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Vec<String>,

    /// Days until the certificate expires.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = value_parser!(u16).range(1..=365))]
    pub(crate) valid_days: u16,

    /// Write the kubeconfig to a new file that only you can read; `-` is stdout.
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
}

/// The user of a command.
#[derive(Debug, clap::Args)]
pub(crate) struct UserName {
    /// Name that the user logs in with, or the name of the User object.
    pub(crate) name: String,
}
