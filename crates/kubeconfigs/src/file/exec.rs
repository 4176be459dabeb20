/// The program that a user entry without token runs. A bare name: kubectl looks it up in `PATH`.
pub(super) const COMMAND: &str = "kubectl-kubeconfig";

/// A version of `client.authentication.k8s.io`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ExecVersion {
    /// For kubectl 1.22 and newer.
    #[default]
    V1,
    /// For older clients.
    V1Beta1,
}

/// What the users of a file without tokens need beside its record.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExecCredentials {
    /// How client-go talks to the plugin.
    pub version: ExecVersion,
    /// The `iss` of all tokens, from which their audiences follow.
    pub issuer: String,
}

/// Which credential a user entry is to get.
pub(super) struct Wanted<'a> {
    /// The host of the server that issues it.
    pub(super) host: &'a str,
    /// The record that it belongs to.
    pub(super) kubeconfig: &'a str,
    /// The cluster that it is for; `None` for the server itself.
    pub(super) cluster: Option<&'a str>,
    /// Whether it is a client certificate instead of a token.
    pub(super) certificate: bool,
}

/// The `exec` block of a user entry (`ExecConfig` of client-go's clientcmd API), which also asks for
/// what is known of the cluster.
pub(super) struct Exec {
    pub(super) api_version: &'static str,
    pub(super) args: Vec<String>,
}

impl Exec {
    /// A block that gets this credential.
    ///
    /// The arguments are made of a validated host and object names only. Each is one word with its
    /// flag, so that none can be taken for a flag itself.
    pub(super) fn new(version: ExecVersion, wanted: &Wanted<'_>) -> Exec {
        let mut args = vec![
            "credential".to_owned(),
            format!("--server=https://{}", wanted.host),
            format!("--kubeconfig={}", wanted.kubeconfig),
        ];
        args.extend(wanted.cluster.map(|id| format!("--cluster={id}")));
        if wanted.certificate {
            args.push("--client-certificate".to_owned());
        }
        Exec {
            api_version: match version {
                ExecVersion::V1 => "client.authentication.k8s.io/v1",
                ExecVersion::V1Beta1 => "client.authentication.k8s.io/v1beta1",
            },
            args,
        }
    }
}
