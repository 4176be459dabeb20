//! The server that a bearer token is meant for, read without checking its signature.
//!
//! A webhook that is asked about a token receives the token itself, and can use it wherever it is
//! valid. So tokens that are meant for this server or for a cluster's API server are never sent to
//! one. The parser is lenient where other parsers are strict: anything that resembles such a token
//! is treated as one.

use std::sync::Arc;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};
use tokens::cluster_credential::ClusterToken;

/// The prefix of the subjects of ServiceAccount tokens.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// The claim that only Kubernetes writes: `kubernetes.io` and, before v1.21, `kubernetes.io/…`.
const KUBERNETES_CLAIM: &str = "kubernetes.io";

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// The issuers whose tokens are credentials for this server.
pub(crate) struct OwnIssuers {
    /// The issuer of the tokens that this server mints.
    pub(crate) minted: String,
    /// The clients whose ID tokens log in to this server.
    pub(crate) logins: LoginClients,
}

/// Source of the clients whose ID tokens log in to this server. They change with the configuration.
pub type LoginClients = Arc<dyn Fn() -> Vec<LoginClient> + Send + Sync>;

/// A client of an OpenID Connect provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginClient {
    /// The provider's `iss`.
    pub issuer: String,
    /// The client's ID, an audience of its tokens.
    pub client_id: String,
}

/// The server that a token is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CredentialOwner {
    /// This server, which issued the token.
    Issued,
    /// This server, which accepts the token as a login.
    Login,
    /// A cluster's API server, which issued the token to a ServiceAccount.
    ServiceAccount,
    /// No claim identifies the server.
    Unknown,
}

impl OwnIssuers {
    /// Returns the server that a token is meant for.
    pub(crate) fn owner_of(&self, token: &str) -> CredentialOwner {
        if ClusterToken::parse(token).is_some() {
            return CredentialOwner::Issued;
        }
        let mut owners = claims(token).map(|claims| self.owner_by(&claims));
        let known = owners.find(|owner| *owner != CredentialOwner::Unknown);
        known.unwrap_or(CredentialOwner::Unknown)
    }

    fn owner_by(&self, claims: &Map<String, Value>) -> CredentialOwner {
        let issuer = claims
            .get("iss")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let subject = claims
            .get("sub")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if is_same(issuer, &self.minted) {
            return CredentialOwner::Issued;
        }
        let is_login = |login: &LoginClient| {
            is_same(issuer, &login.issuer) && is_for(claims, &login.client_id)
        };
        if (self.logins)().iter().any(is_login) {
            return CredentialOwner::Login;
        }
        let of_kubernetes = |claim: &String| {
            let rest = claim.strip_prefix(KUBERNETES_CLAIM);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match subject.starts_with(SERVICE_ACCOUNT) || claims.keys().any(of_kubernetes) {
            true => CredentialOwner::ServiceAccount,
            false => CredentialOwner::Unknown,
        }
    }
}

/// Returns the JSON objects in all parts of a token, not only where a JWT has its claims: an
/// additional or missing character must not hide them. A dot may be percent-encoded.
fn claims(token: &str) -> impl Iterator<Item = Map<String, Value>> {
    let dotted = token.replace("%2e", ".").replace("%2E", ".");
    let parts: Vec<String> = dotted.split('.').map(str::to_owned).collect();
    parts.into_iter().filter_map(|part| object(&part))
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let alphabet = match part.contains(['+', '/']) {
        true => &STANDARD,
        false => &URL_SAFE,
    };
    let json = GeneralPurpose::new(alphabet, LENIENT).decode(part).ok()?;
    serde_json::from_slice(&json).ok()
}

fn is_same(issuer: &str, own: &str) -> bool {
    issuer
        .trim_end_matches('/')
        .eq_ignore_ascii_case(own.trim_end_matches('/'))
}

fn is_for(claims: &Map<String, Value>, client: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(audience)) => audience == client,
        Some(Value::Array(audiences)) => audiences.iter().any(|audience| audience == client),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(token: &str, expected: CredentialOwner) {
        let own = OwnIssuers {
            minted: "https://kubeconfigs.example".to_owned(),
            logins: Arc::new(|| {
                let client = |issuer: &str, client_id: &str| LoginClient {
                    issuer: issuer.to_owned(),
                    client_id: client_id.to_owned(),
                };
                vec![
                    client("https://ci.example", "https://kubeconfigs.example"),
                    client("https://login.example", "kubectl"),
                ]
            }),
        };
        assert_eq!(own.owner_of(token), expected, "{token}");
    }

    fn jwt(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn tokens_for_this_server_are_known_by_their_issuer() {
        let issued = json!({"iss": "https://kubeconfigs.example", "exp": 1.5, "sub": 1});
        check(&jwt(&issued), CredentialOwner::Issued);
        check(&format!("{}.more", jwt(&issued)), CredentialOwner::Issued);
        check(&format!(".{}", jwt(&issued)), CredentialOwner::Issued);
        check(&format!("..a.{}", jwt(&issued)), CredentialOwner::Issued);
        for dot in ["%2e", "%2E"] {
            check(&jwt(&issued).replace('.', dot), CredentialOwner::Issued);
        }
        let claims = jwt(&issued).split('.').nth(1).unwrap().to_owned();
        check(&claims, CredentialOwner::Issued);
        let padded = format!("e30.{}.c2ln", STANDARD.encode(issued.to_string()));
        check(&padded, CredentialOwner::Issued);
        let slash = json!({"iss": "https://kubeconfigs.example/"});
        check(&jwt(&slash), CredentialOwner::Issued);
        let long = json!({"iss": "https://kubeconfigs.example", "aud": "a".repeat(100_000)});
        check(&jwt(&long), CredentialOwner::Issued);
        let webhook = ClusterToken::generate("c-1");
        check(webhook.expose(), CredentialOwner::Issued);
    }

    #[test]
    fn a_login_is_known_by_its_client() {
        let of = |aud: Value| jwt(&json!({"iss": "https://login.example", "aud": aud}));
        check(&of(json!("kubectl")), CredentialOwner::Login);
        check(&of(json!(["a", "kubectl"])), CredentialOwner::Login);
        check(&of(json!("another")), CredentialOwner::Unknown);
    }

    #[test]
    fn tokens_of_service_accounts_are_known_by_what_kubernetes_writes() {
        for claims in [
            json!({"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:a:b"}),
            json!({"iss": "kubernetes/serviceaccount", "kubernetes.io/serviceaccount/namespace": "a"}),
            json!({"sub": "x", "kubernetes.io": {"namespace": "a"}}),
        ] {
            check(&jwt(&claims), CredentialOwner::ServiceAccount);
        }
    }

    #[test]
    fn other_tokens_say_nothing_of_it() {
        for claims in [
            json!({}),
            json!({"iss": "https://idp.example", "sub": "alice"}),
            json!([]),
        ] {
            check(&jwt(&claims), CredentialOwner::Unknown);
        }
        for token in ["", "opaque", "a.b", "a.b.c", "the-users-own-token"] {
            check(token, CredentialOwner::Unknown);
        }
    }
}
