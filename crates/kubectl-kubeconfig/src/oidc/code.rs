//! Login in a browser on this machine: authorization code with PKCE, back to a port of 127.0.0.1
//! (RFC 6749, section 4.1; RFC 7636; RFC 8252).

use std::time::Duration;

use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use machinery::time::Clock;

use super::loopback::{Expected, Loopback};
use super::{Grant, Metadata, Provider, browser, unguessable};
use crate::say;

/// How long a user may take.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// How the user gets to the provider.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Browser {
    /// Whether to open it.
    pub(crate) open: bool,
    /// The port that it comes back to; 0 for any.
    pub(crate) port: u16,
}

/// What one login is recognized by.
struct Attempt {
    state: String,
    nonce: String,
    verifier: String,
}

/// Logs in.
pub(crate) async fn log_in(
    provider: &Provider,
    metadata: &Metadata,
    browser: Browser,
    clock: &dyn Clock,
) -> Result<Grant> {
    let loopback = Loopback::bind(browser.port).await?;
    let attempt = Attempt::new();
    let url = attempt.url(provider, metadata, loopback.redirect_uri())?;
    say::line(format_args!(
        "To log in, open this address on this machine:\n\n    {url}\n"
    ));
    if browser.open && browser::open(&url) {
        say::line("Your browser was asked to open it.");
    }
    let expected = Expected {
        state: attempt.state.clone(),
        issuer: provider.issuer.clone(),
    };
    let redirect_uri = loopback.redirect_uri().to_owned();
    let code = loopback.code(expected, LIMIT).await?;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.expose()),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", &attempt.verifier),
    ];
    let tokens = provider.tokens(metadata, &fields).await?;
    tokens.grant(provider, Some(&attempt.nonce), clock.now())
}

impl Attempt {
    fn new() -> Self {
        Self {
            state: unguessable(),
            nonce: unguessable(),
            verifier: unguessable(),
        }
    }

    /// Where the user goes.
    fn url(&self, provider: &Provider, metadata: &Metadata, redirect_uri: &str) -> Result<String> {
        let endpoint = &metadata.authorization_endpoint;
        let uri: Uri = endpoint
            .parse()
            .with_context(|| format!("{endpoint:?} is no URL"))?;
        let challenge = digest(&SHA256, self.verifier.as_bytes());
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &provider.scope(metadata))
            .append_pair("state", &self.state)
            .append_pair("nonce", &self.nonce)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
            .append_pair("code_challenge_method", "S256")
            .finish();
        let separator = if uri.query().is_some() { '&' } else { '?' };
        Ok(format!("{endpoint}{separator}{query}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::Trust;

    #[test]
    fn the_address_carries_the_hash_of_the_verifier() {
        let provider = Provider {
            issuer: "https://idp".to_owned(),
            client_id: "kubectl".to_owned(),
            scopes: vec!["openid".to_owned(), "e mail".to_owned()],
            trust: Trust::default(),
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
            nonce: "n".to_owned(),
            // RFC 7636, appendix B.
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
        };
        let query = "response_type=code&client_id=kubectl&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2F\
                     &scope=openid+e+mail&state=s&nonce=n\
                     &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
        for (endpoint, separator) in [("https://idp/auth", '?'), ("https://idp/auth?p=x", '&')] {
            let url = attempt.url(&provider, &metadata(endpoint), "http://127.0.0.1:1/");
            assert_eq!(url.unwrap(), format!("{endpoint}{separator}{query}"));
        }
        let metadata = Metadata {
            scopes_supported: vec!["offline_access".to_owned()],
            ..metadata("https://idp/auth")
        };
        let url = attempt.url(&provider, &metadata, "http://127.0.0.1:1/");
        let query = query.replace("e+mail", "e+mail+offline_access");
        assert_eq!(url.unwrap(), format!("https://idp/auth?{query}"));
    }

    #[test]
    fn no_two_attempts_are_alike() {
        let (one, other) = (Attempt::new(), Attempt::new());
        let mut all = [
            one.state,
            one.nonce,
            one.verifier,
            other.state,
            other.nonce,
            other.verifier,
        ];
        all.sort();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
        // RFC 7636, section 4.1.
        assert!(all.iter().all(|it| it.len() == 43));
    }
}
