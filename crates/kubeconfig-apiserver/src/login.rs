//! Logins of users with ID tokens of OpenID Connect providers, and the document that names the
//! providers to the kubectl plugin.

mod followed_file;
mod login_configuration;

use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use api::plugin::{LOGIN_PATH, LoginDiscovery, LoginProvider, OidcLogin};
use apiserver::Builder;
use apiserver::mount::Access;
use apiserver::public_document::PublicDocument;
use arc_swap::ArcSwap;
use bytes::Bytes;
use gateway::{LoginClient, LoginClients};
use machinery::status::Status;
use machinery::time::Clock;
use management::ca_bundle::CaBundle;
use oidc::{
    AuthenticationConfiguration, Config, Issuers, Network, OidcAuthenticator, Options, OwnUrl,
    Surroundings,
};

use crate::args::IdTokenArgs;
use crate::services::Services;
use crate::tasks::Tasks;

use self::followed_file::FollowedFile;
use self::login_configuration::{LoginConfiguration, login};

/// Time for which clients may cache the document, in seconds.
const MAX_AGE_SECS: u32 = 300;

/// The configuration of logins.
pub(crate) struct Login {
    /// The accepted issuers; `None` if logins by ID tokens are disabled.
    issuers: Option<Arc<Issuers>>,
    /// The file that they come from, if it is not the flags.
    issuers_file: Option<(FollowedFile, Surroundings)>,
    offers: Offers,
    /// The file of the providers for the plugin, if there is one.
    offers_file: Option<FollowedFile>,
}

/// The providers for the plugin.
#[derive(Clone)]
enum Offers {
    /// None, or the provider of the flags.
    OfFlags(Option<OidcLogin>),
    OfFile(Arc<ArcSwap<LoginConfiguration>>),
}

impl Login {
    /// Configures logins from the flags, or from the files that they name. Without both, logins by
    /// ID tokens are disabled. Tokens of `own_issuer`, which this server mints, are never logins.
    ///
    /// # Errors
    /// Returns one line that describes the fault of a flag or a file. Sends no request to a
    /// provider.
    pub(crate) fn new(args: &IdTokenArgs, own_issuer: &str) -> Result<Self> {
        let (mut issuers_file, mut configs, mut of_flags) = (None, None, None);
        if let Some(issuer) = &args.oidc_issuer_url {
            let config = Config::new(options(args, issuer)?)?;
            let client = args.oidc_client_id.as_deref().unwrap_or_default();
            of_flags = Some(login(&config, client, &args.oidc_login_scopes)?);
            configs = Some(vec![config]);
        } else if let Some(path) = &args.authentication_config {
            let surroundings = Surroundings {
                unbound: args.oidc_unbound_client_ids.clone(),
                disallowed_issuers: vec![own_issuer.to_owned()],
            };
            let mut file = FollowedFile::new("--authentication-config", path.clone());
            configs = Some(file.load(|text| parse_issuers(text, &surroundings))?);
            issuers_file = Some((file, surroundings));
        }
        let (mut offers, mut offers_file) = (Offers::OfFlags(of_flags), None);
        if let Some(path) = &args.login_config {
            let mut file = FollowedFile::new("--login-config", path.clone());
            let issuers = configs.as_deref().unwrap_or_default();
            let configuration = file.load(|text| parse_offers(text, issuers))?;
            offers = Offers::OfFile(Arc::new(ArcSwap::from_pointee(configuration)));
            offers_file = Some(file);
        }
        let issuers = configs.map(|configs| Issuers::new(configs, Network::of_environment()));
        Ok(Self {
            issuers: issuers.transpose()?.map(Arc::new),
            issuers_file,
            offers,
            offers_file,
        })
    }

