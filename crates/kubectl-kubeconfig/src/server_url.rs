//! Addresses of servers and of the clusters behind them.

use anyhow::{Context, Result, ensure};

pub(crate) use api::plugin::ServerUrl;

/// The path between the address of a server and the id of a cluster behind it.
const CLUSTERS: &str = "/k8s/clusters/";

/// Returns the server for the address of a cluster: `https://HOST/k8s/clusters/ID` is reached
/// through `https://HOST`. Any other address is that of a server.
pub(crate) fn in_front_of(address: &str) -> Result<ServerUrl> {
    let (origin, rest) = address.split_once(CLUSTERS).unwrap_or((address, ""));
    ensure!(
        !rest.trim_end_matches('/').contains('/'),
        "{address:?} is not the address of a cluster"
    );
    origin.parse().context("the address of a cluster")
}

/// Returns the address of a cluster behind a server.
pub(crate) fn behind(server: &ServerUrl, cluster: &str) -> String {
    format!("{server}{CLUSTERS}{cluster}")
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let found = in_front_of(text).ok();
            assert_eq!(found.as_ref().map(ServerUrl::as_str), expected, "{text}");
        }
    }
}
