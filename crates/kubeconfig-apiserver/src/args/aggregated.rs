//! Flags of `aggregated`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};

use super::{IdTokenArgs, ZoneArgs};

/// Flags of `aggregated`.
#[derive(Debug, Args)]
pub(crate) struct AggregatedArgs {
    /// Kubeconfig file for the host cluster. Without it the server is a pod there and uses its ServiceAccount.
    #[arg(long, value_name = "FILE", help_heading = "Host")]
    pub(crate) host_kubeconfig: Option<PathBuf>,

    /// Namespace of the server in the host: its Secrets are there, and nothing of others should be.
    #[arg(
        long,
        value_name = "NAMESPACE",
        env = "POD_NAMESPACE",
        default_value = "kubeconfig-apiserver",
        help_heading = "Host"
    )]
    pub(crate) namespace: String,

    /// Service that leads to --secure-port; the APIService v1.ext.cattle.io names it.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "kubeconfig-apiserver",
        help_heading = "Host"
    )]
    pub(crate) service: String,

    /// Service that leads to --gateway-port.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "kubeconfig-apiserver-gateway",
        help_heading = "Host"
    )]
    pub(crate) gateway_service: String,

    /// Take a front proxy of any name where the host allows any (requestheader-allowed-names is empty) although its
    /// CA signs other clients' certificates too. Every such client can then be everybody.
    #[arg(long, help_heading = "Host")]
    pub(crate) allow_empty_front_proxy_names: bool,

    /// Where the records are kept.
    #[arg(
        long,
        value_name = "KIND",
        default_value = "kubernetes",
        help_heading = "Store"
    )]
    pub(crate) store: StoreKind,

    #[command(flatten)]
    pub(crate) etcd: EtcdArgs,

    #[command(flatten)]
    pub(crate) listen: ListenArgs,

    #[command(flatten)]
    pub(crate) zone: ZoneArgs,

    #[command(flatten)]
    pub(crate) id_tokens: IdTokenArgs,
}

/// Where the records are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum StoreKind {
    /// In Secrets of --namespace, one for each record.
    Kubernetes,
    /// In etcd.
    Etcd,
}

/// How etcd is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Store etcd")]
pub(crate) struct EtcdArgs {
    /// URLs of its members.
    #[arg(
        long,
        value_name = "URL,…",
        value_delimiter = ',',
        required_if_eq("store", "etcd")
    )]
    pub(crate) etcd_endpoints: Vec<String>,

    /// What all keys begin with.
    #[arg(long, value_name = "PATH", default_value = "/kubeconfig-apiserver")]
    pub(crate) etcd_prefix: String,

    /// Certificate authority of its members, PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) etcd_ca_file: Option<PathBuf>,

    /// Client certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "etcd_key_file")]
    pub(crate) etcd_cert_file: Option<PathBuf>,

    /// Key of the client certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "etcd_cert_file")]
    pub(crate) etcd_key_file: Option<PathBuf>,

    /// Keys that seal secret records, the newest first. All replicas need the same.
    #[arg(long, value_name = "FILE", required_if_eq("store", "etcd"))]
    pub(crate) encryption_keys: Option<PathBuf>,
}

/// Where it listens, and how it shows who it is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listeners")]
pub(crate) struct ListenArgs {
    /// Address of both listeners.
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub(crate) bind_address: IpAddr,

    /// Port for the host's API server.
    #[arg(long, value_name = "PORT", default_value_t = 6443)]
    pub(crate) secure_port: u16,

    /// Port for users and clusters: the way to clusters, token reviews, documents that verify tokens.
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    pub(crate) gateway_port: u16,

    /// URL at which users and clusters reach the gateway port. Kubeconfigs name it, and tokens are issued in its name.
    #[arg(long, value_name = "URL")]
    pub(crate) external_url: String,

    /// Serving certificate of --secure-port, PEM; read again when it changes. Without it the server makes its own and
    /// keeps its CA in the APIService.
    #[arg(long, value_name = "FILE", requires = "tls_key_file")]
    pub(crate) tls_cert_file: Option<PathBuf>,

    /// Its key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub(crate) tls_key_file: Option<PathBuf>,

    /// Serving certificate of --gateway-port, PEM. Without it the server makes its own.
    #[arg(long, value_name = "FILE", requires = "gateway_tls_key_file")]
    pub(crate) gateway_tls_cert_file: Option<PathBuf>,

    /// Its key, PEM.
    #[arg(long, value_name = "FILE", requires = "gateway_tls_cert_file")]
    pub(crate) gateway_tls_key_file: Option<PathBuf>,

    /// CA of --gateway-tls-cert-file, PEM, for kubeconfigs; not needed where the machines of users trust it anyway.
    #[arg(long, value_name = "FILE", requires = "gateway_tls_cert_file")]
    pub(crate) gateway_ca_file: Option<PathBuf>,

    /// Connections open at once at each port. One client address has at most a half of them; when all are in use, the ones
    /// without a request make room. Fewer if the limit of open files (ulimit -n) is lower than twice as many.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = value_parser!(u32).range(1..))]
    pub(crate) max_connections: u32,

    /// Time to go on serving after a signal to stop, until nobody is sent here any more.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) shutdown_delay: u64,
}

impl ListenArgs {
    /// Returns the issuer of tokens, which is also the URL at which users reach the gateway.
    pub(crate) fn issuer(&self) -> String {
        self.external_url.trim_end_matches('/').to_owned()
    }
}
