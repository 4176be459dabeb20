//! The file of `--login-config`: the providers that users can choose from when they log in with the
//! kubectl plugin.

use std::collections::HashSet;

use api::plugin::{LoginProvider, OidcLogin};
use machinery::field::{Error, ErrorList, Path, aggregate};
use machinery::invisible::is_invisible;
use machinery::validation::dns1123_label;
use management::ca_bundle::{CaBundle, InvalidBundle};
use oidc::Config;
use serde::Deserialize;

const VERSION: &str = "config.ext.cattle.io/v1";
const KIND: &str = "LoginConfiguration";

/// Maximum number of providers, that of the issuers of logins.
const MAX_PROVIDERS: usize = 64;

/// The scope of OpenID Connect, without which a provider returns no ID token.
const OPENID: &str = "openid";

/// Maximum length of a description and of a secret, in bytes.
const MAX_TEXT: usize = 256;

/// Maximum number of scopes, and maximum length of a scope, in bytes.
const MAX_SCOPES: usize = 32;
const MAX_SCOPE: usize = 128;

/// A valid file.
#[derive(Clone, Debug)]
pub(super) struct LoginConfiguration {
    providers: Vec<Provider>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    providers: Vec<Provider>,
}

/// A provider for users of the plugin.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Provider {
    /// The name that users select it by.
    #[serde(default)]
    name: String,
    /// A description for users.
    #[serde(default)]
    display_name: String,
    /// An issuer of logins.
    #[serde(default)]
    issuer: String,
    /// The client of the plugin, one of the audiences of the issuer.
    #[serde(default, rename = "clientID")]
    client_id: String,
    /// The scopes to request; by default those that usually provide the claims of the issuer.
    #[serde(default)]
    scopes: Vec<String>,
    /// The secret of the client, which is published.
    #[serde(default)]
    public_client_secret: String,
}

impl LoginConfiguration {
    /// Reads a file in YAML or JSON.
    ///
    /// # Errors
    /// Returns one line for a file that has unknown fields or invalid values.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let document: Document = serde_saphyr::from_str(text).map_err(|error| {
            let text = error.to_string();
            format!("not a {KIND}: {}", text.lines().next().unwrap_or_default())
        })?;
        let errors = document.errors();
        match errors.is_empty() {
            true => Ok(Self {
                providers: document.providers,
            }),
            false => Err(aggregate(&errors)),
        }
    }

    /// Checks that logins at all providers are accepted by these issuers.
    ///
    /// # Errors
    /// Returns one line for a provider whose tokens would be refused.
    pub(super) fn check(&self, issuers: &[Config]) -> Result<(), String> {
        let mut errors = ErrorList::new();
        for (index, provider) in self.providers.iter().enumerate() {
            let path = Path::root("providers").index(index);
            match issuers.iter().find(|it| it.issuer() == provider.issuer) {
                None => {
                    let urls: Vec<&str> = issuers.iter().map(Config::issuer).collect();
                    errors.push(Error::not_supported(
                        &path.child("issuer"),
                        &provider.issuer,
                        &urls,
                    ));
                }
                Some(issuer) if !issuer.audiences().contains(&provider.client_id) => {
                    let audiences = issuer.audiences().iter();
                    let audiences: Vec<&str> = audiences.map(String::as_str).collect();
                    errors.push(Error::not_supported(
                        &path.child("clientID"),
                        &provider.client_id,
                        &audiences,
                    ));
                }
                Some(issuer) => {
                    if let Err(error) = provider.offered(issuer) {
                        let why = format!("the certificateAuthority of this issuer {error}");
                        let path = path.child("issuer");
                        errors.push(Error::invalid(&path, &provider.issuer, why));
                    }
                }
            }
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(aggregate(&errors)),
        }
    }

    /// Returns the providers for the login document, without those whose tokens these issuers
    /// refuse.
    pub(super) fn offered(&self, issuers: &[Config]) -> Vec<LoginProvider> {
        let offered = self.providers.iter().filter_map(|provider| {
            let mut issuers = issuers.iter();
            let issuer = issuers.find(|it| it.issuer() == provider.issuer)?;
            let is_accepted = issuer.audiences().contains(&provider.client_id);
            is_accepted.then(|| provider.offered(issuer).ok())?
        });
        offered.collect()
    }
}

