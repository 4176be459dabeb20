//! Flags of the host names of clusters.

use anyhow::{Context, Result, ensure};
use clap::Args;
use gateway::endpoint::Zone;

use crate::external_url;

/// The host names of clusters.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Host names of clusters")]
pub(crate) struct ZoneArgs {
    /// Domain in which every cluster has two host names, such as k8s.eu.example.com:
    /// ORG-HASH.DOMAIN for the route through this server, api.ORG-HASH.DOMAIN for the cluster
    /// itself. Both *.DOMAIN and *.*.DOMAIN must resolve to this server.
    #[arg(long, value_name = "DOMAIN", requires = "endpoint_organization")]
    pub(crate) endpoint_zone: Option<String>,

    /// Prefix of these names: a DNS label that distinguishes this installation from others in the
    /// zone.
    #[arg(long, value_name = "ORG", requires = "endpoint_zone")]
    pub(crate) endpoint_organization: Option<String>,
}

impl ZoneArgs {
    /// Returns the zone, with the port of the server's URL. `None` if clusters have no host names.
    pub(crate) fn zone(&self, url: &str) -> Result<Option<Zone>> {
        let (Some(domain), Some(organization)) = (&self.endpoint_zone, &self.endpoint_organization)
        else {
            return Ok(None);
        };
        let zone = Zone::new(organization, domain, external_url::port(url));
        let zone = zone.context("--endpoint-zone and --endpoint-organization")?;
        let host = external_url::host(url).unwrap_or_default();
        ensure!(
            !zone.contains(&host),
            "--endpoint-zone {domain} contains {host}, the name of this server: names in the zone are reserved for clusters"
        );
        Ok(Some(zone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(domain: &str, organization: &str, url: &str) -> Result<Option<Zone>, String> {
        let args = ZoneArgs {
            endpoint_zone: Some(domain.to_owned()),
            endpoint_organization: Some(organization.to_owned()),
        };
        args.zone(url).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn names_are_at_the_port_of_the_server() {
        let expected = |port| Ok(Zone::new("acme", "k8s.example.com", port).ok());
        for (url, port) in [
            ("https://example.com", None),
            ("https://10.0.0.1:8443", Some(8443)),
            ("https://k8s.example.com:443/", None),
        ] {
            assert_eq!(
                zone("k8s.example.com", "acme", url),
                expected(port),
                "{url}"
            );
        }
        assert_eq!(ZoneArgs::default().zone("https://a").ok(), Some(None));
    }

    #[test]
    fn what_cannot_be_is_told() {
        let url = "https://a.k8s.example.com";
        for (domain, organization, expected) in [
            (
                "k8s",
                "acme",
                "--endpoint-zone and --endpoint-organization: \"k8s\" must be a DNS name in lower case of two labels at least, such as k8s.eu.example.com",
            ),
            (
                "k8s.example.com",
                "Acme",
                "--endpoint-zone and --endpoint-organization: \"Acme\" must be a DNS label in lower case of at most 50 characters, such as acme",
            ),
            (
                "k8s.example.com",
                "acme",
                "--endpoint-zone k8s.example.com contains a.k8s.example.com, the name of this server: names in the zone are reserved for clusters",
            ),
        ] {
            assert_eq!(zone(domain, organization, url), Err(expected.to_owned()));
        }
    }
}