    /// Accepts ID tokens that are bound to the URL of the server, and publishes the document for the
    /// plugin. The authorizer decides which users may read the document.
    pub(crate) fn serve(
        &self,
        server: Builder,
        services: &Services,
        clock: &Arc<dyn Clock>,
    ) -> Builder {
        let own_url = services.own_url();
        let (offers, published) = (self.offers.clone(), Arc::clone(&own_url));
        let issuers = self.issuers.clone();
        let document = PublicDocument {
            media_type: "application/json",
            max_age_secs: MAX_AGE_SECS,
            content: Arc::new(move || content(&offers, issuers.as_deref(), &published)),
        };
        let server = server.mount(LOGIN_PATH, document.service(), Access::Public);
        let Some(issuers) = &self.issuers else {
            return server;
        };
        let id_tokens = OidcAuthenticator::new(Arc::clone(issuers), Arc::clone(clock));
        let id_tokens = id_tokens.bound_to(own_url);
        server.authenticator(services.recording(Arc::new(id_tokens)))
    }

    /// Returns the clients whose ID tokens are accepted as logins.
    pub(crate) fn clients(&self) -> LoginClients {
        let issuers = self.issuers.clone();
        Arc::new(move || {
            issuers
                .iter()
                .flat_map(|issuers| clients(issuers))
                .collect()
        })
    }

    /// Starts the tasks that keep the keys of the providers, and the files, up to date.
    pub(crate) fn start_tasks(&self, tasks: &Tasks) {
        let Some(issuers) = &self.issuers else {
            return;
        };
        let following = Arc::clone(issuers).run(tasks.stop());
        tasks.spawn("keys of the OIDC providers", following);
        if let Some((file, surroundings)) = self.issuers_file.clone() {
            let issuers = Arc::clone(issuers);
            let replace = move |text: &str| {
                let configs = parse_issuers(text, &surroundings)?;
                Ok(issuers.replace(configs)?)
            };
            tasks.spawn("authentication configuration", file.follow(replace));
        }
        if let (Some(file), Offers::OfFile(offers)) = (&self.offers_file, &self.offers) {
            let (issuers, offers) = (Arc::clone(issuers), Arc::clone(offers));
            let replace = move |text: &str| {
                offers.store(Arc::new(parse_offers(text, &issuers.configs())?));
                Ok(())
            };
            tasks.spawn("login configuration", file.clone().follow(replace));
        }
    }
}

impl Offers {
    fn current(&self, issuers: Option<&Issuers>) -> LoginDiscovery {
        let configuration = match self {
            Self::OfFlags(oidc) => {
                return LoginDiscovery {
                    oidc: oidc.clone(),
                    ..LoginDiscovery::default()
                };
            }
            Self::OfFile(configuration) => configuration.load(),
        };
        let configs = issuers.map(Issuers::configs).unwrap_or_default();
        let providers: Vec<LoginProvider> = configuration.offered(&configs);
        LoginDiscovery {
            oidc: providers.first().map(|first| first.oidc.clone()),
            providers,
            ..LoginDiscovery::default()
        }
    }
}

fn parse_issuers(text: &str, surroundings: &Surroundings) -> Result<Vec<Config>> {
    let configuration = AuthenticationConfiguration::parse(text, surroundings)?;
    Ok(configuration.into_issuers())
}

fn parse_offers(text: &str, issuers: &[Config]) -> Result<LoginConfiguration> {
    let configuration = LoginConfiguration::parse(text).map_err(|error| anyhow!(error))?;
    configuration
        .check(issuers)
        .map_err(|error| anyhow!(error))?;
    Ok(configuration)
}

fn clients(issuers: &Issuers) -> Vec<LoginClient> {
    let mut clients = Vec::new();
    for config in issuers.configs() {
        clients.extend(config.audiences().iter().map(|audience| LoginClient {
            issuer: config.issuer().to_owned(),
            client_id: audience.clone(),
        }));
    }
    clients
}

/// Returns the document, with the current providers and the current URL of the server.
fn content(offers: &Offers, issuers: Option<&Issuers>, own_url: &OwnUrl) -> Result<Bytes, Status> {
    let discovery = LoginDiscovery {
        server: own_url().map(String::from).unwrap_or_default(),
        ..offers.current(issuers)
    };
    let json = serde_json::to_vec(&discovery);
    let json = json.map_err(|_| Status::internal("the login document cannot be written"))?;
    Ok(json.into())
}

