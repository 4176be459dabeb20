//! The URL of a server of this project, in canonical form.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `https://HOST[:PORT]`, in lower case and without the port 443. All spellings of an address are
/// equal, so that the server and the plugin derive the same values from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerUrl(String);

/// The text is not the URL of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidServerUrl {
    text: String,
    reason: &'static str,
}

impl ServerUrl {
    /// Returns the text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerUrl {
    type Err = InvalidServerUrl;

    fn from_str(text: &str) -> Result<Self, InvalidServerUrl> {
        parse(text).map_err(|reason| InvalidServerUrl {
            text: text.to_owned(),
            reason,
        })
    }
}

fn parse(text: &str) -> Result<ServerUrl, &'static str> {
    const SCHEME: &str = "https://";
    let scheme = text.get(..SCHEME.len());
    if !scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME)) {
        return Err("must begin with https://");
    }
    let rest = text.get(SCHEME.len()..).unwrap_or_default();
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '\\']) {
        return Err("must be https://HOST or https://HOST:PORT, with nothing after it");
    }
    if authority.contains('@') {
        return Err("must not contain a user name");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host = canonical_host(host).ok_or("must have a host")?;
    let port = match port {
        None => 443,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().map_err(|_| "must have a port below 65536")?
        }
        Some(_) => return Err("must have a port below 65536"),
    };
    Ok(match port {
        443_u16 => ServerUrl(format!("{SCHEME}{host}")),
        port => ServerUrl(format!("{SCHEME}{host}:{port}")),
    })
}

fn canonical_host(host: &str) -> Option<String> {
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = address {
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_name = !host.is_empty() && host.bytes().all(is_name_byte);
    is_name.then(|| host.to_ascii_lowercase())
}

impl TryFrom<String> for ServerUrl {
    type Error = InvalidServerUrl;

    fn try_from(text: String) -> Result<Self, InvalidServerUrl> {
        text.parse()
    }
}

impl From<ServerUrl> for String {
    fn from(url: ServerUrl) -> Self {
        url.0
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid URL {:?}: {}", self.text, self.reason)
    }
}

impl std::error::Error for InvalidServerUrl {}

#[cfg(test)]
mod tests {
    use super::ServerUrl;

    #[test]
    fn two_spellings_of_an_address_are_one() {
        for (text, expected) in [
            ("https://Example.com", Some("https://example.com")),
            ("HTTPS://example.com/", Some("https://example.com")),
            ("https://example.com:443", Some("https://example.com")),
            ("https://example.com:0443/", Some("https://example.com")),
            (
                "https://example.com:8443/",
                Some("https://example.com:8443"),
            ),
            ("https://[::1]:8443", Some("https://[::1]:8443")),
            ("https://[0:0::0:1]", Some("https://[::1]")),
            ("http://example.com", None),
            ("example.com", None),
            ("https://", None),
            ("https://:8443", None),
            ("https://example.com:", None),
            ("https://example.com:65536", None),
            ("https://example.com:+8443", None),
            ("https://user@example.com", None),
            ("https://example.com//", None),
            ("https://example.com/k8s", None),
            ("https://example.com?x=y", None),
            ("https://example.com#x", None),
            ("https://example.com\\.evil", None),
            ("https://exa\u{202e}mple.com", None),
            ("https://exa mple.com", None),
            ("https://[::1", None),
            ("--server", None),
        ] {
            let parsed = text.parse::<ServerUrl>().ok();
            assert_eq!(parsed.as_ref().map(ServerUrl::as_str), expected, "{text}");
        }
    }
}
