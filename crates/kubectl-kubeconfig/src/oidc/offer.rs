//! The providers that a server offers, and the choice of one.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use api::plugin::{LOGIN_PATH, LoginDiscovery, LoginProvider, OidcLogin};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};

use super::{ClientSecret, Provider};
use crate::http_client::{Content, HttpClient, LIMIT};
use crate::say::{self, Remedy};
use crate::secret::Secret;
use crate::server_url::ServerUrl;
use crate::trust::Trust;

/// A provider that a server offers for logins.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// The name, for `--provider`. Empty if the server has only one provider, without a name.
    name: String,
    display_name: String,
    pub(crate) provider: Provider,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.as_str(), self.display_name.as_str()) {
            ("", _) => f.write_str(self.provider.issuer()),
            (name, "") => write!(f, "{name} ({})", self.provider.issuer()),
            (name, display_name) => write!(f, "{name} ({display_name})"),
        }
    }
}

impl Offer {
    fn new(login: LoginProvider) -> Result<Self> {
        let OidcLogin {
            issuer,
            client_id,
            scopes,
            certificate_authority_data,
            unbound,
        } = login.oidc;
        let pem = STANDARD.decode(certificate_authority_data);
        let pem = String::from_utf8(pem.unwrap_or_default()).unwrap_or_default();
        let client_secret = match login.client_secret.as_str() {
            "" => None,
            value => Some(ClientSecret::Published {
                value: Secret::new(value.to_owned()),
            }),
        };
        Ok(Self {
            name: login.name,
            display_name: login.display_name,
            provider: Provider {
                issuer,
                client_id,
                scopes,
                trust: Trust::from_pem(&pem).context("the CA of the provider is invalid")?,
                unbound,
                client_secret,
            },
        })
    }

    /// Returns the provider, whose client has this secret in place of the published one.
    pub(crate) fn with_secret(self, secret: Option<ClientSecret>) -> Provider {
        let published = self.provider.client_secret.clone();
        Provider {
            client_secret: secret.or(published),
            ..self.provider
        }
    }
}

/// Returns the providers whose ID tokens the server at `url` accepts.
///
/// # Errors
/// The server publishes another URL as its own, so it would not accept a token for `url`.
pub(crate) async fn fetch(client: &HttpClient, url: &ServerUrl) -> Result<Vec<Offer>> {
    let answer = client.ask(Method::GET, LOGIN_PATH, Content::None, LIMIT);
    let answer = answer.await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(Vec::new());
    }
    ensure!(answer.status.is_success(), "{}", answer.refusal());
    let discovery: LoginDiscovery = answer.json().context("the login information is invalid")?;
    let mut providers = discovery.providers;
    if providers.is_empty() {
        providers.extend(discovery.oidc.map(LoginProvider::from));
    }
    if providers.is_empty() {
        return Ok(Vec::new());
    }
    check_url(&discovery.server, url)?;
    providers.into_iter().map(Offer::new).collect()
}

/// Selects one of several providers: the one with this name, otherwise the only one, otherwise the
/// one that `is_last` selects, otherwise the one that the user at the terminal selects.
///
/// # Errors
/// No provider is selected. The error lists the names.
pub(crate) fn choose(
    mut offers: Vec<Offer>,
    name: Option<&str>,
    is_last: impl Fn(&Provider) -> bool,
    is_terminal: bool,
) -> Result<Offer> {
    let index = match name {
        Some(name) => offers.iter().position(|offer| offer.name == name),
        None if offers.len() == 1 => Some(0),
        None => offers.iter().position(|offer| is_last(&offer.provider)),
    };
    if let Some(index) = index {
        return Ok(offers.swap_remove(index));
    }
    match name {
        Some(name) => bail!(
            "no provider is named {name:?}; use one of: {}",
            list(&offers)
        ),
        None if is_terminal => {
            let index = say::choose("Log in with which provider?", &offers)?;
            Ok(offers.swap_remove(index))
        }
        None => bail!(
            "the server has several providers; select one with --provider=NAME: {}",
            list(&offers)
        ),
    }
}

fn list(offers: &[Offer]) -> String {
    let offers: Vec<String> = offers.iter().map(Offer::to_string).collect();
    offers.join(", ")
}

/// Checks that the URL that a server publishes is the one that the user named. A server without
/// bindings publishes no URL.
fn check_url(published: &str, url: &ServerUrl) -> Result<()> {
    if published.is_empty() {
        return Ok(());
    }
    let published: ServerUrl = published
        .parse()
        .context("the URL of the server is invalid")?;
    ensure!(
        published == *url,
        Remedy {
            problem: format!(
                "{url} publishes the URL {published}. If this is the server that you mean, run"
            ),
            command: format!("kubectl kubeconfig login --server={published}"),
        }
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(name: &str, issuer: &str) -> Offer {
        let login = LoginProvider {
            name: name.to_owned(),
            display_name: name.to_uppercase(),
            oidc: OidcLogin {
                issuer: issuer.to_owned(),
                ..OidcLogin::default()
            },
            client_secret: String::new(),
        };
        Offer::new(login).unwrap()
    }

    #[track_caller]
    fn check(offers: &[Offer], name: Option<&str>, last: &str, expected: Result<&str, &str>) {
        let is_last = |provider: &Provider| provider.issuer() == last;
        let found = choose(offers.to_vec(), name, is_last, false);
        let found = found
            .map(|offer| offer.name)
            .map_err(|error| error.to_string());
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn a_provider_is_named_or_the_only_one_or_the_last_one() {
        let one = [offer("staff", "https://a")];
        let two = [offer("staff", "https://a"), offer("partners", "https://b")];
        check(&one, None, "", Ok("staff"));
        check(&one, None, "https://b", Ok("staff"));
        check(&two, Some("partners"), "https://a", Ok("partners"));
        check(&two, None, "https://b", Ok("partners"));
        let list = "staff (STAFF), partners (PARTNERS)";
        let several =
            format!("the server has several providers; select one with --provider=NAME: {list}");
        check(&two, None, "https://c", Err(&several));
        let unknown = format!("no provider is named \"x\"; use one of: {list}");
        check(&two, Some("x"), "https://a", Err(&unknown));
        let unknown = "no provider is named \"x\"; use one of: staff (STAFF)";
        check(&one, Some("x"), "https://a", Err(unknown));
    }
}
