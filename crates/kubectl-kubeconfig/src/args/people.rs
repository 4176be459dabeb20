//! Flags of the interactive commands.

use std::path::PathBuf;

use clap::ValueEnum;
use jiff::SignedDuration;

use crate::server_url::ServerUrl;

/// Which server, and as whom.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ServerArgs {
    /// The server to speak to, with the login there. Without it the context decides: that of a cluster behind a server
    /// leads to the server.
    #[arg(long, value_name = "URL", conflicts_with = "context")]
    pub(crate) server: Option<ServerUrl>,

    /// The kubeconfig file to use, instead of those in KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The context to use, instead of the current one.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
}

/// Flags of `create`.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "place", required = true, multiple = false, args = ["file", "merge"])]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// A cluster that the file reaches, by id. May be repeated, or a list with commas.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) cluster: Vec<String>,

    /// Every cluster that you may get.
    #[arg(long, conflicts_with = "cluster")]
    pub(crate) all_clusters: bool,

    /// The cluster whose context is current in the file; the first if nobody says.
    #[arg(long, value_name = "ID")]
    pub(crate) current_cluster: Option<String>,

    /// How long it lasts, such as 90m, 8h or 30d; as the server is set up if nobody says.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) ttl: Option<SignedDuration>,

    /// What it is for, in your words.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,

    /// Whether the file holds tokens. One without runs this program, and holds no secret.
    #[arg(long, value_name = "BOOL")]
    pub(crate) generate_token: Option<bool>,

    /// Leave out the entry for the server itself.
    #[arg(long)]
    pub(crate) no_default_entry: bool,

    /// Write it to a new file, which nobody else can read; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Merge it into your kubeconfig. Names that are taken stay; the new ones are renamed.
    #[arg(long)]
    pub(crate) merge: bool,

    /// Make its current context yours.
    #[arg(long, requires = "merge")]
    pub(crate) use_context: bool,
}

/// Flags of `list`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// What to print.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Output,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Columns.
    Table,
    /// The names alone.
    Name,
    /// The list of the server.
    Json,
    /// The list of the server.
    Yaml,
}

/// Flags of `merge`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// The files to merge; `-` is stdin.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// The file to merge into, instead of the first of KUBECONFIG that exists, or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Make the current context of the first file yours.
    #[arg(long)]
    pub(crate) use_context: bool,

    /// Merge files even where they have kubectl run a program, read a local file or skip a check. Each is named.
    #[arg(long)]
    pub(crate) allow_exec: bool,
}

/// Flags of `prune`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PruneArgs {
    /// The file to prune, instead of those in KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Only say what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Flags of `delete`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    /// The records to delete.
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Flags of `status`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// The file to look at, instead of those in KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// Flags of `completion`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CompletionArgs {
    /// The shell of `kubectl-kubeconfig`, or kubectl for `kubectl kubeconfig` in any shell.
    pub(crate) shell: CompletionFor,
}

/// Whose completion.
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

/// Parses a duration such as `90m`, `1h30m` or `30d`.
fn duration(text: &str) -> Result<SignedDuration, String> {
    let fault = || format!("{text:?} is no duration such as 90m, 8h or 30d");
    let (mut total, mut rest) = (0_i64, text);
    while !rest.is_empty() {
        let digits = rest
            .find(|it: char| !it.is_ascii_digit())
            .ok_or_else(fault)?;
        let (number, unit) = rest.split_at(digits);
        let mut characters = unit.chars();
        let secs = match characters.next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            _ => return Err(fault()),
        };
        let number: i64 = number.parse().map_err(|_| fault())?;
        let part = number.checked_mul(secs);
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or_else(fault)?;
        rest = characters.as_str();
    }
    match total {
        0 => Err(fault()),
        total => Ok(SignedDuration::from_secs(total)),
    }
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
