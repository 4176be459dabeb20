//! The simplest access control: one token that may do everything.

use std::net::SocketAddr;

use async_trait::async_trait;
use auth::user::SYSTEM_MASTERS;
use auth::{
    Attributes, Authentication, Authenticator, Authorizer, AuthorizerError, Credentials, Decision,
    Rules, UserInfo,
};
use serde_json::json;

/// An authenticator of one user, by this token.
pub(crate) struct Token(pub(crate) String);

#[async_trait]
impl Authenticator for Token {
    fn name(&self) -> &'static str {
        "token"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        match credentials.bearer {
            None => Authentication::NotRequested,
            Some(sent) if sent == self.0 => Authentication::of(UserInfo {
                groups: vec![SYSTEM_MASTERS.to_owned()],
                ..UserInfo::named("admin")
            }),
            Some(_) => Authentication::failed("another token"),
        }
    }
}

/// An authorizer that allows everything. Authentication restricts anonymous callers to public
/// paths.
pub(crate) struct Everything;

#[async_trait]
impl Authorizer for Everything {
    async fn authorize(&self, _: &UserInfo, _: &Attributes) -> Result<Decision, AuthorizerError> {
        Ok(Decision::Allow {
            reason: String::new(),
        })
    }

    async fn rules(&self, _: &UserInfo, _: &str) -> Result<Rules, AuthorizerError> {
        Ok(Rules::default())
    }
}

/// Returns a kubeconfig with the token, as JSON, which is valid YAML.
pub(crate) fn kubeconfig(address: SocketAddr, certificate: &str, token: &str) -> String {
    let certificate =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, certificate);
    json!({
        "kind": "Config",
        "apiVersion": "v1",
        "clusters": [{ "name": "flunders", "cluster": {
            "server": format!("https://{address}"),
            "certificate-authority-data": certificate,
        }}],
        "users": [{ "name": "admin", "user": { "token": token } }],
        "contexts": [{ "name": "flunders", "context": { "cluster": "flunders", "user": "admin" } }],
        "current-context": "flunders",
    })
    .to_string()
}
