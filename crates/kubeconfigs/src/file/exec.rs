/// The program that a user entry without token runs. A bare name: kubectl looks it up in `PATH`.
pub(super) const COMMAND: &str = "kubectl-kubeconfig";

/// A version of `client.authentication.k8s.io`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ExecVersion {
    /// The version for kubectl 1.22 and newer.
    #[default]
    V1,
    /// The version for older clients.
    V1Beta1,
}

/// The parameters that the users of a file without tokens need in addition to the record.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExecCredentials {
    /// The API version that client-go and the plugin use.
    pub version: ExecVersion,
    /// The `iss` of all tokens, from which their audiences follow.
    pub issuer: String,
}

/// The credential that a user entry requests.
pub(super) struct Wanted<'a> {
    /// The host of the server that issues the credential.
    pub(super) host: &'a str,
    /// The record that the credential belongs to.
    pub(super) kubeconfig: &'a str,
    /// The cluster that the credential is for, or `None` for the server itself.
    pub(super) cluster: Option<&'a str>,
    /// True if the credential is a client certificate instead of a token.
    pub(super) certificate: bool,
}

/// The `exec` block of a user entry (`ExecConfig` of client-go's clientcmd API). It also requests
/// the cluster's information.
pub(super) struct Exec {
    pub(super) api_version: &'static str,
    pub(super) args: Vec<String>,
}

impl Exec {
    /// Creates a block that obtains this credential.
    ///
    /// The arguments contain only a validated host and object names. Each is a single word with its
    /// flag, so that no value can be mistaken for a flag.
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
