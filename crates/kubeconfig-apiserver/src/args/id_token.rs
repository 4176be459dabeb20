//! Flags of the logins by ID token: those of kube-apiserver, with their meaning there.

use std::path::PathBuf;

use clap::Args;

/// Which OpenID Connect provider is believed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Login by OpenID Connect")]
pub(crate) struct IdTokenArgs {
    /// URL of the provider, as its tokens name it. Its ID tokens then are logins, and the kubectl plugin learns where to get
    /// them.
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    pub(crate) oidc_issuer_url: Option<String>,

    /// Client that the tokens are made for, and that the kubectl plugin logs in as.
    #[arg(long, value_name = "ID", requires = "oidc_issuer_url")]
    pub(crate) oidc_client_id: Option<String>,

    /// Certificate authorities of the provider, PEM. Without it, those of the machine.
    #[arg(long, value_name = "FILE", requires = "oidc_issuer_url")]
    pub(crate) oidc_ca_file: Option<PathBuf>,

    /// Claim that is the user name. It must be one that users cannot change.
    #[arg(
        long,
        value_name = "CLAIM",
        default_value = "sub",
        requires = "oidc_issuer_url"
    )]
    pub(crate) oidc_username_claim: String,

    /// What user names begin with; `-` for nothing. Without it, the URL of the provider and `#`, unless the claim is
    /// `email`. Names with a colon have no user object.
    #[arg(long, value_name = "PREFIX", requires = "oidc_issuer_url")]
    pub(crate) oidc_username_prefix: Option<String>,

    /// Claim with the groups, a text or a list of texts. Without it, no groups.
    #[arg(
        long,
        value_name = "CLAIM",
        default_value = "",
        hide_default_value = true,
        requires = "oidc_issuer_url"
    )]
    pub(crate) oidc_groups_claim: String,

    /// What groups begin with.
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "",
        hide_default_value = true,
        requires = "oidc_issuer_url"
    )]
    pub(crate) oidc_groups_prefix: String,

    /// Claim that every token must have, with this value; may be repeated.
    #[arg(
        long,
        value_name = "CLAIM=VALUE",
        value_parser = claim_and_value,
        requires = "oidc_issuer_url"
    )]
    pub(crate) oidc_required_claim: Vec<(String, String)>,

    /// Algorithms that tokens may be signed with.
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        default_value = "RS256",
        requires = "oidc_issuer_url"
    )]
    pub(crate) oidc_signing_algs: Vec<String>,

    /// Clients whose tokens need not be bound to this server, so that programs such as kubelogin can log in. Another server
    /// of such a client can show the tokens that it receives to this one. Without it, only tokens that the kubectl plugin
    /// bound to this server are accepted.
    #[arg(
        long,
        value_name = "ID,…",
        value_delimiter = ',',
        requires = "oidc_issuer_url"
    )]
    pub(crate) oidc_unbound_client_ids: Vec<String>,

    /// Scopes that the kubectl plugin asks the provider for. Without it, those that usually give the claims above.
    #[arg(
        long,
        value_name = "SCOPE,…",
        value_delimiter = ',',
        requires = "oidc_issuer_url"
    )]
    pub(crate) oidc_login_scopes: Vec<String>,
}

fn claim_and_value(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((claim, value)) if !claim.is_empty() => Ok((claim.to_owned(), value.to_owned())),
        _ => Err("must be of the form claim=value"),
    }
}
