//! Where the server is: its listener, the URL that leads there, and the certificate for both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use apiserver::server::ReloadableCertificate;
use tokio::net::TcpListener;

use crate::args::StandaloneArgs;
use crate::pki::{Authority, SERVING_RENEWAL};

/// A bound address.
pub(super) struct Address {
    listener: TcpListener,
    ip: IpAddr,
    port: u16,
}

/// What a certificate is for.
struct Names {
    hosts: Vec<String>,
    addresses: Vec<IpAddr>,
}

/// Refuses URLs that no client could use.
pub(super) fn check_external_url(url: Option<&str>) -> Result<()> {
    let Some(url) = url else {
        return Ok(());
    };
    let parsed: http::Uri = url
        .parse()
        .with_context(|| format!("--external-url {url} is not a URL"))?;
    if parsed.scheme_str() != Some("https") || parsed.host().is_none_or(str::is_empty) {
        bail!("--external-url {url} must be of the form https://host or https://host:port");
    }
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() {
        bail!("--external-url {url} must not have a path or query");
    }
    Ok(())
}

impl Address {
    /// Binds the address that the flags say.
    pub(super) async fn bind(args: &StandaloneArgs) -> Result<Self> {
        let ip = args.bind_address;
        let listener = TcpListener::bind((ip, args.secure_port))
            .await
            .with_context(|| {
                format!(
                    "cannot listen on {ip} port {}: choose another --secure-port, 0 for a free one",
                    args.secure_port
                )
            })?;
        let port = listener
            .local_addr()
            .context("the listener has no address")?
            .port();
        Ok(Self { listener, ip, port })
    }

    /// The URL of this server, as users reach it.
    pub(super) fn url(&self, external: Option<&str>) -> String {
        match (external, self.reachable()) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, IpAddr::V4(ip)) => format!("https://{ip}:{}", self.port),
            (None, IpAddr::V6(ip)) => format!("https://[{ip}]:{}", self.port),
        }
    }

    /// A serving certificate for every name that leads here.
    pub(super) fn certificate(
        &self,
        authority: &Authority,
        external: Option<&str>,
    ) -> Result<Arc<ReloadableCertificate>> {
        let names = self.names(external);
        let pair = authority.serving(&names.hosts, &names.addresses)?;
        ReloadableCertificate::load(pair.certificate.as_bytes(), pair.key.as_bytes())
            .context("the serving certificate cannot be used")
    }

    /// Makes the serving certificate anew long before it ends, for as long as the server runs.
    pub(super) fn renew(
        &self,
        authority: Arc<Authority>,
        certificate: Arc<ReloadableCertificate>,
        external: Option<String>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let names = self.names(external.as_deref());
        async move {
            loop {
                tokio::time::sleep(SERVING_RENEWAL).await;
                let renewed =
                    authority
                        .serving(&names.hosts, &names.addresses)
                        .and_then(|pair| {
                            Ok(certificate
                                .replace(pair.certificate.as_bytes(), pair.key.as_bytes())?)
                        });
                match renewed {
                    Ok(()) => tracing::info!("the serving certificate was renewed"),
                    Err(error) => tracing::error!(
                        error = format!("{error:#}"),
                        "the serving certificate cannot be renewed"
                    ),
                }
            }
        }
    }

    /// The listener itself.
    pub(super) fn into_listener(self) -> TcpListener {
        self.listener
    }

    /// An address that a client on this machine can use: the wildcard is none.
    fn reachable(&self) -> IpAddr {
        match self.ip {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        }
    }

    fn names(&self, external: Option<&str>) -> Names {
        let mut names = Names {
            hosts: vec!["localhost".to_owned()],
            addresses: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        };
        let reachable = self.reachable();
        if !names.addresses.contains(&reachable) {
            names.addresses.push(reachable);
        }
        let uri = external.and_then(|url| url.parse::<http::Uri>().ok());
        if let Some(host) = uri.as_ref().and_then(http::Uri::host) {
            match host.trim_matches(['[', ']']).parse::<IpAddr>() {
                Ok(address) => names.addresses.push(address),
                Err(_) => names.hosts.push(host.to_owned()),
            }
        }
        names
    }
}
