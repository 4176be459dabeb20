//! This server as users reach it.

use std::net::Ipv6Addr;

/// This server as users reach it.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// Its host.
    pub host: &'a ServerHost,
    /// The certificate authorities that vouch for it, in PEM; empty for those of the user's
    /// machine.
    pub ca_certs: &'a str,
}

/// A host name or address, optionally with a port, that is safe to put into `https://HOST/…`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerHost(String);

impl ServerHost {
    /// The host and port of a URL with a scheme, whatever that is; user, path and query are
    /// dropped.
    pub fn from_url(url: &str) -> Option<ServerHost> {
        let (scheme, rest) = url.split_once("://")?;
        let is_scheme_char = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if scheme.is_empty() || !scheme.bytes().all(is_scheme_char) {
            return None;
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        ServerHost::from_authority(host)
    }

    /// A host with an optional port, as in the `Host` header. An IPv6 address may come without
    /// brackets if it has no port.
    pub fn from_authority(authority: &str) -> Option<ServerHost> {
        if authority.parse::<Ipv6Addr>().is_ok() {
            return Some(ServerHost(format!("[{authority}]")));
        }
        let is_valid = match split_port(authority) {
            (host, Some(port)) => is_host(host) && port.parse::<u16>().is_ok(),
            (host, None) => is_host(host),
        };
        is_valid.then(|| ServerHost(authority.to_owned()))
    }

    /// The host, with brackets around an IPv6 address, and the port if there is one.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_name_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !host.is_empty() && host.bytes().all(is_name_char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(parse: fn(&str) -> Option<ServerHost>, cases: &[(&str, Option<&str>)]) {
        for (text, expected) in cases {
            let host = parse(text);
            assert_eq!(host.as_ref().map(ServerHost::as_str), *expected, "{text:?}");
        }
    }

    #[test]
    fn a_url_gives_its_host_and_port() {
        check(
            ServerHost::from_url,
            &[
                ("https://rancher.example.com", Some("rancher.example.com")),
                (
                    "http://rancher.example.com:8443/dashboard?x#y",
                    Some("rancher.example.com:8443"),
                ),
                ("https://user:pw@10.0.0.1/", Some("10.0.0.1")),
                ("https://[fd00::1]:8443", Some("[fd00::1]:8443")),
                ("rancher.example.com", None),
                ("://rancher.example.com", None),
                ("https:///path", None),
                ("https://a b", None),
                ("https://host:port", None),
                ("", None),
            ],
        );
    }

    #[test]
    fn an_authority_is_taken_only_if_nothing_can_hide_in_it() {
        check(
            ServerHost::from_authority,
            &[
                ("localhost:8443", Some("localhost:8443")),
                ("fd00::1", Some("[fd00::1]")),
                ("[fd00::1]", Some("[fd00::1]")),
                ("[fd00::1", None),
                ("host:", None),
                ("host:65536", None),
                ("host/path", None),
                ("user@host", None),
                ("host\nserver: evil", None),
                ("", None),
            ],
        );
    }
}
