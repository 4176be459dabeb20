//! Flags of the interactive commands.

use std::path::PathBuf;

use clap::ValueEnum;
use jiff::SignedDuration;
use machinery::go_duration;

use crate::server_url::ServerUrl;

/// The server, and the login to use there.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ServerArgs {
    /// Server to connect to, with the login there. By default the context decides: if its cluster
    /// is behind a server, that server is used.
    #[arg(long, value_name = "URL", conflicts_with = "context")]
    pub(crate) server: Option<ServerUrl>,

    /// Kubeconfig file to use, instead of those in KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context to use, instead of the current one.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
}

/// Flags of `create`.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "place", required = true, multiple = false, args = ["file", "merge"])]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// Cluster to include in the file, by ID. Can be repeated, or be a comma-separated list.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) cluster: Vec<String>,

    /// Include every cluster that you may get.
    #[arg(long, conflicts_with = "cluster")]
    pub(crate) all_clusters: bool,

    /// Cluster whose context is current in the file. Defaults to the first one.
    #[arg(long, value_name = "ID")]
    pub(crate) current_cluster: Option<String>,

    /// Lifetime, such as 90m, 8h or 30d. Defaults to the setting of the server.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) ttl: Option<SignedDuration>,

    /// Description, in your own words.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,

    /// Whether the file contains tokens. A file without tokens runs this program, and contains no
    /// secret.
    #[arg(long, value_name = "BOOL")]
    pub(crate) generate_token: Option<bool>,

    /// Give the file the permissions of one of your tokens, by name, and end it with that token.
    #[arg(long, value_name = "NAME")]
    pub(crate) from_token: Option<String>,

    /// Limit the file to reads, without Secrets.
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Limit the file to a namespace. Can be repeated, or be a comma-separated list.
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',')]
    pub(crate) only_namespace: Vec<String>,

    /// Omit the entry for the server itself.
    #[arg(long)]
    pub(crate) no_default_entry: bool,

    /// Write the kubeconfig to a new file that only you can read; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Merge the kubeconfig into yours. Your names are kept; new names that are already in use are
    /// changed.
    #[arg(long)]
    pub(crate) merge: bool,

    /// Make its current context your current context.
    #[arg(long, requires = "merge")]
    pub(crate) use_context: bool,
}

/// Flags of `list`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// Output format.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Output,
}

/// The output formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Columns.
    Table,
    /// Only the names.
    Name,
    /// The list from the server, in JSON.
    Json,
    /// The list from the server, in YAML.
    Yaml,
}

/// Flags of `access`.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "what", required = true, multiple = true, args = ["cluster", "user"])]
pub(crate) struct AccessArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// Cluster, by ID.
    #[arg(long, value_name = "ID")]
    pub(crate) cluster: Option<String>,

    /// User, by the name that the user logs in with.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// Output format.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: AccessOutput,
}

/// The output formats of `access`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessOutput {
    /// Columns.
    Table,
    /// The review from the server, in JSON.
    Json,
    /// The review from the server, in YAML.
    Yaml,
}

/// Flags of `merge`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// Files to merge; `-` is stdin.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// File to merge into, instead of the first of KUBECONFIG that exists, or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Make the current context of the first file your current context.
    #[arg(long)]
    pub(crate) use_context: bool,

    /// Merge files even if they make kubectl run a program, read a local file or skip a check. Each
    /// of these is reported.
    #[arg(long)]
    pub(crate) allow_exec: bool,
}

/// Flags of `prune`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PruneArgs {
    /// File to prune, instead of those in KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Only print what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Flags of `delete`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    /// Records to delete.
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Flags of `status`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// File to check, instead of those in KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// Flags of `completion`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CompletionArgs {
    /// Shell for `kubectl-kubeconfig`, or kubectl for `kubectl kubeconfig` in any shell.
    pub(crate) shell: CompletionFor,
}

/// The targets of completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompletionFor {
    /// For ~/.bashrc: source <(kubectl-kubeconfig completion bash)
    Bash,
    /// For ~/.config/fish/completions/kubectl-kubeconfig.fish
    Fish,
    /// For a folder of your fpath, as _kubectl-kubeconfig
    Zsh,
    /// For a folder of your PATH, executable, as kubectl_complete-kubeconfig
    Kubectl,
}

/// Parses a duration of whole seconds such as `90m`, `1h30m` or `30d`.
fn duration(text: &str) -> Result<SignedDuration, String> {
    let duration = go_duration::parse_with_days(text);
    let duration = duration.filter(|it| it.is_positive() && it.subsec_nanos() == 0);
    duration
        .ok_or_else(|| format!("invalid duration {text:?}: use a duration such as 90m, 8h or 30d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_people_write_them() {
        for (text, expected) in [
            ("90s", Some(90)),
            ("90m", Some(5_400)),
            ("1h30m", Some(5_400)),
            ("30d", Some(2_592_000)),
            ("1.5h", Some(5_400)),
            ("1500ms", None),
            ("", None),
            ("0h", None),
            ("8", None),
            ("h", None),
            ("-1h", None),
            ("1w", None),
            ("9223372036854775807d", None),
            ("8h é", None),
        ] {
            let found = duration(text).ok();
            assert_eq!(found.map(|it| it.as_secs()), expected, "{text}");
        }
    }
}
