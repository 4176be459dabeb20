//! The command line.

mod aggregated;
mod id_token;
mod zone;

use std::net::IpAddr;
use std::path::PathBuf;

use admin::{CheckArgs, ClusterArgs, KeysArgs, UserArgs};
use clap::{Parser, Subcommand, ValueEnum, value_parser};

pub(crate) use aggregated::{AggregatedArgs, EtcdArgs, ListenArgs, StoreKind};
pub(crate) use id_token::IdTokenArgs;
pub(crate) use zone::ZoneArgs;

/// Issues kubeconfigs whose tokens give access to real clusters, and revokes them.
///
/// Users run `kubectl create -f kubeconfig.yaml -o jsonpath='{.status.value}'` on the resource
/// kubeconfigs.ext.cattle.io and get, once, a kubeconfig with tokens that are minted for it.
/// Deleting the record revokes the tokens immediately.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) log: LogArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Logging flags.
#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// Log filter: a level (error, warn, info, debug, trace), or levels by module such as
    /// `info,storage=debug`. Writes and rejected requests are logged at info, reads with
    /// `info,audit=debug`.
    #[arg(
        long,
        global = true,
        default_value = "info",
        env = "KUBECONFIG_APISERVER_LOG",
        value_name = "FILTER"
    )]
    pub(crate) log_level: String,

    /// Format of the log lines on stderr.
    #[arg(long, global = true, default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// The formats of log lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One human-readable line per event.
    Text,
    /// One JSON document per line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the server without a host cluster: certificates, users, roles and data are in one folder.
    ///
    /// The first start creates everything that is missing: a CA, certificates, keys, default settings
    /// and roles, and DIR/admin.kubeconfig for the administrator. To try it out:
    ///
    ///   kubeconfig-apiserver standalone --data-dir ./data --demo
    ///   kubectl --kubeconfig ./data/alice.kubeconfig api-resources
    #[command(verbatim_doc_comment)]
    Standalone(Box<StandaloneArgs>),

    /// Runs behind the API server of a host cluster, which serves kubeconfigs at its own address.
    ///
    /// Records are stored in the host, or in etcd. Any number of replicas can run; the chart in
    /// charts/kubeconfig-apiserver creates what they need. Users, clusters and settings are objects of
    /// the host. To try it out on a machine outside the host:
    ///
    ///   kubeconfig-apiserver aggregated --host-kubeconfig FILE --external-url URL
    #[command(verbatim_doc_comment)]
    Aggregated(Box<AggregatedArgs>),

    /// Registers and unregisters clusters at a running server.
    ///
    /// Users can create kubeconfigs for registered clusters. Each command sends requests to the server
    /// as the user of a kubeconfig file, who must be an administrator there:
    ///
    ///   export KUBECONFIG=./data/admin.kubeconfig
    ///   kubeconfig-apiserver cluster add prod --from ~/prod.kubeconfig
    ///   kubeconfig-apiserver cluster list
    #[command(verbatim_doc_comment)]
    Cluster(ClusterArgs),

    /// Adds, lists, disables and removes users of a running server.
    ///
    /// Each command sends requests to the server as the user of a kubeconfig file, who must be an
    /// administrator there. A user of a standalone server gets a first kubeconfig:
    ///
    ///   kubeconfig-apiserver user add dana --group team-a --data-dir ./data --file dana.kubeconfig
    ///   kubeconfig-apiserver user list --data-dir ./data
    #[command(verbatim_doc_comment)]
    User(UserArgs),

    /// Lists, rotates and replaces the keys of a running server.
    ///
    /// Each command sends a request to the server as the user of a kubeconfig file, who must be an
    /// administrator there. One request is enough for all replicas. docs/emergency.md describes which
    /// command to use in which emergency.
    ///
    ///   export KUBECONFIG=./data/admin.kubeconfig
    ///   kubeconfig-apiserver keys list
    ///   kubeconfig-apiserver keys revoke-all
    #[command(verbatim_doc_comment)]
    Keys(KeysArgs),

    /// Checks an installation in a host cluster, and reports problems and how to fix them.
    ///
    /// Changes nothing. Prints one line for each finding: `ok`, `warning` or `problem`, the finding, and
    /// after an arrow how to fix it. Exits with code 1 if there is a problem. Run it as an administrator
    /// of the host:
    ///
    ///   kubeconfig-apiserver check
    ///   kubeconfig-apiserver check --host-kubeconfig ~/host.kubeconfig -n tools --service kubeconfigs
    #[command(verbatim_doc_comment)]
    Check(CheckArgs),
}

/// Flags of `standalone`.
#[derive(Debug, clap::Args)]
pub(crate) struct StandaloneArgs {
    /// Folder for everything that must outlive the process; created if it does not exist. Only one
    /// process can use it at a time.
    #[arg(long, value_name = "DIR", env = "KUBECONFIG_APISERVER_DATA_DIR")]
    pub(crate) data_dir: PathBuf,

    /// Also create the users alice and bob, with DIR/alice.kubeconfig and DIR/bob.kubeconfig.
    #[arg(long)]
    pub(crate) demo: bool,

    /// Use a store that lacks writes which it is known to have had, because a backup was restored
    /// or its write-ahead log was lost. Kubeconfigs that were deleted since then are valid again;
    /// docs/emergency.md describes how to revoke them. Only for one start.
    #[arg(long)]
    pub(crate) accept_older_store: bool,

    /// Address to listen on. With any address other than a loopback address, other machines can
    /// connect.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) bind_address: IpAddr,

    /// Port to listen on; 0 selects a free port, which is then in the kubeconfig files.
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    pub(crate) secure_port: u16,

    /// URL at which users reach this server, if it differs from the server's own address.
    /// Kubeconfigs contain it.
    #[arg(long, value_name = "URL")]
    pub(crate) external_url: Option<String>,

    /// Maximum number of open connections. One client address can have at most half of them; when
    /// all are in use, the server closes connections without a request. Lower if the limit of open
    /// files (ulimit -n) is less than twice this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = value_parser!(u32).range(1..))]
    pub(crate) max_connections: u32,

    #[command(flatten)]
    pub(crate) id_tokens: IdTokenArgs,

    #[command(flatten)]
    pub(crate) zone: ZoneArgs,
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    #[test]
    fn help_is_shown_as_it_is_written() {
        let mut root = Args::command();
        root.build();
        for command in root.get_subcommands() {
            fits(command);
            command.get_subcommands().for_each(fits);
        }
    }

    /// Checks that each line is narrower than `max_term_width`. Texts without examples are wrapped,
    /// and not checked.
    #[track_caller]
    fn fits(command: &Command) {
        let about = command.get_long_about().map(ToString::to_string);
        let about = about.filter(|about| about.contains("\n  "));
        let about = about.unwrap_or_default();
        let widest = about.lines().map(str::len).max();
        assert!(widest < Some(100), "{}: {about}", command.get_name());
    }
}
