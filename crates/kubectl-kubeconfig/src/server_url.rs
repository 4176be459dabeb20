//! The server in front of a cluster.

use anyhow::{Context, Result, ensure};

pub(crate) use api::plugin::ServerUrl;

/// The path between a server and the id of a cluster behind it.
const CLUSTERS: &str = "/k8s/clusters/";

/// The server behind which the address of a cluster lies: `https://HOST/k8s/clusters/ID` is reached
/// through `https://HOST`, any other address is a server itself.
pub(crate) fn in_front_of(address: &str) -> Result<ServerUrl> {
    let (origin, rest) = address.split_once(CLUSTERS).unwrap_or((address, ""));
    ensure!(
        !rest.trim_end_matches('/').contains('/'),
        "{address:?} is not the address of a cluster"
    );
    origin.parse().context("the address of a cluster")
}

/// The address of a cluster behind a server.
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
