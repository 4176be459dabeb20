//! Flags of the logins by ID token: those of kube-apiserver, with their meaning there.

use std::path::PathBuf;

use clap::Args;

/// The flags that a file of issuers replaces. `requires` is not enforced for a flag that conflicts
/// with another one.
const FLAGS_OF_ONE_PROVIDER: [&str; 10] = [
    "oidc_issuer_url",
    "oidc_client_id",
    "oidc_ca_file",
    "oidc_username_claim",
    "oidc_username_prefix",
    "oidc_groups_claim",
    "oidc_groups_prefix",
    "oidc_required_claim",
    "oidc_signing_algs",
    "oidc_login_scopes",
];

/// The OpenID Connect providers whose ID tokens are accepted.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Login by OpenID Connect")]
pub(crate) struct IdTokenArgs {
    /// File with any number of issuers, in place of the --oidc flags: AuthenticationConfiguration of
    /// kube-apiserver (apiserver.config.k8s.io/v1), with its claim mappings and rules. It is
    /// reloaded when it changes.
    #[arg(
        long,
        value_name = "FILE",
        group = "issuers",
        conflicts_with_all = FLAGS_OF_ONE_PROVIDER
    )]
    pub(crate) authentication_config: Option<PathBuf>,

    /// File with the providers that users of the kubectl plugin can choose from: LoginConfiguration
    /// (config.ext.cattle.io/v1), see docs/login.md. Each is an issuer of the flags or the file
    /// above. It is reloaded when it changes.
    #[arg(
        long,
        value_name = "FILE",
        requires = "issuers",
        conflicts_with = "oidc_login_scopes"
    )]
    pub(crate) login_config: Option<PathBuf>,

    /// URL of the provider, as in its tokens. Users can then log in with its ID tokens, and the
    /// kubectl plugin finds the provider through this server.
    #[arg(
        long,
        value_name = "URL",
        requires = "oidc_client_id",
        group = "issuers"
    )]
    pub(crate) oidc_issuer_url: Option<String>,

    /// Client that the tokens are issued for, and that the kubectl plugin uses to log in.
    #[arg(long, value_name = "ID", requires = "oidc_issuer_url")]
    pub(crate) oidc_client_id: Option<String>,

    /// Certificate authorities of the provider, PEM. Defaults to those of the machine.
    #[arg(long, value_name = "FILE", requires = "oidc_issuer_url")]
    pub(crate) oidc_ca_file: Option<PathBuf>,

    /// Claim that contains the user name. Users must not be able to change it.
    #[arg(
        long,
        value_name = "CLAIM",
        default_value = "sub",
        requires = "oidc_issuer_url"
    )]
    pub(crate) oidc_username_claim: String,

    /// Prefix of user names; `-` for no prefix. Defaults to the URL of the provider and `#`, unless
    /// the claim is `email`. A name with a colon is only a user if it is one
    /// of the `principalIds` of a User object.
    #[arg(long, value_name = "PREFIX", requires = "oidc_issuer_url")]
    pub(crate) oidc_username_prefix: Option<String>,

    /// Claim that contains the groups, a string or a list of strings. If it is not set, users have
    /// no groups.
    #[arg(
        long,
        value_name = "CLAIM",
        default_value = "",
        hide_default_value = true,
        requires = "oidc_issuer_url"
    )]
    pub(crate) oidc_groups_claim: String,

    /// Prefix of groups.
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "",
        hide_default_value = true,
        requires = "oidc_issuer_url"
    )]
    pub(crate) oidc_groups_prefix: String,

    /// Claim that every token must have, with this value; can be repeated.
    #[arg(
        long,
        value_name = "CLAIM=VALUE",
        value_parser = claim_and_value,
        requires = "oidc_issuer_url"
    )]
    pub(crate) oidc_required_claim: Vec<(String, String)>,

    /// Accepted signing algorithms of tokens.
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        default_value = "RS256",
        requires = "oidc_issuer_url"
    )]
    pub(crate) oidc_signing_algs: Vec<String>,

    /// Clients, or audiences of --authentication-config, whose tokens need not be bound to this
    /// server, so that programs such as kubelogin can log in. Another server of such a client can
    /// use the tokens that it receives to log in here. If it is not set, only tokens that the
    /// kubectl plugin bound to this server, and tokens whose audience is the URL of this server, are
    /// accepted.
    #[arg(long, value_name = "ID,…", value_delimiter = ',', requires = "issuers")]
    pub(crate) oidc_unbound_client_ids: Vec<String>,

    /// Scopes that the kubectl plugin requests from the provider. Defaults to those that usually
    /// provide the claims above.
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

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;
    use clap::{Args as _, Command};

    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expected: Option<ErrorKind>) {
        let command = IdTokenArgs::augment_args(Command::new("test"));
        let arguments = ["test"].iter().chain(arguments);
        let parsed = command.try_get_matches_from(arguments);
        assert_eq!(parsed.err().map(|error| error.kind()), expected);
    }

    #[test]
    fn the_file_excludes_the_flags_of_a_provider() {
        let (file, unbound) = ("--authentication-config=f", "--oidc-unbound-client-ids=a");
        let (issuer, client) = ("--oidc-issuer-url=https://a", "--oidc-client-id=b");
        check(&[], None);
        check(&[file], None);
        check(&[file, unbound], None);
        check(&[issuer, client, unbound], None);
        check(&[file, issuer, client], Some(ErrorKind::ArgumentConflict));
        let offers = "--login-config=g";
        check(&[file, offers], None);
        check(&[issuer, client, offers], None);
        check(&[offers], Some(ErrorKind::MissingRequiredArgument));
        let scopes = [issuer, client, offers, "--oidc-login-scopes=openid"];
        check(&scopes, Some(ErrorKind::ArgumentConflict));
        check(&[unbound], Some(ErrorKind::MissingRequiredArgument));
        for flag in FLAGS_OF_ONE_PROVIDER {
            let flag = format!("--{}=a=b", flag.replace('_', "-"));
            check(&[file, &flag], Some(ErrorKind::ArgumentConflict));
        }
    }
}
