//! The host names of clusters: a managed one, under which the gateway answers for a cluster, and an
//! unmanaged one, which leads to the cluster itself.
//!
//! ```text
//! managed     ORGANIZATION-HASH.DOMAIN        as /k8s/clusters/<id>, for our tokens
//! unmanaged   api.ORGANIZATION-HASH.DOMAIN    the cluster's own TLS, or its spec.authentication
//! older       api.ORGANIZATION-NAME.DOMAIN    the same, by the display name
//! ```
//!
//! The hash is computed from the cluster's id, so a name survives renaming and reveals nothing.
//! Names are resolved among the existing clusters (`directory`); the hash alone proves nothing.
//! Only clusters with a connection have names.

pub(crate) mod directory;

use api::management::cluster::ClusterEndpoints;
use aws_lc_rs::digest::{SHA256, digest};
use machinery::validation;

/// Digits of a hash. Each has five bits, 60 in all, so accidental collisions are negligible.
const HASH_DIGITS: usize = 12;

/// The first label of unmanaged names.
const UNMANAGED: &str = "api";

/// Longest DNS label (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;

/// Longest domain, in bytes. The names under it must be valid DNS names, too.
const MAX_DOMAIN: usize = 253 - MAX_LABEL - UNMANAGED.len() - 2;

/// The scheme of the clusters' host names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    organization: String,
    domain: String,
    port: Option<u16>,
}

/// A fault in the configuration of host names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// The domain is invalid.
    #[error(
        "{0:?} must be a DNS name in lower case of two labels at least, such as k8s.eu.example.com"
    )]
    Domain(String),
    /// The organization is not a valid start of a DNS label.
    #[error("{0:?} must be a DNS label in lower case of at most {max} characters, such as acme", max = MAX_LABEL - HASH_DIGITS - 1)]
    Organization(String),
}

/// A parsed host name of the zone. The cluster may or may not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label<'a> {
    /// The gateway's endpoint for a cluster.
    Managed(&'a str),
    /// The cluster's own endpoint.
    Unmanaged(&'a str),
    /// A name that no cluster can have.
    Unknown,
}

impl Zone {
    /// Creates the zone of an organization under a domain. The port is only given if it is not 443.
    ///
    /// # Errors
    /// The organization or the domain cannot be part of a host name.
    pub fn new(organization: &str, domain: &str, port: Option<u16>) -> Result<Self, ZoneError> {
        let is_domain = validation::dns1123_subdomain(domain).is_empty()
            && domain.contains('.')
            && domain.len() <= MAX_DOMAIN;
        if !is_domain {
            return Err(ZoneError::Domain(domain.to_owned()));
        }
        let is_label = validation::dns1123_label(organization).is_empty();
        if !is_label || organization.len() + 1 + HASH_DIGITS > MAX_LABEL {
            return Err(ZoneError::Organization(organization.to_owned()));
        }
        Ok(Self {
            organization: organization.to_owned(),
            domain: domain.to_owned(),
            port,
        })
    }

    /// Returns the URLs of a cluster's endpoints.
    #[must_use]
    pub fn endpoints(&self, cluster: &str) -> ClusterEndpoints {
        let label = self.label(&hash(cluster));
        ClusterEndpoints {
            managed: self.url(&format!("{label}.{}", self.domain)),
            unmanaged: self.url(&self.unmanaged_host(&label)),
        }
    }

    /// Returns the wildcard name of a certificate for all managed names.
    #[must_use]
    pub fn wildcard(&self) -> String {
        format!("*.{}", self.domain)
    }

    /// Returns whether a host name, in any case, is under the domain.
    #[must_use]
    pub fn contains(&self, host: &str) -> bool {
        self.below(host).is_some()
    }

    /// Parses a host name. Returns `None` if it is not under the domain.
    pub(crate) fn read<'a>(&self, host: &'a str) -> Option<Label<'a>> {
        let below = self.below(host)?;
        Some(match below.split_once('.') {
            None => Label::Managed(below),
            Some((UNMANAGED, label)) if !label.contains('.') => Label::Unmanaged(label),
            Some(_) => Label::Unknown,
        })
    }

    /// Returns the URL of the cluster's own endpoint for this label.
    pub(crate) fn unmanaged_url(&self, label: &str) -> String {
        self.url(&self.unmanaged_host(label))
    }

    /// Returns the label of a cluster with this hash or name.
    fn label(&self, rest: &str) -> String {
        format!("{}-{rest}", self.organization)
    }

    fn unmanaged_host(&self, label: &str) -> String {
        format!("{UNMANAGED}.{label}.{}", self.domain)
    }

    fn url(&self, host: &str) -> String {
        match self.port {
            None => format!("https://{host}"),
            Some(port) => format!("https://{host}:{port}"),
        }
    }

    fn below<'a>(&self, host: &'a str) -> Option<&'a str> {
        let end = host.len().checked_sub(self.domain.len() + 1)?;
        let (below, domain) = host.split_at_checked(end)?;
        let is_ours = domain.strip_prefix('.')?.eq_ignore_ascii_case(&self.domain);
        (is_ours && !below.is_empty()).then_some(below)
    }
}

