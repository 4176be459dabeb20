//! Splits a raw path into the cluster and the rest of the path.
//!
//! The path is checked as it was received and never rewritten: the part after the id reaches the
//! cluster byte for byte. So paths that two parsers may read differently are rejected: invalid ids,
//! and path segments that are `.` or `..` in any spelling.

use machinery::validation::dns1123_subdomain;
use percent_encoding::percent_decode_str;

/// The prefix of all paths to clusters.
const PREFIX: &str = "/k8s/clusters/";

/// The target of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// Not a path to a cluster.
    Elsewhere,
    /// A path that can be read in more than one way.
    Ambiguous,
    /// A path to this cluster.
    Cluster {
        /// The name of its object.
        id: &'a str,
        /// Path and query after the id: empty, or begins with `/` or `?`.
        rest: &'a str,
    },
}

impl<'a> Route<'a> {
    /// Parses a raw path with its query.
    pub(crate) fn of(target: &'a str) -> Self {
        let Some(behind) = target.strip_prefix(PREFIX) else {
            return Self::Elsewhere;
        };
        let end = behind.find(['/', '?']).unwrap_or(behind.len());
        let (id, rest) = behind.split_at(end);
        let path = rest.split('?').next().unwrap_or_default();
        if !dns1123_subdomain(id).is_empty() || is_ambiguous(path) {
            return Self::Ambiguous;
        }
        Self::Cluster { id, rest }
    }
}

/// Returns whether a parser could read the path as one that leaves the cluster.
pub(crate) fn is_ambiguous(path: &str) -> bool {
    let Some(behind_slash) = path.strip_prefix('/') else {
        return false;
    };
    if behind_slash.starts_with('/') {
        return true;
    }
    let (first, _) = behind_slash.split_once('/').unwrap_or((behind_slash, ""));
    let first = percent_decode_str(first).collect::<Vec<u8>>();
    if first.iter().any(|byte| b"/\\;\0".contains(byte)) {
        return true;
    }
    if !path.contains(['.', '%']) {
        return false;
    }
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let mut segments = decoded.split(|byte| matches!(byte, b'/' | b'\\'));
    segments.any(|segment| {
        let name = segment.split(|byte| *byte == b';').next();
        matches!(name, Some(b"." | b".."))
    })
}

#[cfg(test)]
mod tests {
    use super::Route;

    #[track_caller]
    fn check(target: &str, expected: Route<'_>) {
        assert_eq!(Route::of(target), expected, "{target}");
    }

    #[test]
    fn a_cluster_is_compared_whole() {
        for (target, id, rest) in [
            ("/k8s/clusters/c-1", "c-1", ""),
            ("/k8s/clusters/c-1?watch=1", "c-1", "?watch=1"),
            ("/k8s/clusters/c-1/", "c-1", "/"),
            ("/k8s/clusters/c-10/api", "c-10", "/api"),
            ("/k8s/clusters/a.b.c/api?x=/../", "a.b.c", "/api?x=/../"),
            (
                "/k8s/clusters/c-1/api/x/proxy/a%2Fb//c%20d",
                "c-1",
                "/api/x/proxy/a%2Fb//c%20d",
            ),
            (
                "/k8s/clusters/c-1/a/..b/b../...;x",
                "c-1",
                "/a/..b/b../...;x",
            ),
        ] {
            check(target, Route::Cluster { id, rest });
        }
    }

    #[test]
    fn other_paths_are_not_ours() {
        for target in [
            "",
            "*",
            "/",
            "/k8s/clusters",
            "/k8s/clustersx/c-1",
            "//k8s/clusters/c-1",
            "/K8s/clusters/c-1",
            "/k8s/clusters%2Fc-1",
            "/apis?x=/k8s/clusters/c-1",
        ] {
            check(target, Route::Elsewhere);
        }
    }

    #[test]
    fn what_could_be_understood_twice_is_refused() {
        for target in [
            "/k8s/clusters/",
            "/k8s/clusters//c-1",
            "/k8s/clusters/C-1",
            "/k8s/clusters/c-1%2Fapi",
            "/k8s/clusters/c%2D1",
            "/k8s/clusters/c-1%00/api",
            "/k8s/clusters/c-1;x/api",
            "/k8s/clusters/c-1\\api",
            "/k8s/clusters/c-1./api",
            "/k8s/clusters/../c-1",
            "/k8s/clusters/%2e%2e/c-1",
            "/k8s/clusters/c-1//api",
            "/k8s/clusters/c-1/../c-2/api",
            "/k8s/clusters/c-1/..",
            "/k8s/clusters/c-1/./api",
            "/k8s/clusters/c-1/%2e%2e/c-2",
            "/k8s/clusters/c-1/.%2E/c-2",
            "/k8s/clusters/c-1/..%2fc-2",
            "/k8s/clusters/c-1/..;x/c-2",
            "/k8s/clusters/c-1/..\\c-2",
            "/k8s/clusters/c-1/%2Fapi",
            "/k8s/clusters/c-1/%5Capi",
            "/k8s/clusters/c-1/%00",
            "/k8s/clusters/c-1/api/a/../../../c-2",
            "/k8s/clusters/c-1/api/a%2F..%2Fb",
            "/k8s/clusters/c\u{2024}1/api",
        ] {
            check(target, Route::Ambiguous);
        }
    }
}
