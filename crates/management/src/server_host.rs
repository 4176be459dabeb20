//! Addresses of servers that are written into users' files.

use std::net::Ipv6Addr;

/// Maximum length of a host name, in bytes (RFC 1123).
const MAX_HOST: usize = 253;

/// A host name or address, optionally with a port, that is safe to put into `https://HOST/…`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerHost(String);

/// The reason why a URL does not name a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// The scheme is missing or is not https.
    #[error("must be a URL with scheme https, such as https://kubeconfigs.example.com")]
    Scheme,
    /// The URL contains a user or a password.
    #[error("must not contain a user or a password: every kubeconfig file would contain them")]
    User,
    /// The host or the port is invalid.
    #[error(
        "must have a host name of ASCII characters or an IP address, and a port between 1 and 65535 if any"
    )]
    Host,
}

impl ServerHost {
    /// Parses the host and port of an https URL. Path, query and fragment are dropped.
    ///
    /// # Errors
    /// The URL does not name a server.
    pub fn from_url(url: &str) -> Result<ServerHost, InvalidUrl> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidUrl::Scheme)?;
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(InvalidUrl::Scheme);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(InvalidUrl::User);
        }
        ServerHost::from_authority(authority).ok_or(InvalidUrl::Host)
    }

    /// Parses a host with an optional port, as in the `Host` header. An IPv6 address may come
    /// without brackets if it has no port.
    #[must_use]
    pub fn from_authority(authority: &str) -> Option<ServerHost> {
        if let Some(host) = ServerHost::from_address(authority) {
            return Some(host);
        }
        let (host, port) = authority.rsplit_once(':')?;
        (is_host(host) && is_port(port)).then(|| ServerHost(authority.to_owned()))
    }

    /// Parses a host without a port. An IPv6 address may come without brackets.
    #[must_use]
    pub fn from_address(address: &str) -> Option<ServerHost> {
        if address.parse::<Ipv6Addr>().is_ok() {
            return Some(ServerHost(format!("[{address}]")));
        }
        is_host(address).then(|| ServerHost(address.to_owned()))
    }

    /// Returns the host, with brackets around an IPv6 address, and the port if there is one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the host without the port, and without the brackets around an IPv6 address.
    #[must_use]
    pub fn host_name(&self) -> &str {
        let host = match self
            .0
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        {
            Some((address, _)) => return address,
            None => &self.0,
        };
        host.split_once(':').map_or(host, |(host, _)| host)
    }
}

fn is_host(host: &str) -> bool {
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = in_brackets {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_name_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let name = host.strip_suffix('.').unwrap_or(host);
    let mut labels = name.split('.');
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_name_char);
    name.len() <= MAX_HOST && labels.all(is_label)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|it| it > 0)
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
        #[track_caller]
        fn check(url: &str, expected: Result<&str, InvalidUrl>) {
            let expected = expected.map(|host| ServerHost(host.to_owned()));
            assert_eq!(ServerHost::from_url(url), expected, "{url:?}");
        }
        check("https://rancher.example.com", Ok("rancher.example.com"));
        check("HTTPS://a.example:8443/dashboard?x#y", Ok("a.example:8443"));
        check("https://10.0.0.1/", Ok("10.0.0.1"));
        check("https://[fd00::1]:8443", Ok("[fd00::1]:8443"));
        for url in [
            "",
            "rancher.example.com",
            "://a",
            "http://a",
            "https:/a",
            "ftp://a",
        ] {
            check(url, Err(InvalidUrl::Scheme));
        }
        for url in ["https://user:pw@10.0.0.1/", "https://user@a", "https://@a"] {
            check(url, Err(InvalidUrl::User));
        }
        for url in [
            "https://",
            "https:///path",
            "https://a b",
            "https://host:port",
            "https://h.example.com:99999",
            "https://münchen.example",
            "https://a:0",
            "https://a:+1",
            "https://a\n",
            "https://..",
        ] {
            check(url, Err(InvalidUrl::Host));
        }
    }

    #[test]
    fn an_authority_is_taken_only_if_nothing_can_hide_in_it() {
        let long = "a".repeat(MAX_HOST + 1);
        check(
            ServerHost::from_authority,
            &[
                ("localhost:8443", Some("localhost:8443")),
                ("a.example.", Some("a.example.")),
                ("fd00::1", Some("[fd00::1]")),
                ("[fd00::1]", Some("[fd00::1]")),
                ("[fd00::1", None),
                ("[fe80::1%25eth0]", None),
                ("host:", None),
                ("host:65536", None),
                ("host:+443", None),
                ("host:0", None),
                (":443", None),
                ("a..b", None),
                (".", None),
                ("host/path", None),
                ("host?x", None),
                ("host#x", None),
                ("user@host", None),
                ("host\nserver: evil", None),
                ("ho\u{ad}st", None),
                (&long, None),
                ("", None),
            ],
        );
        check(
            ServerHost::from_address,
            &[
                ("10.0.0.1", Some("10.0.0.1")),
                ("fd00::1", Some("[fd00::1]")),
                ("10.0.0.1:80", None),
                ("[fd00::1]:80", None),
            ],
        );
    }
}
