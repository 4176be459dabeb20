//! The address of the server: its listener, its URL, and its serving certificate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use anyhow::{Context, Result};
use apiserver::server::{self, ReloadableCertificate};
use certificates::Names;
use gateway::endpoint::Zone;
use tokio::net::TcpListener;

use crate::args::StandaloneArgs;
use crate::external_url;
use crate::pki::{Authority, SERVING_RENEWAL};

/// A bound address.
pub(super) struct Address {
    listener: TcpListener,
    ip: IpAddr,
    port: u16,
}

impl Address {
    /// Binds the address in the flags.
    pub(super) fn bind(args: &StandaloneArgs) -> Result<Self> {
        let ip = args.bind_address;
        let listener = server::bind((ip, args.secure_port).into()).with_context(|| {
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

    /// Returns the URL at which users reach this server.
    pub(super) fn url(&self, external: Option<&str>) -> String {
        match (external, self.reachable()) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, IpAddr::V4(ip)) => format!("https://{ip}:{}", self.port),
            (None, IpAddr::V6(ip)) => format!("https://[{ip}]:{}", self.port),
        }
    }

    /// Returns a serving certificate for these names.
    pub(super) fn certificate(
        authority: &Authority,
        names: &Names,
    ) -> Result<Arc<ReloadableCertificate>> {
        let pair = authority.serving(names)?;
        ReloadableCertificate::load(pair.certificate.as_bytes(), pair.key.expose().as_bytes())
            .context("the serving certificate cannot be used")
    }

    /// Renews the serving certificate well before its expiry. Runs forever.
    pub(super) async fn renew(
        authority: Arc<Authority>,
        certificate: Arc<ReloadableCertificate>,
        names: Names,
    ) {
        loop {
            tokio::time::sleep(SERVING_RENEWAL).await;
            let renewed = authority.serving(&names).and_then(|pair| {
                let (chain, key) = (pair.certificate.as_bytes(), pair.key.expose());
                Ok(certificate.replace(chain, key.as_bytes())?)
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

    /// Returns the listener.
    pub(super) fn into_listener(self) -> TcpListener {
        self.listener
    }

    /// Returns an address that a client on this machine can use. Replaces the wildcard address by
    /// the loopback address.
    fn reachable(&self) -> IpAddr {
        match self.ip {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        }
    }

    /// Returns all names and addresses of this server, including the wildcard of the zone.
    pub(super) fn names(&self, external: Option<&str>, zone: Option<&Zone>) -> Names {
        let mut names: Names = ["localhost", "127.0.0.1", "::1"].into_iter().collect();
        names.addresses.insert(self.reachable());
        if let Some(host) = external.and_then(external_url::host) {
            names.add(&host);
        }
        if let Some(zone) = zone {
            names.add(&zone.wildcard());
        }
        names
    }
}
