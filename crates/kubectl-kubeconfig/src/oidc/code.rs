//! Login in a browser on this machine: authorization code with PKCE, and a redirect to a port of
//! 127.0.0.1 (RFC 6749, section 4.1; RFC 7636; RFC 8252).

use std::time::Duration;

use anyhow::{Context, Result};
use oauth2::url::Url;
use oauth2::{AuthorizationCode, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl};

use super::client::rejected;
use super::id_token::Nonce;
use super::loopback::{Expected, Loopback};
use super::{Grant, Login, browser, unguessable};
use crate::say;

/// Time for the user to log in.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Options for the browser.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Browser {
    /// True if the browser is to be started.
    pub(crate) open: bool,
    /// The port of the redirect URI; 0 for any port.
    pub(crate) port: u16,
}

/// Logs in with a browser.
pub(crate) async fn log_in(login: &Login<'_>, browser: Browser) -> Result<Grant> {
    let loopback = Loopback::bind(browser.port).await?;
    let redirect_uri = RedirectUrl::new(loopback.redirect_uri().to_owned());
    let redirect_uri = redirect_uri.context("the redirect URI is invalid")?;
    let verifier = PkceCodeVerifier::new(unguessable());
    let state = unguessable();
    let url = url(login, &redirect_uri, &verifier, &state);
    say::line("To log in, open this address on this machine:");
    say::command(url.as_str());
    if browser.open && browser::open(url.as_str()) {
        say::line("Opening it in your browser.");
    }
    let expected = Expected {
        state,
        issuer: login.provider.issuer.clone(),
    };
    let code = loopback.code(expected, LIMIT).await?;
    let code = AuthorizationCode::new(code.expose().to_owned());
    let client = login.client.clone().set_redirect_uri(redirect_uri);
    let request = client.exchange_code(code).set_pkce_verifier(verifier);
    let send = |request| login.provider.send(request);
    let tokens = request.request_async(&send).await.map_err(rejected)?;
    login.grant(&tokens, Nonce::Is(&login.nonce))
}

/// Returns the address for the user to open.
fn url(
    login: &Login<'_>,
    redirect_uri: &RedirectUrl,
    verifier: &PkceCodeVerifier,
    state: &str,
) -> Url {
    let client = login.client.clone().set_redirect_uri(redirect_uri.clone());
    let request = client.authorize_url(|| CsrfToken::new(state.to_owned()));
    let request = request.add_scopes(login.provider.scopes(login.metadata));
    let request =
        request.set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(verifier));
    let (url, _) = request.add_extra_param("nonce", &login.nonce).url();
    url
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use machinery::time::SystemClock;
    use serde_json::json;

    use super::*;
    use crate::oidc::{Metadata, Provider};
    use crate::trust::Trust;

    #[test]
    fn the_address_carries_the_hash_of_the_verifier() {
        let provider = Provider {
            issuer: "https://idp".to_owned(),
            client_id: "kubectl".to_owned(),
            scopes: vec!["openid".to_owned(), "e mail".to_owned()],
            trust: Trust::default(),
            unbound: false,
            client_secret: None,
        };
        let metadata = |endpoint: &str, scopes: &[&str]| -> Metadata {
            let metadata = json!({
                "issuer": "https://idp",
                "authorization_endpoint": endpoint,
                "token_endpoint": "https://idp/token",
                "scopes_supported": scopes,
            });
            serde_json::from_value(metadata).unwrap()
        };
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let server = "https://real.example".parse().unwrap();
        let pairs = |metadata: &Metadata| {
            let login = Login::new(&provider, metadata, &server, &SystemClock).unwrap();
            assert_eq!(login.nonce, login.binding.nonce(&server));
            let redirect_uri = RedirectUrl::new("http://127.0.0.1:1/".to_owned()).unwrap();
            let verifier = PkceCodeVerifier::new(verifier.to_owned());
            let url = url(&login, &redirect_uri, &verifier, "s");
            assert!(url.as_str().starts_with("https://idp/auth?"));
            let pairs = url.query_pairs().into_owned();
            let mut pairs: BTreeMap<String, String> = pairs.collect();
            assert_eq!(pairs.remove("nonce"), Some(login.nonce.clone()));
            pairs
        };
        let expected = json!({
            "response_type": "code",
            "client_id": "kubectl",
            "redirect_uri": "http://127.0.0.1:1/",
            "scope": "openid e mail",
            "state": "s",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "S256",
        });
        let found = pairs(&metadata("https://idp/auth", &[]));
        assert_eq!(json!(found), expected);
        let mut found = pairs(&metadata("https://idp/auth?p=x", &[]));
        assert_eq!(found.remove("p").as_deref(), Some("x"));
        assert_eq!(json!(found), expected);
        let found = pairs(&metadata("https://idp/auth", &["offline_access"]));
        assert_eq!(found["scope"], "openid e mail offline_access");
    }

    #[test]
    fn no_two_values_are_alike() {
        let (one, other) = (unguessable(), unguessable());
        assert_ne!(one, other);
        // RFC 7636, section 4.1.
        assert_eq!((one.len(), other.len()), (43, 43));
    }
}