impl Document {
    fn errors(&self) -> ErrorList {
        let mut errors = ErrorList::new();
        if self.api_version != VERSION {
            let path = Path::root("apiVersion");
            errors.push(Error::not_supported(&path, &self.api_version, &[VERSION]));
        }
        if self.kind != KIND {
            let path = Path::root("kind");
            errors.push(Error::not_supported(&path, &self.kind, &[KIND]));
        }
        let root = Path::root("providers");
        let count = self.providers.len();
        if count == 0 {
            errors.push(Error::required(&root, "at least one provider is required"));
        }
        if count > MAX_PROVIDERS {
            errors.push(Error::too_many(&root, count, MAX_PROVIDERS));
            return errors;
        }
        let mut names = HashSet::new();
        for (index, provider) in self.providers.iter().enumerate() {
            let path = root.index(index);
            errors.extend(provider.errors(&path));
            if !names.insert(&provider.name) {
                errors.push(Error::duplicate(&path.child("name"), &provider.name));
            }
        }
        errors
    }
}

impl Provider {
    fn errors(&self, path: &Path) -> ErrorList {
        let mut errors = ErrorList::new();
        for problem in dns1123_label(&self.name) {
            errors.push(Error::invalid(&path.child("name"), &self.name, problem));
        }
        for (field, value) in [("issuer", &self.issuer), ("clientID", &self.client_id)] {
            if value.is_empty() {
                errors.push(Error::required(&path.child(field), ""));
            }
        }
        if !self.scopes.is_empty() && !self.scopes.iter().any(|scope| scope == OPENID) {
            let why = format!("must contain {OPENID}");
            let value = self.scopes.join(" ");
            errors.push(Error::invalid(&path.child("scopes"), value, why));
        }
        let texts = [
            ("displayName", &self.display_name),
            ("publicClientSecret", &self.public_client_secret),
        ];
        for (field, text) in texts {
            if text.len() > MAX_TEXT {
                errors.push(Error::too_long(&path.child(field), MAX_TEXT));
            }
            if text.chars().any(is_invisible) {
                let why = "must not contain control or invisible characters";
                errors.push(Error::invalid(&path.child(field), "<omitted>", why));
            }
        }
        if self.scopes.len() > MAX_SCOPES {
            let path = path.child("scopes");
            errors.push(Error::too_many(&path, self.scopes.len(), MAX_SCOPES));
            return errors;
        }
        for (index, scope) in self.scopes.iter().enumerate() {
            if !is_scope(scope) {
                let why = "must have 1 to 128 characters of those of RFC 6749, section 3.3";
                let path = path.child("scopes").index(index);
                errors.push(Error::invalid(&path, "<omitted>", why));
            }
        }
        errors
    }

    fn offered(&self, issuer: &Config) -> Result<LoginProvider, InvalidBundle> {
        Ok(LoginProvider {
            name: self.name.clone(),
            display_name: self.display_name.clone(),
            oidc: login(issuer, &self.client_id, &self.scopes)?,
            client_secret: self.public_client_secret.clone(),
        })
    }
}

