//! The command line of `cluster`.

use std::path::PathBuf;

use clap::Subcommand;

/// Which server, and what to do with its clusters.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArgs {
    /// The file that leads to the server, by its current context. Defaults to what KUBECONFIG names, else ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The namespace of the server's own Secrets: that of an aggregated server, where it is not called so.
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

/// What is done with clusters.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Registers a real cluster, or renews its credential.
    ///
    /// Makes a ServiceAccount in the cluster that may impersonate users and nothing else, takes a
    /// token for it, keeps the token in a Secret of the server and writes the Cluster object.
    /// Run again, it changes what differs and takes a new token.
    ///
    ///   kubeconfig-apiserver cluster add prod --from ~/prod.kubeconfig --display-name Production
    ///
    /// Whoever may not hand out administrator rights applies the manifests of deploy/downstream/
    /// there, and gives a token:
    ///
    ///   kubectl apply -f deploy/downstream/
    ///   kubectl create token gateway -n kubeconfig-apiserver --duration 8760h > prod.token
    ///   kubeconfig-apiserver cluster add prod --from ~/prod.kubeconfig --credential-file prod.token
    #[command(verbatim_doc_comment)]
    Add(AddArgs),

    /// Takes a cluster back: what `add` made in it, its credentials and its Cluster object.
    ///
    ///   kubeconfig-apiserver cluster remove prod --from ~/prod.kubeconfig
    ///   kubeconfig-apiserver cluster remove gone --keep-downstream
    #[command(verbatim_doc_comment)]
    Remove(RemoveArgs),

    /// Binds the Secrets of a cluster to it, and the gateway's credential to its connection.
    ///
    /// The gateway sends the credential of a cluster to the server, with the certificate
    /// authorities, TLS server name and proxy that the Secret is bound to, and nowhere else. `add`
    /// binds the Secret that it writes. This command is for Secrets that were made in another way
    /// or by an older version, and for a connection that was changed on purpose; then it asks for
    /// the digest of the new connection.
    ///
    ///   kubeconfig-apiserver cluster bind prod
    ///   kubeconfig-apiserver cluster bind --all
    #[command(
        verbatim_doc_comment,
        override_usage = "kubeconfig-apiserver cluster bind [OPTIONS] <NAME | --all>"
    )]
    Bind(BindArgs),

    /// Prints the clusters, whether they are reached, and how long their credentials last.
    List,

    /// Prints the configuration by which a cluster asks this server whether a token counts.
    ///
    /// For the flag --authentication-token-webhook-config-file of the cluster's kube-apiserver. It
    /// holds a credential that is shown this once; run again, the command makes a new one, and the
    /// old one counts until the run after that or --revoke-previous.
    ///
    ///   kubeconfig-apiserver cluster webhook prod > webhook.yaml
    #[command(verbatim_doc_comment)]
    Webhook(WebhookArgs),

    /// Prints the configuration by which a cluster verifies tokens by itself, by OIDC.
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
    /// Id of the cluster in the server: lower-case letters, digits and hyphens.
    pub(crate) name: String,

    /// The kubeconfig file of the real cluster.
    #[arg(long, value_name = "FILE")]
    pub(crate) from: PathBuf,

    /// The context in it to use. Defaults to its current one.
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) from_context: Option<String>,

    /// What people call the cluster; contexts in their files are named so. Defaults to what it is called already, else NAME.
    #[arg(long, value_name = "TEXT")]
    pub(crate) display_name: Option<String>,

    /// A file with a token of the gateway's ServiceAccount: changes nothing in the cluster, and uses of --from only how the cluster is reached.
    #[arg(long, value_name = "FILE")]
    pub(crate) credential_file: Option<PathBuf>,
}

/// Flags of `cluster remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// Id of the cluster in the server.
    pub(crate) name: String,

    /// The kubeconfig file of the real cluster.
    #[arg(long, value_name = "FILE", required_unless_present = "keep_downstream")]
    pub(crate) from: Option<PathBuf>,

    /// The context in it to use. Defaults to its current one.
    #[arg(long, value_name = "CONTEXT", requires = "from")]
    pub(crate) from_context: Option<String>,

    /// Leave what `add` made in the cluster, e.g. because it is gone.
    #[arg(long, conflicts_with = "from")]
    pub(crate) keep_downstream: bool,
}

/// Flags of `cluster bind`.
#[derive(Debug, clap::Args)]
pub(crate) struct BindArgs {
    /// Id of the cluster in the server.
    #[arg(required_unless_present = "all")]
    pub(crate) name: Option<String>,

    /// Bind the Secrets of all clusters that have no binding yet.
    #[arg(long, conflicts_with = "name")]
    pub(crate) all: bool,

    /// The digest of the connection, as the command shows it, to bind a Secret that is bound to another one.
    #[arg(long, value_name = "SHA256", conflicts_with = "all")]
    pub(crate) to: Option<String>,
}

/// How clusters reach the server.
#[derive(Debug, clap::Args)]
pub(crate) struct EndpointArgs {
    /// URL at which clusters reach the server. Defaults to the setting server-url.
    #[arg(long, value_name = "URL")]
    pub(crate) server_url: Option<String>,

    /// The certificate authorities, PEM, that vouch for that URL; none for those that machines trust anyway. Defaults to the
    /// setting cacerts. An aggregated server keeps its own as `caBundle` of the APIService v1.ext.cattle.io.
    #[arg(long, value_name = "FILE", requires = "server_url")]
    pub(crate) server_ca_file: Option<PathBuf>,
}

/// Flags of `cluster webhook`.
#[derive(Debug, clap::Args)]
pub(crate) struct WebhookArgs {
    /// Id of the cluster in the server.
    pub(crate) name: String,

    /// End the credential that was given before at once, rather than let it count beside the new one.
    #[arg(long)]
    pub(crate) revoke_previous: bool,

    /// What the cluster's kube-apiserver calls itself: its --api-audiences, else its --service-account-issuer. May be given more than
    /// once. Defaults to what was given before, else <https://kubernetes.default.svc.cluster.local>.
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) api_audience: Vec<String>,

    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

/// Flags of `cluster oidc`.
#[derive(Debug, clap::Args)]
pub(crate) struct OidcArgs {
    /// Id of the cluster in the server.
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}
