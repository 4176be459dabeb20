//! Host names and addresses of a serving certificate.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rcgen::SanType;

use crate::Error;

/// Host names and addresses, in the order in which a certificate lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub hosts: BTreeSet<String>,
    /// IP addresses.
    pub addresses: BTreeSet<IpAddr>,
}

impl Names {
    /// Adds a host as written in a URL: a name, an address, or an IPv6 address in brackets.
    pub fn add(&mut self, host: &str) {
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) => self.addresses.insert(address),
            Err(_) => self.hosts.insert(host.to_owned()),
        };
    }

    /// Returns whether these names include all of `other`.
    #[must_use]
    pub fn contain(&self, other: &Self) -> bool {
        self.hosts.is_superset(&other.hosts) && self.addresses.is_superset(&other.addresses)
    }

    /// Returns the union of these names and `other`.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.hosts.extend(other.hosts.iter().cloned());
        self.addresses.extend(&other.addresses);
        self
    }

    pub(crate) fn alternative_names(&self) -> Result<Vec<SanType>, Error> {
        let mut names = Vec::new();
        for host in &self.hosts {
            let name = host.as_str().try_into();
            names.push(SanType::DnsName(
                name.map_err(|_| Error::Name(host.clone()))?,
            ));
        }
        names.extend(self.addresses.iter().copied().map(SanType::IpAddress));
        Ok(names)
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<I: IntoIterator<Item = &'a str>>(hosts: I) -> Self {
        let mut names = Self::default();
        for host in hosts {
            names.add(host);
        }
        names
    }
}
