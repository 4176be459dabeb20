//! Login in a browser on this machine: authorization code with PKCE, and a redirect to a port of
//! 127.0.0.1 (RFC 6749, section 4.1; RFC 7636; RFC 8252).

use std::time::Duration;

use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;

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

/// The random values of a login: the state that its redirect must carry, and the code verifier.
struct Attempt {
    state: String,
    verifier: String,
}

/// Logs in with a browser.
pub(crate) async fn log_in(login: &Login<'_>, browser: Browser) -> Result<Grant> {
    let loopback = Loopback::bind(browser.port).await?;
    let attempt = Attempt::new();
    let url = attempt.url(login, loopback.redirect_uri())?;
    say::line("To log in, open this address on this machine:");
    say::command(&url);
    if browser.open && browser::open(&url) {
        say::line("Opening it in your browser.");
    }
    let expected = Expected {
        state: attempt.state.clone(),
        issuer: login.provider.issuer.clone(),
    };
    let redirect_uri = loopback.redirect_uri().to_owned();
    let code = loopback.code(expected, LIMIT).await?;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.expose()),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", &attempt.verifier),
    ];
    let tokens = login.provider.tokens(login.metadata, &fields).await?;
    login.grant(tokens, Nonce::Is(&login.nonce))
}

impl Attempt {
    fn new() -> Self {
        Self {
            state: unguessable(),
            verifier: unguessable(),
        }
    }

    /// Returns the address for the user to open.
    fn url(&self, login: &Login<'_>, redirect_uri: &str) -> Result<String> {
        let (provider, metadata) = (login.provider, login.metadata);
        let endpoint = &metadata.authorization_endpoint;
        let uri: Uri = endpoint
            .parse()
            .with_context(|| format!("invalid URL {endpoint:?}"))?;
        let challenge = digest(&SHA256, self.verifier.as_bytes());
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &provider.scope(metadata))
            .append_pair("state", &self.state)
            .append_pair("nonce", &login.nonce)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
            .append_pair("code_challenge_method", "S256")
            .finish();
        let separator = if uri.query().is_some() { '&' } else { '?' };
        Ok(format!("{endpoint}{separator}{query}"))
    }
}

#[cfg(test)]
mod tests {
    use machinery::time::SystemClock;

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
        };
        let metadata = |endpoint: &str| Metadata {
            issuer: "https://idp".to_owned(),
            authorization_endpoint: endpoint.to_owned(),
            token_endpoint: String::new(),
            device_authorization_endpoint: None,
            revocation_endpoint: None,
            scopes_supported: Vec::new(),
        };
        let attempt = Attempt {
            state: "s".to_owned(),
            // RFC 7636, appendix B.
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
        };
        let query = "response_type=code&client_id=kubectl&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2F\
                     &scope=openid+e+mail&state=s&nonce=NONCE\
                     &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
        let server = "https://real.example".parse().unwrap();
        let url = |metadata: &Metadata| {
            let login = Login::new(&provider, metadata, &server, &SystemClock);
            assert_eq!(login.nonce, login.binding.nonce(&server));
            let url = attempt.url(&login, "http://127.0.0.1:1/").unwrap();
            url.replace(&login.nonce, "NONCE")
        };
        for (endpoint, separator) in [("https://idp/auth", '?'), ("https://idp/auth?p=x", '&')] {
            let found = url(&metadata(endpoint));
            assert_eq!(found, format!("{endpoint}{separator}{query}"));
        }
        let metadata = Metadata {
            scopes_supported: vec!["offline_access".to_owned()],
            ..metadata("https://idp/auth")
        };
        let query = query.replace("e+mail", "e+mail+offline_access");
        assert_eq!(url(&metadata), format!("https://idp/auth?{query}"));
    }

    #[test]
    fn no_two_attempts_are_alike() {
        let (one, other) = (Attempt::new(), Attempt::new());
        let mut all = [one.state, one.verifier, other.state, other.verifier];
        all.sort();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
        // RFC 7636, section 4.1.
        assert!(all.iter().all(|it| it.len() == 43));
    }
}
