use serde::Serialize;
use serde_saphyr::DoubleQuoted;

/// The program that a user entry without token runs. A bare name: kubectl looks it up in `PATH`.
const COMMAND: &str = "kubectl-kubeconfig";

/// What kubectl says when the program is missing.
const INSTALL_HINT: &str = "This kubeconfig gets its credentials from the kubectl plugin \
                            kubectl-kubeconfig, which is not in your PATH.";

/// A version of `client.authentication.k8s.io`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ExecVersion {
    /// For kubectl 1.22 and newer.
    #[default]
    V1,
    /// For older clients.
    V1Beta1,
}

/// The `exec` block of a user entry (`ExecConfig` of client-go's clientcmd API).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Exec {
    api_version: &'static str,
    command: &'static str,
    args: Vec<DoubleQuoted<String>>,
    install_hint: DoubleQuoted<&'static str>,
    interactive_mode: &'static str,
    provide_cluster_info: bool,
}

impl Exec {
    /// A block that gets a token for this server, or for the one cluster if given.
    ///
    /// The arguments are made of a validated host and an object name only. Each is one word with
    /// its flag, so that none can be taken for a flag itself.
    pub(super) fn new(version: ExecVersion, host: &str, cluster: Option<&str>) -> Exec {
        let mut args = vec!["credential".to_owned(), format!("--server=https://{host}")];
        args.extend(cluster.map(|id| format!("--cluster={id}")));
        Exec {
            api_version: match version {
                ExecVersion::V1 => "client.authentication.k8s.io/v1",
                ExecVersion::V1Beta1 => "client.authentication.k8s.io/v1beta1",
            },
            command: COMMAND,
            args: args.into_iter().map(DoubleQuoted).collect(),
            install_hint: DoubleQuoted(INSTALL_HINT),
            interactive_mode: "IfAvailable",
            provide_cluster_info: true,
        }
    }
}
