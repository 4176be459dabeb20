//! The command line.

mod aggregated;
mod check;
mod cluster;
mod id_token;
mod keys;
mod zone;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum, value_parser};

pub(crate) use aggregated::{AggregatedArgs, EtcdArgs, ListenArgs, StoreKind};
pub(crate) use check::{CheckArgs, CheckOutput};
pub(crate) use cluster::{
    AddArgs, BindArgs, ClusterArgs, ClusterCommand, EndpointArgs, OidcArgs, RemoveArgs, WebhookArgs,
};
pub(crate) use id_token::IdTokenArgs;
pub(crate) use keys::{KeysArgs, KeysCommand};
pub(crate) use zone::ZoneArgs;

/// Hands out kubeconfigs whose tokens open real clusters, and takes them back.
///
/// Users run `kubectl create -f kubeconfig.yaml -o jsonpath='{.status.value}'` on the resource kubeconfigs.ext.cattle.io and get, once, a
/// kubeconfig with tokens minted for it. Deleting the record ends the tokens at once.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) log: LogArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is logged, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// What to log: a level (error, warn, info, debug, trace), or levels by module such as
    /// `info,storage=debug`. Writes and refusals are logged at info, reads with `info,audit=debug`.
    #[arg(
        long,
        global = true,
        default_value = "info",
        env = "KUBECONFIG_APISERVER_LOG",
        value_name = "FILTER"
    )]
    pub(crate) log_level: String,

    /// How to write log lines to stderr.
    #[arg(long, global = true, default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON document a line.
    Json,
}

/// The ways to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs all by itself: certificates, users, roles and data live in one folder.
    ///
    /// The first start makes everything that is missing: a CA, certificates, keys, default settings
    /// and roles, and DIR/admin.kubeconfig for the administrator. Try it:
    ///
    ///   kubeconfig-apiserver standalone --data-dir ./data --demo
    ///   kubectl --kubeconfig ./data/alice.kubeconfig api-resources
    #[command(verbatim_doc_comment)]
    Standalone(Box<StandaloneArgs>),

    /// Runs behind the API server of a host cluster, which then serves kubeconfigs at its own address.
    ///
    /// Records are kept in the host, or in etcd. Any number of replicas may run; the chart in
    /// charts/kubeconfig-apiserver makes what they need. Users, clusters and settings are objects of
    /// the host. On a machine beside it, for a try:
    ///
    ///   kubeconfig-apiserver aggregated --host-kubeconfig FILE --external-url URL
    #[command(verbatim_doc_comment)]
    Aggregated(Box<AggregatedArgs>),

    /// Registers real clusters with a running server, and takes them back.
    ///
    /// A registered cluster is one that users can have kubeconfigs for. Each command speaks to the
    /// server as the user of a kubeconfig file, who must be an administrator there:
    ///
    ///   export KUBECONFIG=./data/admin.kubeconfig
    ///   kubeconfig-apiserver cluster add prod --from ~/prod.kubeconfig
    ///   kubeconfig-apiserver cluster list
    #[command(verbatim_doc_comment)]
    Cluster(ClusterArgs),

    /// Lists, rotates and replaces the keys of a running server.
    ///
    /// Each command is a request to the server as the user of a kubeconfig file, who must be an
    /// administrator there. One request is enough for all replicas. docs/emergency.md says which
    /// command is for which emergency.
    ///
    ///   export KUBECONFIG=./data/admin.kubeconfig
    ///   kubeconfig-apiserver keys list
    ///   kubeconfig-apiserver keys revoke-all
    #[command(verbatim_doc_comment)]
    Keys(KeysArgs),

    /// Looks at an installation in a host cluster and says what is wrong and what to do.
    ///
    /// Changes nothing. Prints one line for each finding: `ok`, `warning` or `problem`, what was
    /// found, and after an arrow what to do. Ends with code 1 if there is a problem. Run it as an
    /// administrator of the host:
    ///
    ///   kubeconfig-apiserver check
    ///   kubeconfig-apiserver check --host-kubeconfig ~/host.kubeconfig -n tools --service kubeconfigs
    #[command(verbatim_doc_comment)]
    Check(CheckArgs),
}

/// Flags of `standalone`.
#[derive(Debug, clap::Args)]
pub(crate) struct StandaloneArgs {
    /// Folder of everything that must outlive the process; made if it is missing. Only one process may use it at a time.
    #[arg(long, value_name = "DIR", env = "KUBECONFIG_APISERVER_DATA_DIR")]
    pub(crate) data_dir: PathBuf,

    /// Also make users alice and bob, with DIR/alice.kubeconfig and DIR/bob.kubeconfig, and two clusters to play with.
    #[arg(long)]
    pub(crate) demo: bool,

    /// Use a store that lacks writes which it is known to have had: after a backup was restored, or its write-ahead log was lost. Kubeconfigs that
    /// were deleted since then are valid again; docs/emergency.md says how to end them. Only for one start.
    #[arg(long)]
    pub(crate) accept_older_store: bool,

    /// Address to listen on. Anything but a loopback address lets other machines in.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) bind_address: IpAddr,

    /// Port to listen on; 0 takes a free one, which the kubeconfig files then name.
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    pub(crate) secure_port: u16,

    /// URL at which users reach this server, where that is not its own address. Kubeconfigs name it.
    #[arg(long, value_name = "URL")]
    pub(crate) external_url: Option<String>,

    /// Connections open at once. One client address has at most a half of them; when all are in use, the ones
    /// without a request make room. Fewer if the limit of open files (ulimit -n) is lower than twice as many.
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
