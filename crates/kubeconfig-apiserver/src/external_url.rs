//! What `--external-url` may be, and which host it names.

use anyhow::{Context, Result, bail};

/// Refuses URLs that no client could use.
pub(crate) fn check(url: &str) -> Result<()> {
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

/// The host of a URL that was checked: a name, an address, or an IPv6 address in brackets.
pub(crate) fn host(url: &str) -> Option<String> {
    let parsed: http::Uri = url.parse().ok()?;
    parsed.host().map(str::to_owned)
}

/// The port of a URL that was checked, unless it is that of all https URLs.
pub(crate) fn port(url: &str) -> Option<u16> {
    let parsed: http::Uri = url.parse().ok()?;
    parsed.port_u16().filter(|port| *port != 443)
}
