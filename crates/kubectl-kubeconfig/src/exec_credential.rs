//! `client.authentication.k8s.io`: the protocol between client-go and a credential plugin.
//!
//! The request is in the environment variable `KUBERNETES_EXEC_INFO`. The answer goes to stdout, in
//! the version of the request. Versions v1 and v1beta1 have the same fields. See client-go
//! `pkg/apis/clientauthentication` and `plugin/pkg/client/auth/exec`.

use std::ffi::OsStr;

use anyhow::{Context, Result, bail};
use api::plugin::ExecClusterConfig;
use jiff::Timestamp;
use machinery::time::rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::secret::Secret;
use crate::trust::{self, Trust};

const GROUP: &str = "client.authentication.k8s.io";
const KIND: &str = "ExecCredential";

/// The request of client-go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    version: Version,
    /// True if the user may be prompted. `None` without a request of client-go.
    pub(crate) interactive: Option<bool>,
    /// The cluster that the credential is for. Only sent with `provideClusterInfo: true`.
    pub(crate) cluster: Option<Cluster>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Version {
    #[default]
    V1,
    V1Beta1,
}

/// A cluster as described in the kubeconfig file. `disable-compression` applies to requests to the
/// cluster itself and is ignored here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Cluster {
    /// The address of the cluster.
    pub(crate) server: String,
    /// The name that the certificate of the cluster must have.
    pub(crate) tls_server_name: String,
    /// True if kubectl does not verify the certificate.
    pub(crate) insecure_skip_tls_verify: bool,
    /// PEM, encoded as base64.
    certificate_authority_data: Option<String>,
    /// The proxy for connections to the cluster.
    pub(crate) proxy_url: String,
    /// The extension that the server adds to its files.
    pub(crate) config: Option<ExecClusterConfig>,
}

/// A credential for a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(PartialEq))]
#[serde(rename_all = "camelCase")]
pub(crate) enum Credential {
    Token(Secret),
    Certificate {
        /// PEM.
        certificate: String,
        /// PEM.
        key: Secret,
    },
}

impl Request {
    /// Returns whether the user runs the program by hand rather than through client-go.
    pub(crate) fn is_by_hand(&self) -> bool {
        self.interactive.is_none()
    }

    /// Parses the variable. Without the variable, the user runs the program by hand.
    ///
    /// # Errors
    /// Fails if the format is invalid, or if the version of the API is unknown.
    pub(crate) fn parse(variable: Option<&OsStr>) -> Result<Self> {
        let Some(variable) = variable else {
            return Ok(Self {
                version: Version::V1,
                interactive: None,
                cluster: None,
            });
        };
        Self::from_json(variable.as_encoded_bytes()).context("KUBERNETES_EXEC_INFO")
    }

    fn from_json(json: &[u8]) -> Result<Self> {
        let typed: Typed = serde_json::from_slice(json)?;
        let version = match typed.api_version.strip_prefix(GROUP) {
            Some("/v1") => Version::V1,
            Some("/v1beta1") => Version::V1Beta1,
            _ => bail!(
                "unsupported apiVersion {:?}: supported values: {GROUP}/v1, {GROUP}/v1beta1",
                typed.api_version
            ),
        };
        if typed.kind != KIND {
            bail!("kind {:?} is not {KIND}", typed.kind);
        }
        Ok(Self {
            version,
            interactive: Some(typed.spec.interactive),
            cluster: typed.spec.cluster,
        })
    }

    /// Returns the answer in the version of the request.
    pub(crate) fn answer(&self, credential: &Credential, expires: Timestamp) -> Value {
        let version = match self.version {
            Version::V1 => "v1",
            Version::V1Beta1 => "v1beta1",
        };
        let expires = rfc3339(expires);
        let status = match credential {
            Credential::Token(token) => json!({
                "expirationTimestamp": expires,
                "token": token,
            }),
            Credential::Certificate { certificate, key } => json!({
                "expirationTimestamp": expires,
                "clientCertificateData": certificate,
                "clientKeyData": key,
            }),
        };
        json!({
            "apiVersion": format!("{GROUP}/{version}"),
            "kind": KIND,
            "status": status,
        })
    }
}

impl Cluster {
    /// Returns the CA of the cluster, or `None` if the file names no CA.
    pub(crate) fn trust(&self) -> Result<Option<Trust>> {
        trust(self.certificate_authority_data.as_deref())
    }
}

/// Returns the CA of the server in the extension, or `None` if the file names no CA.
pub(crate) fn server_trust(config: &ExecClusterConfig) -> Result<Option<Trust>> {
    trust(Some(&config.certificate_authority_data))
}

/// Checks the CA data of a file. Empty data means the CAs of the machine.
pub(crate) fn check_trust(data: &str) -> Result<()> {
    trust(Some(data)).map(|_| ())
}