/// Returns a hash of an id, in letters and digits.
fn hash(id: &str) -> String {
    let digest = digest(&SHA256, id.as_bytes());
    let bytes = digest.as_ref().iter().take(HASH_DIGITS);
    bytes
        .filter_map(|byte| char::from_digit(u32::from(byte & 31), 32))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        Zone::new("acme", "k8s.eu.example.com", None).unwrap()
    }

    #[test]
    fn names_do_not_change() {
        let endpoints = |id, port| {
            let zone = Zone { port, ..zone() };
            let ClusterEndpoints { managed, unmanaged } = zone.endpoints(id);
            [managed, unmanaged]
        };
        assert_eq!(
            endpoints("c-1", None),
            [
                "https://acme-6nf7ed8ap5ag.k8s.eu.example.com",
                "https://api.acme-6nf7ed8ap5ag.k8s.eu.example.com",
            ]
        );
        assert_eq!(
            endpoints("local", Some(8443)),
            [
                "https://acme-5veq3jhgdn2r.k8s.eu.example.com:8443",
                "https://api.acme-5veq3jhgdn2r.k8s.eu.example.com:8443",
            ]
        );
    }

    #[test]
    fn a_zone_is_made_of_dns_names() {
        let check = |organization: &str, domain: &str, expected| {
            assert_eq!(Zone::new(organization, domain, None).err(), expected);
        };
        let long = "a".repeat(50);
        let wide = format!("{long}.{long}.{long}.example.com");
        check(&long, "a.b", None);
        check("a", &wide, None);
        for organization in ["", "A", "a.b", "-a", "a_", &format!("{long}a")] {
            let expected = ZoneError::Organization(organization.to_owned());
            check(organization, "a.b", Some(expected));
        }
        for domain in [
            "",
            "a",
            "A.b",
            "a.b.",
            ".a.b",
            "*.b",
            "a b.c",
            "https://a.b",
            &format!("{long}.{wide}"),
        ] {
            check("a", domain, Some(ZoneError::Domain(domain.to_owned())));
        }
        assert_eq!(
            ZoneError::Organization("A".to_owned()).to_string(),
            "\"A\" must be a DNS label in lower case of at most 50 characters, such as acme"
        );
    }

    #[test]
    fn a_host_is_read_whole() {
        for (host, expected) in [
            ("acme-1.k8s.eu.example.com", Some(Label::Managed("acme-1"))),
            ("acme-1.K8S.eu.example.COM", Some(Label::Managed("acme-1"))),
            ("api.k8s.eu.example.com", Some(Label::Managed("api"))),
            (
                "api.acme-1.k8s.eu.example.com",
                Some(Label::Unmanaged("acme-1")),
            ),
            ("b.acme-1.k8s.eu.example.com", Some(Label::Unknown)),
            ("api.a.acme-1.k8s.eu.example.com", Some(Label::Unknown)),
            (".k8s.eu.example.com", None),
            ("k8s.eu.example.com", None),
            ("xk8s.eu.example.com", None),
            ("acme-1.k8s.eu.example.com.", None),
            ("acme-1.k8s.eu.example.com:443", None),
            ("example.com", None),
            ("\u{fc}k8s.eu.example.com", None),
            ("", None),
        ] {
            assert_eq!(zone().read(host), expected, "{host}");
        }
    }
}
