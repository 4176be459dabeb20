//! What `--external-url` may be.

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
