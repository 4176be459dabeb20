//! Logins of users with ID tokens of OpenID Connect providers, and the document that configures the
//! kubectl plugin for the provider of the flags.

mod configuration_file;

use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result};
use api::plugin::{LOGIN_PATH, LoginDiscovery, OidcLogin};
use apiserver::Builder;
use apiserver::mount::Access;
use apiserver::public_document::PublicDocument;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gateway::{LoginClient, LoginClients};
use machinery::status::Status;
use machinery::time::Clock;
use oidc::{Config, Issuers, Network, OidcAuthenticator, Options, OwnUrl};

use crate::args::IdTokenArgs;
use crate::services::Services;
use crate::tasks::Tasks;

use self::configuration_file::ConfigurationFile;

/// Time for which clients may cache the document, in seconds.
const MAX_AGE_SECS: u32 = 300;

/// The configuration of logins.
pub(crate) struct Login {
    /// The accepted issuers; `None` if logins by ID tokens are disabled.
    issuers: Option<Arc<Issuers>>,
    /// The file that they come from, if it is not the flags.
    file: Option<ConfigurationFile>,
    /// The document for the plugin, without the URL of the server.
    discovery: LoginDiscovery,
}

impl Login {
    /// Configures logins from the flags, or from the file that they name. Without both, logins by ID
    /// tokens are disabled. Tokens of `own_issuer`, which this server mints, are never logins.
    ///
    /// # Errors
    /// Returns one line that describes the fault of a flag or a file. Sends no request to a
    /// provider.
    pub(crate) fn new(args: &IdTokenArgs, own_issuer: &str) -> Result<Self> {
        let mut discovery = LoginDiscovery::default();
        let (mut file, mut configs) = (None, None);
        if let Some(issuer) = &args.oidc_issuer_url {
            let config = Config::new(options(args, issuer)?)?;
            discovery.oidc = Some(published(args, &config));
            configs = Some(vec![config]);
        } else if let Some(path) = &args.authentication_config {
            let unbound = args.oidc_unbound_client_ids.clone();
            let mut named = ConfigurationFile::new(path.clone(), unbound, own_issuer);
            configs = Some(named.load()?);
            file = Some(named);
        }
        let issuers = configs.map(|configs| Issuers::new(configs, Network::of_environment()));
        Ok(Self {
            issuers: issuers.transpose()?.map(Arc::new),
            file,
            discovery,
        })
    }

    /// Accepts ID tokens that are bound to the URL of the server, and publishes the document for the plugin. The
    /// authorizer decides which users may read the document.
    pub(crate) fn serve(
        &self,
        server: Builder,
        services: &Services,
        clock: &Arc<dyn Clock>,
    ) -> Builder {
        let own_url = services.own_url();
        let (discovery, published) = (self.discovery.clone(), Arc::clone(&own_url));
        let document = PublicDocument {
            media_type: "application/json",
            max_age_secs: MAX_AGE_SECS,
            content: Arc::new(move || content(&discovery, &published)),
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

    /// Starts the tasks that keep the keys of the providers, and the file, up to date.
    pub(crate) fn start_tasks(&self, tasks: &Tasks) {
        let Some(issuers) = &self.issuers else {
            return;
        };
        let following = Arc::clone(issuers).run(tasks.stop());
        tasks.spawn("keys of the OIDC providers", following);
        if let Some(file) = self.file.clone() {
            let following = file.follow(Arc::clone(issuers));
            tasks.spawn("authentication configuration", following);
        }
    }
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

/// Returns the document with the current URL of the server.
fn content(discovery: &LoginDiscovery, own_url: &OwnUrl) -> Result<Bytes, Status> {
    let discovery = LoginDiscovery {
        server: own_url().map(String::from).unwrap_or_default(),
        ..discovery.clone()
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

fn authorities(args: &IdTokenArgs) -> Result<Option<String>> {
    let read = args.oidc_ca_file.as_ref().map(|file| {
        fs::read_to_string(file)
            .with_context(|| format!("--oidc-ca-file {} cannot be read", file.display()))
    });
    read.transpose()
}

/// Returns the data about the provider that the plugin needs.
fn published(args: &IdTokenArgs, config: &Config) -> OidcLogin {
    let client = args.oidc_client_id.clone().unwrap_or_default();
    let scopes = match args.oidc_login_scopes.is_empty() {
        true => config.scopes(),
        false => args.oidc_login_scopes.clone(),
    };
    OidcLogin {
        issuer: config.issuer().to_owned(),
        scopes,
        certificate_authority_data: config
            .certificate_authority()
            .map(|pem| STANDARD.encode(pem))
            .unwrap_or_default(),
        unbound: config.accepts_unbound(&client),
        client_id: client,
    }
}
