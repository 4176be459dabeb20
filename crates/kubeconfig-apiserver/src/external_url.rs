//! Validation of `--external-url`, and its parts.

use anyhow::{Context, Result, bail};

/// Rejects a URL that clients cannot use.
pub(crate) fn check(url: &str) -> Result<()> {
    let parsed: http::Uri = url
        .parse()
        .with_context(|| format!("--external-url: invalid URL {url:?}"))?;
    if parsed.scheme_str() != Some("https") || parsed.host().is_none_or(str::is_empty) {
        bail!("--external-url {url} must be of the form https://host or https://host:port");
    }
    if parsed.port_u16() == Some(0) {
        bail!("--external-url {url} must not have port 0");
    }
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() {
        bail!("--external-url {url} must not have a path or query");
    }
    Ok(())
}

/// Returns the host of a valid URL: a name, an IP address, or an IPv6 address in brackets.
pub(crate) fn host(url: &str) -> Option<String> {
    let parsed: http::Uri = url.parse().ok()?;
    parsed.host().map(str::to_owned)
}

/// Returns the port of a valid URL, unless it is the default port of https.
pub(crate) fn port(url: &str) -> Option<u16> {
    let parsed: http::Uri = url.parse().ok()?;
    parsed.port_u16().filter(|port| *port != 443)
}
