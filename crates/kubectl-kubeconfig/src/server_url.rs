//! The address of a server of this project, in one spelling.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result, ensure};
use http::Uri;
use serde::{Deserialize, Serialize};

/// `https://HOST[:PORT]`, in lower case and without the port where that is 443: two addresses of
/// one server are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ServerUrl(String);

impl ServerUrl {
    /// The text, without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The server behind which the address of a cluster lies: `https://HOST/k8s/clusters/ID` is
    /// reached through `https://HOST`, any other address is a server itself.
    pub(crate) fn in_front_of(address: &str) -> Result<Self> {
        let (origin, rest) = address
            .split_once("/k8s/clusters/")
            .unwrap_or((address, ""));
        ensure!(
            !rest.trim_end_matches('/').contains('/'),
            "{address:?} is no address of a cluster"
        );
        origin.parse()
    }
}

impl FromStr for ServerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let uri: Uri = text
            .parse()
            .with_context(|| format!("{text:?} is no URL"))?;
        ensure!(
            uri.scheme_str() == Some("https"),
            "{text:?} must begin with https://"
        );
        ensure!(
            uri.path() == "/" && uri.query().is_none(),
            "{text:?} must be https://HOST or https://HOST:PORT, with nothing behind it"
        );
        let authority = uri.authority().context("a URL without a host")?;
        ensure!(
            !authority.as_str().contains('@') && !authority.host().is_empty(),
            "{text:?} must name a host and no user"
        );
        let host = authority.host().to_ascii_lowercase();
        Ok(match authority.port_u16() {
            None | Some(443) => Self(format!("https://{host}")),
            Some(port) => Self(format!("https://{host}:{port}")),
        })
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
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

#[cfg(test)]
mod tests {
    use super::ServerUrl;

    #[test]
    fn two_spellings_of_an_address_are_one() {
        for (text, expected) in [
            ("https://Example.com", Some("https://example.com")),
            ("https://example.com/", Some("https://example.com")),
            ("https://example.com:443", Some("https://example.com")),
            (
                "https://example.com:8443/",
                Some("https://example.com:8443"),
            ),
            ("https://[::1]:8443", Some("https://[::1]:8443")),
            ("http://example.com", None),
            ("example.com", None),
            ("https://", None),
            ("https://user@example.com", None),
            ("https://example.com/k8s", None),
            ("https://example.com?x=y", None),
            ("--server", None),
        ] {
            let parsed = text.parse::<ServerUrl>().ok();
            assert_eq!(parsed.as_ref().map(ServerUrl::as_str), expected, "{text}");
        }
    }

    #[test]
    fn a_cluster_lies_behind_its_server() {
        for (text, expected) in [
            ("https://a.b/k8s/clusters/c-1", Some("https://a.b")),
            (
                "https://a.b:8443/k8s/clusters/c-1/",
                Some("https://a.b:8443"),
            ),
            ("https://a.b", Some("https://a.b")),
            ("https://a.b/k8s/clusters/c-1/api", None),
            ("https://a.b/other", None),
        ] {
            let found = ServerUrl::in_front_of(text).ok();
            assert_eq!(found.as_ref().map(ServerUrl::as_str), expected, "{text}");
        }
    }
}
