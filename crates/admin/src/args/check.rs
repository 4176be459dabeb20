//! Flags of `check`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Kubeconfig file of an administrator of the host cluster. Defaults to KUBECONFIG, or
    /// ~/.kube/config if it is not set.
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

    /// Service that the APIService should refer to. With the chart, this is the name of the
    /// release.
    #[arg(long, value_name = "NAME", default_value = "kubeconfig-apiserver")]
    pub(crate) service: String,

    /// Output format.
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: CheckOutput,
}

/// The output formats.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum CheckOutput {
    /// One line for each finding.
    Text,
    /// One JSON document.
    Json,
}
