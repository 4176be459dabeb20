//! Flags of `login` and `logout`.

use std::path::PathBuf;

use crate::server_url::ServerUrl;

/// Flags of `login`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// Server, https://HOST or https://HOST:PORT.
    #[arg(long, value_name = "URL", required_unless_present = "from_context")]
    pub(crate) server: Option<ServerUrl>,

    /// Log in with the server, the CA and the credential of a context in your kubeconfig, by default the current one. The
    /// credential, a token or a client certificate, is read from the file again for each use.
    #[arg(
        long,
        value_name = "NAME",
        require_equals = true,
        conflicts_with_all = [
            "server",
            "certificate_authority",
            "token_file",
            "client_certificate",
            "device_code",
            "provider",
            "client_secret_file",
            "no_browser",
            "shares_client_with",
            "listen_port",
        ]
    )]
    pub(crate) from_context: Option<Option<String>>,

    /// PEM file of the CA that issued the certificate of the server. Defaults to the CA of your
    /// last login there, or else to those that this machine trusts. If they do not verify the
    /// server, but your kubeconfig contains a CA for it, you are asked.
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate_authority: Option<PathBuf>,

    /// File with a bearer token that the server accepts. It is read again for each use.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["client_certificate", "device_code"])]
    pub(crate) token_file: Option<PathBuf>,

    /// PEM file of a client certificate that the server accepts. It is read again for each use.
    #[arg(
        long,
        value_name = "FILE",
        requires = "client_key",
        conflicts_with = "device_code"
    )]
    pub(crate) client_certificate: Option<PathBuf>,

    /// PEM file of the private key of that certificate.
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub(crate) client_key: Option<PathBuf>,

    /// Log in with a code that you enter in another browser.
    #[arg(long)]
    pub(crate) device_code: bool,

    /// Provider to log in with, if the server has several. Defaults to that of your last login there;
    /// without one, you are asked.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["token_file", "client_certificate"])]
    pub(crate) provider: Option<String>,

    /// File with the secret of the client, for a provider that requires one which the server does
    /// not publish. It is read again for each use.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["token_file", "client_certificate"])]
    pub(crate) client_secret_file: Option<PathBuf>,

    /// Print the address to open instead of opening it.
    #[arg(long)]
    pub(crate) no_browser: bool,

    /// Another server that uses the same client of the same OpenID Connect provider, and has the
    /// same operator. A login for one of them might be accepted by the other.
    #[arg(long, value_name = "URL")]
    pub(crate) shares_client_with: Option<ServerUrl>,

    /// Port of 127.0.0.1 for the redirect of the browser, for providers that require a fixed port;
    /// 0 for any.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) listen_port: u16,
}

/// Flags of `logout`.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(id = "which", required = true, multiple = false)]
pub(crate) struct LogoutArgs {
    /// Server to log out from, https://HOST or https://HOST:PORT.
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<ServerUrl>,

    /// Log out from all servers.
    #[arg(long)]
    pub(crate) all: bool,
}
