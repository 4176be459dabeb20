//! The command line of `cluster`.

use std::path::PathBuf;

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;

/// The server, and the operation on its clusters.
#[derive(Debug, clap::Args)]
pub struct ClusterArgs {
    /// Kubeconfig file for the server, with its current context. Defaults to KUBECONFIG, or
    /// ~/.kube/config if it is not set.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Namespace of the server's own Secrets. Set it if an aggregated server runs in another
    /// namespace.
    #[arg(
        long,
        global = true,
        value_name = "NAMESPACE",
        default_value = "kubeconfig-apiserver"
    )]
    pub(crate) namespace: String,

    #[command(subcommand)]
    pub(crate) command: ClusterCommand,
}

/// The operations on clusters.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Registers a real cluster, or renews its credential.
    ///
    /// Creates a ServiceAccount in the cluster that may only impersonate users, gets a token for it,
    /// stores the token in a Secret of the server and writes the Cluster object. If the cluster is
    /// already registered, updates what differs and gets a new token.
    ///
    ///   kubeconfig-apiserver cluster add prod --from ~/prod.kubeconfig --display-name Production
    ///
    /// If you may not grant administrator rights in the cluster, apply the manifests of
    /// deploy/downstream/ there, and pass a token:
    ///
    ///   kubectl apply -f deploy/downstream/
    ///   kubectl create token gateway -n kubeconfig-apiserver --duration 8760h > prod.token
    ///   kubeconfig-apiserver cluster add prod --from ~/prod.kubeconfig --credential-file prod.token
    #[command(verbatim_doc_comment)]
    Add(AddArgs),

    /// Unregisters a cluster: removes what `add` created in it, its credentials and its Cluster object.
    ///
    /// A namespace that contains objects of others is kept, and the command names some of them.
    ///
    ///   kubeconfig-apiserver cluster remove prod --from ~/prod.kubeconfig
    ///   kubeconfig-apiserver cluster remove gone --keep-downstream
    #[command(verbatim_doc_comment)]
    Remove(RemoveArgs),

    /// Binds the Secrets of a cluster to it, and the gateway's credential to its connection.
    ///
    /// The gateway sends the credential of a cluster only to the server, and only with the certificate
    /// authorities, TLS server name and proxy, that the Secret is bound to. `add` binds the Secret that
    /// it writes. Use this command for Secrets that were created in another way or by an older version,
    /// and for a connection that was changed on purpose; the command then asks for the digest of the new
    /// connection.
    ///
    ///   kubeconfig-apiserver cluster bind prod
    ///   kubeconfig-apiserver cluster bind --all
    #[command(
        verbatim_doc_comment,
        override_usage = "kubeconfig-apiserver cluster bind [OPTIONS] <NAME | --all>"
    )]
    Bind(BindArgs),

    /// Lists the clusters, whether the server reaches them, and how long their credentials are
    /// valid.
    List,

    /// Prints the configuration with which a cluster asks this server whether a token is valid.
    ///
    /// For the flag --authentication-token-webhook-config-file of the cluster's kube-apiserver. It
    /// contains a credential that is shown only once. If you run the command again, it creates a new
    /// credential; the old one is valid until the run after that, or until --revoke-previous.
    ///
    ///   kubeconfig-apiserver cluster webhook prod > webhook.yaml
    #[command(verbatim_doc_comment)]
    Webhook(WebhookArgs),

    /// Prints the configuration with which a cluster verifies tokens itself, by OIDC.
    ///
    /// For the flag --authentication-config of the cluster's kube-apiserver.
    ///
    ///   kubeconfig-apiserver cluster oidc prod > authentication.yaml
    #[command(verbatim_doc_comment)]
    Oidc(OidcArgs),
}

/// Flags of `cluster add`.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// ID of the cluster in the server: lower-case letters, digits and hyphens.
    pub(crate) name: String,

    /// Kubeconfig file of the real cluster.
    #[arg(long, value_name = "FILE")]
    pub(crate) from: PathBuf,

    /// Context in that file. Defaults to its current context.
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) from_context: Option<String>,

    /// Display name of the cluster, after which contexts in kubeconfig files are named. Defaults to
    /// the existing display name, or NAME.
    #[arg(long, value_name = "TEXT")]
    pub(crate) display_name: Option<String>,

    /// File with a token of the gateway's ServiceAccount. Nothing is changed in the cluster, and
    /// --from is used only to reach it.
    #[arg(long, value_name = "FILE")]
    pub(crate) credential_file: Option<PathBuf>,
}

/// Flags of `cluster remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// ID of the cluster in the server.
    pub(crate) name: String,

    /// Kubeconfig file of the real cluster.
    #[arg(long, value_name = "FILE", required_unless_present = "keep_downstream")]
    pub(crate) from: Option<PathBuf>,

    /// Context in that file. Defaults to its current context.
    #[arg(long, value_name = "CONTEXT", requires = "from")]
    pub(crate) from_context: Option<String>,

    /// Keep what `add` created in the cluster, e.g. because the cluster no longer exists.
    #[arg(long, conflicts_with_all = ["from", "from_context"])]
    pub(crate) keep_downstream: bool,
}

/// Flags of `cluster bind`.
#[derive(Debug, clap::Args)]
pub(crate) struct BindArgs {
    /// ID of the cluster in the server.
    #[arg(required_unless_present = "all")]
    pub(crate) name: Option<String>,

    /// Bind the Secrets of all clusters that are not bound yet.
    #[arg(long, conflicts_with = "name")]
    pub(crate) all: bool,

    /// Digest of the connection, as shown by this command, to bind a Secret that is bound to
    /// another connection.
    #[arg(long, value_name = "SHA256", conflicts_with = "all")]
    pub(crate) to: Option<String>,
}

/// The address at which clusters reach the server.
#[derive(Debug, clap::Args)]
pub(crate) struct EndpointArgs {
    /// URL at which clusters reach the server. Defaults to the setting server-url.
    #[arg(long, value_name = "URL")]
    pub(crate) server_url: Option<String>,

    /// PEM file with the certificate authorities of --server-url, without private keys; not needed if machines trust its
    /// certificate anyway. Without --server-url, the setting cacerts is used. An aggregated server
    /// stores its own as `caBundle` of the APIService v1.ext.cattle.io.
    #[arg(long, value_name = "FILE", requires = "server_url")]
    pub(crate) server_ca_file: Option<PathBuf>,
}

/// Flags of `cluster webhook`.
#[derive(Debug, clap::Args)]
pub(crate) struct WebhookArgs {
    /// ID of the cluster in the server.
    pub(crate) name: String,

    /// Revoke the previous credential immediately, instead of keeping it valid alongside the new
    /// one.
    #[arg(long)]
    pub(crate) revoke_previous: bool,

    /// API audience of the cluster's kube-apiserver: its --api-audiences, or else its
    /// --service-account-issuer. Can be repeated. Defaults to the previous value, or
    /// <https://kubernetes.default.svc.cluster.local>.
    #[arg(long, value_name = "AUDIENCE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) api_audience: Vec<String>,

    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

/// Flags of `cluster oidc`.
#[derive(Debug, clap::Args)]
pub(crate) struct OidcArgs {
    /// ID of the cluster in the server.
    pub(crate) name: String,

    /// Do not put the groups of users into tokens for the cluster (spec.groups.inTokens). Bindings
    /// to groups then have no effect there.
    #[arg(long)]
    pub(crate) no_groups: bool,

    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}
