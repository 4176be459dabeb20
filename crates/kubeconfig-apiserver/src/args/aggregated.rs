//! Flags of `aggregated`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};

use super::{IdTokenArgs, ZoneArgs};

/// Flags of `aggregated`.
#[derive(Debug, Args)]
pub(crate) struct AggregatedArgs {
    /// Kubeconfig file for the host cluster. If it is not set, the server must run in a pod of the
    /// host, and uses the ServiceAccount of the pod.
    #[arg(long, value_name = "FILE", help_heading = "Host")]
    pub(crate) host_kubeconfig: Option<PathBuf>,

    /// Namespace of the server in the host. It contains the Secrets of the server, and should
    /// contain no objects of others.
    #[arg(
        long,
        value_name = "NAMESPACE",
        env = "POD_NAMESPACE",
        default_value = "kubeconfig-apiserver",
        help_heading = "Host"
    )]
    pub(crate) namespace: String,

    /// Service for --secure-port; the APIService v1.ext.cattle.io refers to it.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "kubeconfig-apiserver",
        help_heading = "Host"
    )]
    pub(crate) service: String,

    /// Service for --gateway-port.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "kubeconfig-apiserver-gateway",
        help_heading = "Host"
    )]
    pub(crate) gateway_service: String,

    /// Accept a front proxy of any name if the host accepts any (requestheader-allowed-names is
    /// empty), although its CA signs certificates of other clients too. Every such client can then
    /// impersonate all users.
    #[arg(long, help_heading = "Host")]
    pub(crate) allow_empty_front_proxy_names: bool,

    /// Where the records are stored.
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

/// The places where records can be stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum StoreKind {
    /// In Secrets of --namespace, one for each record.
    Kubernetes,
    /// In etcd.
    Etcd,
}

/// The connection to etcd.
#[derive(Debug, Args)]
#[command(next_help_heading = "Store etcd")]
pub(crate) struct EtcdArgs {
    /// URLs of the members of etcd.
    #[arg(
        long,
        value_name = "URL,…",
        value_delimiter = ',',
        required_if_eq("store", "etcd")
    )]
    pub(crate) etcd_endpoints: Vec<String>,

    /// Prefix of all keys.
    #[arg(long, value_name = "PATH", default_value = "/kubeconfig-apiserver")]
    pub(crate) etcd_prefix: String,

    /// Certificate authority of the members of etcd, PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) etcd_ca_file: Option<PathBuf>,

    /// Client certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "etcd_key_file")]
    pub(crate) etcd_cert_file: Option<PathBuf>,

    /// Private key of the client certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "etcd_cert_file")]
    pub(crate) etcd_key_file: Option<PathBuf>,

    /// File with the keys that seal secret records, the newest first. All replicas need the same
    /// file.
    #[arg(long, value_name = "FILE", required_if_eq("store", "etcd"))]
    pub(crate) encryption_keys: Option<PathBuf>,
}

/// The listeners and their certificates.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listeners")]
pub(crate) struct ListenArgs {
    /// Address of both listeners.
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub(crate) bind_address: IpAddr,

    /// Port for the host's API server.
    #[arg(long, value_name = "PORT", default_value_t = 6443)]
    pub(crate) secure_port: u16,

    /// Port for users and clusters: access to clusters, token reviews, and the documents that
    /// verify tokens.
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    pub(crate) gateway_port: u16,

    /// URL at which users and clusters reach the gateway port. Kubeconfigs contain it, and it is
    /// the issuer of tokens.
    #[arg(long, value_name = "URL")]
    pub(crate) external_url: String,

    /// Serving certificate of --secure-port, PEM; reloaded when it changes. If it is not set, the
    /// server creates its own and stores its CA in the APIService.
    #[arg(long, value_name = "FILE", requires = "tls_key_file")]
    pub(crate) tls_cert_file: Option<PathBuf>,

    /// Private key of --tls-cert-file, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub(crate) tls_key_file: Option<PathBuf>,

    /// Serving certificate of --gateway-port, PEM. If it is not set, the server creates its own.
    #[arg(long, value_name = "FILE", requires = "gateway_tls_key_file")]
    pub(crate) gateway_tls_cert_file: Option<PathBuf>,

    /// Private key of --gateway-tls-cert-file, PEM.
    #[arg(long, value_name = "FILE", requires = "gateway_tls_cert_file")]
    pub(crate) gateway_tls_key_file: Option<PathBuf>,

    /// CA of --gateway-tls-cert-file, PEM, for kubeconfigs; not needed if the machines of users
    /// trust it anyway.
    #[arg(long, value_name = "FILE", requires = "gateway_tls_cert_file")]
    pub(crate) gateway_ca_file: Option<PathBuf>,

    /// Maximum number of open connections at each port. One client address can have at most half of
    /// them; when all are in use, the server closes connections without a request. Lower if the
    /// limit of open files (ulimit -n) is less than twice this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = value_parser!(u32).range(1..))]
    pub(crate) max_connections: u32,

    /// Time to continue serving after a stop signal, until no more requests are routed to this
    /// server.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) shutdown_delay: u64,
}

impl ListenArgs {
    /// Returns the issuer of tokens, which is also the URL at which users reach the gateway.
    pub(crate) fn issuer(&self) -> String {
        self.external_url.trim_end_matches('/').to_owned()
    }
}
