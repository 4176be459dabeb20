//! Logins of users with ID tokens of an OpenID Connect provider, and the document that configures
//! the kubectl plugin for it.

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
use gateway::LoginClient;
use machinery::status::Status;
use machinery::time::Clock;
use oidc::{Config, OidcAuthenticator, Options, OwnUrl, Provider};

use crate::args::IdTokenArgs;
use crate::services::Services;
use crate::tasks::Tasks;

/// Time for which clients may cache the document, in seconds.
const MAX_AGE_SECS: u32 = 300;

/// The configuration of logins.
pub(crate) struct Login {
    oidc: Option<Oidc>,
    /// The document for the plugin, without the URL of the server.
    discovery: LoginDiscovery,
}

struct Oidc {
    config: Config,
    provider: Arc<Provider>,
}

impl Login {
    /// Configures logins from the flags. Without an issuer, logins by ID tokens are disabled.
    ///
    /// # Errors
    /// Returns one line that describes the fault of a flag or a file. Sends no request to the
    /// provider.
    pub(crate) fn new(args: &IdTokenArgs) -> Result<Self> {
        let mut discovery = LoginDiscovery::default();
        let mut oidc = None;
        if let Some(issuer) = &args.oidc_issuer_url {
            let config = Config::new(options(args, issuer))?;
            let authorities = authorities(args)?;
            let provider = Provider::new(issuer, authorities.as_deref())?;
            discovery.oidc = Some(published(args, &config, authorities));
            oidc = Some(Oidc {
                config,
                provider: Arc::new(provider),
            });
        }
        Ok(Self { oidc, discovery })
    }

    /// Accepts ID tokens that are bound to this URL, and publishes the document for the plugin. The
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
        let Some(oidc) = &self.oidc else {
            return server;
        };
        let (config, provider) = (oidc.config.clone(), Arc::clone(&oidc.provider));
        let id_tokens = OidcAuthenticator::new(config, provider, Arc::clone(clock));
        let id_tokens = id_tokens.bound_to(own_url);
        server.authenticator(services.recording(Arc::new(id_tokens)))
    }

    /// Returns the client whose ID tokens are accepted as logins.
    pub(crate) fn client(&self) -> Option<LoginClient> {
        let config = &self.oidc.as_ref()?.config;
        Some(LoginClient {
            issuer: config.issuer().to_owned(),
            client_id: config.client_id().to_owned(),
        })
    }

    /// Starts the task that keeps the keys of the provider up to date.
    pub(crate) fn start_tasks(&self, tasks: &Tasks) {
        if let Some(oidc) = &self.oidc {
            let following = Arc::clone(&oidc.provider).run(tasks.stop());
            tasks.spawn("keys of the OIDC provider", following);
        }
    }
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

fn options(args: &IdTokenArgs, issuer: &str) -> Options {
    Options {
        issuer_url: issuer.to_owned(),
        client_id: args.oidc_client_id.clone().unwrap_or_default(),
        username_claim: args.oidc_username_claim.clone(),
        username_prefix: args.oidc_username_prefix.clone(),
        groups_claim: args.oidc_groups_claim.clone(),
        groups_prefix: args.oidc_groups_prefix.clone(),
        required_claims: args.oidc_required_claim.iter().cloned().collect(),
        signing_algs: args.oidc_signing_algs.clone(),
        unbound_client_ids: args.oidc_unbound_client_ids.clone(),
    }
}

fn authorities(args: &IdTokenArgs) -> Result<Option<String>> {
    let read = args.oidc_ca_file.as_ref().map(|file| {
        fs::read_to_string(file)
            .with_context(|| format!("--oidc-ca-file {} cannot be read", file.display()))
    });
    read.transpose()
}

/// Returns the data about the provider that the plugin needs.
fn published(args: &IdTokenArgs, config: &Config, authorities: Option<String>) -> OidcLogin {
    let scopes = match args.oidc_login_scopes.is_empty() {
        true => config.scopes(),
        false => args.oidc_login_scopes.clone(),
    };
    OidcLogin {
        issuer: config.issuer().to_owned(),
        client_id: config.client_id().to_owned(),
        scopes,
        certificate_authority_data: authorities
            .map(|pem| STANDARD.encode(pem))
            .unwrap_or_default(),
        unbound: config.accepts_unbound(),
    }
}