/// Returns whether a text is a scope (RFC 6749, section 3.3).
fn is_scope(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    (1..=MAX_SCOPE).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// Returns the data that the plugin needs for a login at an issuer: without `scopes`, those that
/// usually provide the claims.
///
/// # Errors
/// The certificate authorities of the issuer contain something else, which must not be published.
pub(super) fn login(
    issuer: &Config,
    client_id: &str,
    scopes: &[String],
) -> Result<OidcLogin, InvalidBundle> {
    let authority = issuer.certificate_authority().unwrap_or_default();
    Ok(OidcLogin {
        issuer: issuer.issuer().to_owned(),
        client_id: client_id.to_owned(),
        scopes: match scopes.is_empty() {
            true => issuer.scopes(),
            false => scopes.to_vec(),
        },
        certificate_authority_data: CaBundle::from_pem(authority)?.to_base64(),
        unbound: issuer.accepts_unbound(client_id),
    })
}

#[cfg(test)]
mod tests {
    use oidc::Options;
    use serde_json::{Value, json};

    use super::*;

    fn file(providers: Value) -> String {
        json!({ "apiVersion": VERSION, "kind": KIND, "providers": providers }).to_string()
    }

    fn issuer() -> Config {
        let options = Options {
            issuer_url: "https://a".to_owned(),
            client_id: "kubectl".to_owned(),
            username_claim: "email".to_owned(),
            groups_claim: "groups".to_owned(),
            signing_algs: vec!["RS256".to_owned()],
            unbound_client_ids: vec!["other".to_owned()],
            ..Options::default()
        };
        Config::new(options).unwrap()
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let error = LoginConfiguration::parse(text).unwrap_err();
        assert_eq!(error, expected);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused() {
        let good = json!({ "name": "a", "issuer": "https://a", "clientID": "kubectl" });
        check_refused(
            "providers: []",
            "[apiVersion: Unsupported value: \"\": supported values: \"config.ext.cattle.io/v1\", \
             kind: Unsupported value: \"\": supported values: \"LoginConfiguration\", \
             providers: Required value: at least one provider is required]",
        );
        check_refused(
            &file(json!([good, good, { "name": "A b", "scopes": ["email", "groups"] }])),
            "[providers[1].name: Duplicate value: \"a\", providers[2].name: Invalid value: \"A b\": \
             a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
             must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex \
             used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?'), providers[2].issuer: Required value, \
             providers[2].clientID: Required value, providers[2].scopes: Invalid value: \"email groups\": \
             must contain openid]",
        );
        let many = file(vec![good; MAX_PROVIDERS + 1].into());
        check_refused(&many, "providers: Too many: 65: must have at most 64 items");
        let error = LoginConfiguration::parse("providers: [{secret: x}]").unwrap_err();
        assert!(error.starts_with("not a LoginConfiguration: "), "{error}");
    }

    #[test]
    fn texts_that_are_published_are_bounded() {
        let mut provider = json!({
            "name": "a", "issuer": "https://a", "clientID": "kubectl",
            "displayName": "a\u{1b}[2J", "publicClientSecret": "s".repeat(257),
            "scopes": ["openid", "a b", ""],
        });
        let why = "Invalid value: \"<omitted>\": must have 1 to 128 characters of those of RFC 6749, section 3.3";
        check_refused(
            &file(json!([provider])),
            &format!(
                "[providers[0].displayName: Invalid value: \"<omitted>\": must not contain control or invisible \
                 characters, providers[0].publicClientSecret: Too long: may not be more than 256 bytes, \
                 providers[0].scopes[1]: {why}, providers[0].scopes[2]: {why}]"
            ),
        );
        provider["displayName"] = json!("Büro");
        provider["publicClientSecret"] = json!("s".repeat(256));
        provider["scopes"] = json!(["openid", "https://a/b"]);
        assert!(LoginConfiguration::parse(&file(json!([provider]))).is_ok());
        provider["scopes"] = json!(vec!["openid"; 33]);
        check_refused(
            &file(json!([provider])),
            "providers[0].scopes: Too many: 33: must have at most 32 items",
        );
    }

    #[test]
    fn a_private_key_beside_the_authorities_is_not_published() {
        let issuer = Config::new(Options {
            issuer_url: "https://a".to_owned(),
            client_id: "kubectl".to_owned(),
            username_claim: "sub".to_owned(),
            certificate_authority: Some("-----BEGIN PRIVATE KEY-----".to_owned()),
            ..Options::default()
        });
        let issuer = [issuer.unwrap()];
        let text = file(json!([{ "name": "a", "issuer": "https://a", "clientID": "kubectl" }]));
        let configuration = LoginConfiguration::parse(&text).unwrap();
        let expected = "providers[0].issuer: Invalid value: \"https://a\": the certificateAuthority of this \
                        issuer must contain only certificates, but contains a private key, which every user \
                        would get";
        assert_eq!(configuration.check(&issuer).unwrap_err(), expected);
        assert_eq!(configuration.offered(&issuer), []);
    }

    #[test]
    fn only_providers_of_the_issuers_are_offered() {
        let text = file(json!([
            { "name": "staff", "displayName": "Staff", "issuer": "https://a", "clientID": "kubectl" },
            {
                "name": "other", "issuer": "https://a", "clientID": "other",
                "scopes": ["openid"], "publicClientSecret": "published",
            },
            { "name": "unknown", "issuer": "https://b", "clientID": "kubectl" },
            { "name": "foreign", "issuer": "https://a", "clientID": "foreign" },
        ]));
        let configuration = LoginConfiguration::parse(&text).unwrap();
        let offered = configuration.offered(&[issuer()]);
        let expected = json!([
            {
                "name": "staff", "displayName": "Staff", "issuer": "https://a", "clientID": "kubectl",
                "scopes": ["openid", "email", "groups"],
            },
            {
                "name": "other", "issuer": "https://a", "clientID": "other", "scopes": ["openid"],
                "unbound": true, "clientSecret": "published",
            },
        ]);
        assert_eq!(serde_json::to_value(offered).unwrap(), expected);
        let expected = "[providers[2].issuer: Unsupported value: \"https://b\": supported values: \
                        \"https://a\", providers[3].clientID: Unsupported value: \"foreign\": supported \
                        values: \"kubectl\", \"other\"]";
        assert_eq!(configuration.check(&[issuer()]).unwrap_err(), expected);
    }
}