fn trust(data: Option<&str>) -> Result<Option<Trust>> {
    let Some(data) = data.filter(|data| !data.is_empty()) else {
        return Ok(None);
    };
    Trust::from_pem(&trust::decode_pem(data)?).map(Some)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typed {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    interactive: bool,
    cluster: Option<Cluster>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRES: &str = "2026-01-02T03:04:05.9Z";

    fn parse(json: Value) -> Result<Request> {
        Request::parse(Some(OsStr::new(&json.to_string())))
    }

    #[test]
    fn a_question_is_read_whole() {
        let request = parse(json!({
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "kind": "ExecCredential",
            "spec": {
                "interactive": true,
                "cluster": {
                    "server": "https://a.b/k8s/clusters/c-1",
                    "tls-server-name": "name",
                    "insecure-skip-tls-verify": true,
                    "certificate-authority-data": "Q0E=",
                    "proxy-url": "http://proxy:3128",
                    "disable-compression": true,
                    "config": {
                        "server": "https://a.b",
                        "certificateAuthorityData": "Q0E=",
                        "kubeconfig": "kubeconfig-abcde",
                        "cluster": "c-1",
                        "audience": "cluster:c-1",
                    },
                },
            },
        }));
        let expected = Request {
            version: Version::V1Beta1,
            interactive: Some(true),
            cluster: Some(Cluster {
                server: "https://a.b/k8s/clusters/c-1".to_owned(),
                tls_server_name: "name".to_owned(),
                insecure_skip_tls_verify: true,
                certificate_authority_data: Some("Q0E=".to_owned()),
                proxy_url: "http://proxy:3128".to_owned(),
                config: Some(ExecClusterConfig {
                    server: "https://a.b".to_owned(),
                    certificate_authority_data: "Q0E=".to_owned(),
                    kubeconfig: "kubeconfig-abcde".to_owned(),
                    cluster: "c-1".to_owned(),
                    audience: "cluster:c-1".to_owned(),
                    oidc: None,
                }),
            }),
        };
        assert_eq!(request.unwrap(), expected);
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let question = |version: &str, kind: &str| json!({ "apiVersion": version, "kind": kind });
        for (json, expected) in [
            (
                question("client.authentication.k8s.io/v1alpha1", KIND),
                "KUBERNETES_EXEC_INFO: unsupported apiVersion \"client.authentication.k8s.io/v1alpha1\": supported values: client.authentication.k8s.io/v1, client.authentication.k8s.io/v1beta1",
            ),
            (
                question("client.authentication.k8s.io/v1", "Secret"),
                "KUBERNETES_EXEC_INFO: kind \"Secret\" is not ExecCredential",
            ),
            (
                json!({}),
                "KUBERNETES_EXEC_INFO: unsupported apiVersion \"\": supported values: client.authentication.k8s.io/v1, client.authentication.k8s.io/v1beta1",
            ),
        ] {
            assert_eq!(format!("{:#}", parse(json).unwrap_err()), expected);
        }
        assert!(Request::parse(Some(OsStr::new("{"))).is_err());
    }

    #[test]
    fn the_answer_is_in_the_version_of_the_question() {
        let token = Credential::Token(Secret::new("t0ken".to_owned()));
        let certificate = Credential::Certificate {
            certificate: "PEM".to_owned(),
            key: Secret::new("KEY".to_owned()),
        };
        for version in ["v1", "v1beta1"] {
            let version = format!("client.authentication.k8s.io/{version}");
            let request = parse(json!({ "apiVersion": version, "kind": KIND })).unwrap();
            assert_eq!(
                request.answer(&token, EXPIRES.parse().unwrap()),
                json!({
                    "apiVersion": version,
                    "kind": "ExecCredential",
                    "status": { "expirationTimestamp": "2026-01-02T03:04:05Z", "token": "t0ken" },
                })
            );
            assert_eq!(
                request.answer(&certificate, EXPIRES.parse().unwrap()),
                json!({
                    "apiVersion": version,
                    "kind": "ExecCredential",
                    "status": {
                        "expirationTimestamp": "2026-01-02T03:04:05Z",
                        "clientCertificateData": "PEM",
                        "clientKeyData": "KEY",
                    },
                })
            );
        }
    }

    #[test]
    fn without_a_question_the_answer_is_in_v1() {
        let request = Request::parse(None).unwrap();
        let answer = request.answer(
            &Credential::Token(Secret::new(String::new())),
            EXPIRES.parse().unwrap(),
        );
        assert_eq!(answer["apiVersion"], "client.authentication.k8s.io/v1");
        assert_eq!((request.interactive, request.cluster), (None, None));
    }
}
