//! Flags of `check`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Flags of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The kubeconfig file of an administrator of the host cluster. Defaults to what KUBECONFIG names, else ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub(crate) host_kubeconfig: Option<PathBuf>,

    /// Namespace of the server in the host.
    #[arg(
        long,
        short,
        value_name = "NAMESPACE",
        default_value = "kubeconfig-apiserver"
    )]
    pub(crate) namespace: String,

    /// Service that the APIService should lead to: the name of the release, with the chart.
    #[arg(long, value_name = "NAME", default_value = "kubeconfig-apiserver")]
    pub(crate) service: String,

    /// How findings are printed.
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: CheckOutput,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum CheckOutput {
    /// One line for each.
    Text,
    /// One JSON document.
    Json,
}
