//! What the server tells the kubectl plugin: in kubeconfig files without tokens, and at one address
//! that everybody may read. Neither holds a secret.

use serde::{Deserialize, Serialize};

use crate::decoding::null_as_zero;

/// The extension of a cluster entry that client-go hands to the plugin as `spec.cluster.config`.
pub const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

/// Where the server says how its users log in.
pub const LOGIN_PATH: &str = "/.well-known/kubeconfig-login";

/// What a cluster entry of a file without tokens tells the plugin.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExecClusterConfig {
    /// The server that issues the credentials: `https://HOST`.
    #[serde(deserialize_with = "null_as_zero")]
    pub server: String,

    /// The certificate authorities that vouch for `server`: PEM, in base64. Empty where those of the
    /// user's machine do.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub certificate_authority_data: String,

    /// The record that the file belongs to.
    #[serde(deserialize_with = "null_as_zero")]
    pub kubeconfig: String,

    /// The cluster that the credential is for, by id; `local` for the server itself.
    #[serde(deserialize_with = "null_as_zero")]
    pub cluster: String,

    /// The audience of tokens for that cluster.
    #[serde(deserialize_with = "null_as_zero")]
    pub audience: String,

    /// The provider whose users are the cluster's; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcLogin>,
}

/// How users log in.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoginDiscovery {
    /// The OpenID Connect provider whose ID tokens the server accepts; absent where it accepts none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcLogin>,
}

/// An OpenID Connect provider, as a client needs to know it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OidcLogin {
    /// Its URL, under which its discovery document is.
    #[serde(deserialize_with = "null_as_zero")]
    pub issuer: String,

    /// The client that ID tokens must be made for.
    #[serde(rename = "clientID", deserialize_with = "null_as_zero")]
    pub client_id: String,

    /// The scopes to ask for, `openid` first.
    #[serde(deserialize_with = "null_as_zero")]
    pub scopes: Vec<String>,

    /// The certificate authorities that vouch for the provider: PEM, in base64. Empty where those of
    /// the user's machine do.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub certificate_authority_data: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_extension_has_the_names_that_files_carry() {
        let config = ExecClusterConfig {
            server: "https://example.com".to_owned(),
            certificate_authority_data: "LS0t".to_owned(),
            kubeconfig: "kubeconfig-abcde".to_owned(),
            cluster: "c-a".to_owned(),
            audience: "cluster:c-a".to_owned(),
            oidc: None,
        };
        let json = json!({
            "server": "https://example.com",
            "certificateAuthorityData": "LS0t",
            "kubeconfig": "kubeconfig-abcde",
            "cluster": "c-a",
            "audience": "cluster:c-a",
        });
        assert_eq!(serde_json::to_value(&config).unwrap(), json);
        assert_eq!(
            serde_json::from_value::<ExecClusterConfig>(json).unwrap(),
            config
        );
    }

    #[test]
    fn a_server_without_provider_says_nothing() {
        let discovery = LoginDiscovery::default();
        assert_eq!(serde_json::to_value(&discovery).unwrap(), json!({}));
        let json = json!({"oidc": {
            "issuer": "https://idp.example.com",
            "clientID": "kubectl",
            "scopes": ["openid"],
            "certificateAuthorityData": "LS0t",
        }});
        let discovery: LoginDiscovery = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&discovery).unwrap(), json);
    }
}