fn options(args: &IdTokenArgs, issuer: &str) -> Result<Options> {
    Ok(Options {
        issuer_url: issuer.to_owned(),
        client_id: args.oidc_client_id.clone().unwrap_or_default(),
        username_claim: args.oidc_username_claim.clone(),
        username_prefix: args.oidc_username_prefix.clone(),
        groups_claim: args.oidc_groups_claim.clone(),
        groups_prefix: args.oidc_groups_prefix.clone(),
        required_claims: args.oidc_required_claim.iter().cloned().collect(),
        signing_algs: args.oidc_signing_algs.clone(),
        unbound_client_ids: args.oidc_unbound_client_ids.clone(),
        certificate_authority: authorities(args)?,
    })
}

/// Returns the certificate authorities of the provider. They are published for the plugin, so they
/// must be nothing but certificates.
fn authorities(args: &IdTokenArgs) -> Result<Option<String>> {
    let Some(file) = &args.oidc_ca_file else {
        return Ok(None);
    };
    let problem = |what: &str| format!("--oidc-ca-file {} {what}", file.display());
    let text = fs::read_to_string(file).with_context(|| problem("cannot be read"))?;
    let bundle = CaBundle::from_pem(&text).map_err(|error| anyhow!(problem(&error.to_string())))?;
    Ok(Some(bundle.pem().to_owned()).filter(|pem| !pem.is_empty()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const OWN: &str = "https://kubeconfigs.example.com";

    fn content_of(url: &str) -> String {
        format!(
            "{{apiVersion: apiserver.config.k8s.io/v1, kind: AuthenticationConfiguration, jwt: [{{\
             issuer: {{url: \"{url}\", audiences: [a]}}, \
             claimMappings: {{username: {{claim: sub, prefix: \"\"}}}}}}]}}"
        )
    }

    #[test]
    fn a_file_of_issuers_has_other_issuers_than_this_server() {
        let surroundings = Surroundings {
            unbound: Vec::new(),
            disallowed_issuers: vec![OWN.to_owned()],
        };
        let issuers = |url: &str| {
            let configs = parse_issuers(&content_of(url), &surroundings).ok()?;
            Some(configs[0].issuer().to_owned())
        };
        assert_eq!(issuers("https://a").as_deref(), Some("https://a"));
        assert_eq!(issuers("http://a"), None);
        assert_eq!(issuers(OWN), None);
    }

    #[test]
    fn a_private_key_in_the_file_of_authorities_is_refused() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ca.crt");
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\n").unwrap();
        let args = IdTokenArgs {
            oidc_issuer_url: Some("https://a".to_owned()),
            oidc_client_id: Some("kubectl".to_owned()),
            oidc_username_claim: "sub".to_owned(),
            oidc_ca_file: Some(path.clone()),
            ..IdTokenArgs::default()
        };
        let error = Login::new(&args, OWN).err().map(|error| error.to_string());
        let expected = format!(
            "--oidc-ca-file {} must contain only certificates, but contains a private key, which \
             every user would get",
            path.display()
        );
        assert_eq!(error, Some(expected));
    }

    #[test]
    fn the_document_follows_the_files() {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let offers = "{apiVersion: config.ext.cattle.io/v1, kind: LoginConfiguration, providers: [{\
                      name: staff, issuer: \"https://a\", clientID: a}]}";
        let args = IdTokenArgs {
            authentication_config: Some(write("issuers", &content_of("https://a"))),
            login_config: Some(write("offers", offers)),
            ..IdTokenArgs::default()
        };
        let login = Login::new(&args, OWN).unwrap();
        let issuers = login.issuers.as_deref();
        let names = || {
            let providers = login.offers.current(issuers).providers;
            Vec::from_iter(providers.into_iter().map(|provider| provider.name))
        };
        assert_eq!(names(), ["staff"]);
        // The issuer is no longer accepted, so users are not sent there.
        let other = parse_issuers(&content_of("https://b"), &Surroundings::default()).unwrap();
        issuers.unwrap().replace(other).unwrap();
        assert_eq!(names(), [""; 0]);
        write("issuers", &content_of("https://b"));
        let error = Login::new(&args, OWN)
            .err()
            .map(|error| format!("{error:#}"));
        let path = folder.path().join("offers");
        let expected = format!(
            "--login-config {} is invalid: providers[0].issuer: Unsupported value: \"https://a\": \
             supported values: \"https://b\"",
            path.display()
        );
        assert_eq!(error, Some(expected));
    }
}
