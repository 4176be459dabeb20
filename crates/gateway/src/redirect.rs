//! The `Location` of a cluster's answer.
//!
//! Clients follow a redirect with their bearer token (CVE-2022-3172). So a cluster, or a pod behind
//! its proxy, may only redirect them to the cluster itself. A location is resolved as the cluster
//! means it, against the URL of the request there (RFC 3986, section 5.2):
//!
//! ```text
//! Location + https://CLUSTER/BASE/PATH → https://CLUSTER/BASE/REST → /k8s/clusters/ID/REST
//! ```
//!
//! The client gets an absolute path without dot segments, so that every client resolves it alike.
//! RFC 3986, Go's `net/url` and browsers (the URL standard of WHATWG) differ in how they resolve
//! backslashes, controls, encoded dots, `https:host` and too many `..`. A location that they may
//! resolve differently is rejected.

use http::uri::Authority;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::route::is_ambiguous;

/// The default port of `https`.
const HTTPS_PORT: u16 = 443;

/// Bytes that must be percent-encoded in every part of a URL (RFC 3986, section 2), in addition to
/// those that are rejected.
const INVALID: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The target of a request, against which locations in its answer are resolved.
pub(crate) struct Origin<'a> {
    /// The name of the cluster's object.
    pub(crate) cluster: &'a str,
    /// The cluster's own host and port.
    pub(crate) authority: &'a Authority,
    /// The prefix of all paths at the cluster: empty, or `/…` without a trailing slash.
    pub(crate) base_path: &'a str,
    /// The path of the request below that prefix, with its query.
    pub(crate) asked: &'a http::uri::PathAndQuery,
    /// True if the client reaches the cluster by a host name of the cluster, at the root.
    pub(crate) by_name: bool,
}

/// A URI reference, split into its parts (RFC 3986, appendix B). The fragment includes its `#`, the
/// query its `?`.
struct Reference<'a> {
    path: &'a str,
    query: &'a str,
    fragment: &'a str,
}

impl Origin<'_> {
    /// Returns the location as the client reaches it, or `None` if it is not below the cluster's
    /// address.
    pub(crate) fn relocated(&self, location: &str) -> Option<String> {
        if location.trim() != location || location.contains(char::is_control) {
            return None;
        }
        let reference = self.local_part(location)?;
        if reference.path.contains('\\') || !is_encoded(reference.path) {
            return None;
        }
        let path = self.resolved(reference.path)?;
        let rest = match path.strip_prefix(self.base_path)? {
            "" => "/",
            rest if rest.starts_with('/') && !is_ambiguous(rest) => rest,
            _ => return None,
        };
        let query = match (reference.path, reference.query, self.asked.query()) {
            ("", "", Some(asked)) => format!("?{asked}"),
            (_, query, _) => query.to_owned(),
        };
        let prefix = match self.by_name {
            true => String::new(),
            false => format!("/k8s/clusters/{}", self.cluster),
        };
        let local = format!("{rest}{query}{}", reference.fragment);
        Some(format!("{prefix}{}", utf8_percent_encode(&local, INVALID)))
    }

    /// Returns the reference without scheme and authority. Returns `None` if they are not the
    /// cluster's.
    fn local_part<'l>(&self, location: &'l str) -> Option<Reference<'l>> {
        let end_of_scheme = location.find([':', '/', '?', '#']);
        let end_of_scheme = end_of_scheme.filter(|&end| location[end..].starts_with(':'));
        let behind_scheme = match end_of_scheme {
            None => location,
            Some(end) if location[..end].eq_ignore_ascii_case("https") => {
                let rest = &location[end + 1..];
                rest.starts_with("//").then_some(rest)?
            }
            Some(_) => return None,
        };
        let Some(from_authority) = behind_scheme.strip_prefix("//") else {
            return Some(Reference::of(behind_scheme));
        };
        let end = from_authority.find(['/', '?', '#', '\\']);
        let (authority, local) = from_authority.split_at(end.unwrap_or(from_authority.len()));
        let reference = Reference::of(local);
        self.is_own(authority).then_some(match reference.path {
            "" => Reference {
                path: "/",
                ..reference
            },
            _ => reference,
        })
    }

    /// Returns whether this is the cluster's host and port, without user information.
    fn is_own(&self, authority: &str) -> bool {
        let port = |authority: &Authority| authority.port_u16().unwrap_or(HTTPS_PORT);
        let parsed = authority.parse::<Authority>().ok();
        parsed.is_some_and(|sent| {
            !authority.contains('@')
                && sent.host().eq_ignore_ascii_case(self.authority.host())
                && port(&sent) == port(self.authority)
        })
    }

    /// Returns the path at the cluster without dot segments. Returns `None` if they lead above its
    /// root, or if some clients may read a segment as a dot segment.
    fn resolved(&self, path: &str) -> Option<String> {
        let whole = match path {
            "" => return Some(format!("{}{}", self.base_path, self.asked.path())),
            absolute if absolute.starts_with('/') => absolute.to_owned(),
            relative => {
                let (folder, _) = self.asked.path().rsplit_once('/')?;
                format!("{}{folder}/{relative}", self.base_path)
            }
        };
        let mut segments = Vec::new();
        let mut ends_in_folder = false;
        for segment in whole.split('/').skip(1) {
            ends_in_folder = matches!(segment, "." | "..");
            match segment {
                "." => {}
                ".." => {
                    segments.pop()?;
                }
                other if is_ambiguous(&format!("/-/{other}")) => return None,
                other => segments.push(other),
            }
        }
        if ends_in_folder {
            segments.push("");
        }
        Some(format!("/{}", segments.join("/")))
    }
}

impl<'a> Reference<'a> {
    fn of(text: &'a str) -> Self {
        let (rest, fragment) = text.split_at(text.find('#').unwrap_or(text.len()));
        let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        Self {
            path,
            query,
            fragment,
        }
    }
}

/// Returns whether each `%` begins an escape.
fn is_encoded(path: &str) -> bool {
    let mut escapes = path.split('%').skip(1);
    escapes.all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a redirect for a client that requested `/a/b?q`, at a cluster with the address
    /// `https://10.0.0.1:6443/base`.
    #[track_caller]
    fn check(location: &str, expected: Option<&str>) {
        let origin = Origin {
            cluster: "c-1",
            authority: &Authority::from_static("Api.example.com:6443"),
            base_path: "",
            asked: &http::uri::PathAndQuery::from_static("/a/b?q"),
            by_name: false,
        };
        let expected = expected.map(|rest| format!("/k8s/clusters/c-1{rest}"));
        assert_eq!(origin.relocated(location), expected, "{location:?}");
    }

    #[test]
    fn what_is_below_the_cluster_gets_one_form() {
        check("/api?x=y#z", Some("/api?x=y#z"));
        check("/", Some("/"));
        check("next", Some("/a/next"));
        check("./next", Some("/a/next"));
        check("../next/", Some("/next/"));
        check("..", Some("/"));
        check(".", Some("/a/"));
        check("/x/./y/../z", Some("/x/z"));
        check("", Some("/a/b?q"));
        check("?r", Some("/a/b?r"));
        check("#f", Some("/a/b?q#f"));
        check("https://api.example.com:6443/x", Some("/x"));
        check("HTTPS://API.example.com:6443", Some("/"));
        check("https://api.example.com:6443?x", Some("/?x"));
        check("//api.example.com:6443/x/../y", Some("/y"));
        check("/k8s/clusters/c-2/api", Some("/k8s/clusters/c-2/api"));
        check(
            "/x y/\u{e9}{}?\u{e9}\"\\",
            Some("/x%20y/%C3%A9%7B%7D?%C3%A9%22%5C"),
        );
        check("/x/a%2Fb/x:y", Some("/x/a%2Fb/x:y"));
        check("/a?/../..//x", Some("/a?/../..//x"));
    }

    #[test]
    fn what_is_elsewhere_or_may_be_read_so_leads_nowhere() {
        for location in [
            "https://elsewhere.example/x",
            "http://api.example.com:6443/x",
            "https://api.example.com/x",
            "https://api.example.com:6443@elsewhere.example/x",
            "https://user@api.example.com:6443/x",
            "https://api.example.com:6443.elsewhere.example/",
            "https://api.example.com.:6443/x",
            "https://api.example.com:6443\\@elsewhere.example/",
            "//elsewhere.example/x",
            "///elsewhere.example/x",
            "////elsewhere.example/x",
            "/\\elsewhere.example/x",
            "\\\\elsewhere.example/x",
            "/\t/elsewhere.example/x",
            "\thttps://elsewhere.example/x",
            " //elsewhere.example",
            "/x ",
            "https:elsewhere.example",
            "https:/elsewhere.example/x",
            "https:///elsewhere.example/x",
            "https:x",
            "javascript:alert(1)",
            "data:text/html,x",
            "a:b",
            "1:b",
            "../..",
            "../../..",
            "../../../k8s/clusters/c-2/api",
            "/..",
            "/a/../..",
            "/a/../../k8s/clusters/c-2",
            "/%2e%2e/x",
            "/a/%2E%2e/%2e./x",
            "/a/.%2e/x",
            "%2e%2e/x",
            "..%2fx",
            "/a/..;/x",
            "/a/..%5cx",
            "/a\\..\\x",
            "/a;b/x",
            "/a/..//x",
            "/a/%",
            "/a/%zz",
            "/a\u{85}",
        ] {
            check(location, None);
        }
    }

    #[test]
    fn a_cluster_below_a_path_stays_below_it() {
        let origin = Origin {
            cluster: "c-1",
            authority: &Authority::from_static("api.example.com"),
            base_path: "/base/x",
            asked: &http::uri::PathAndQuery::from_static("/a/b"),
            by_name: true,
        };
        for (location, expected) in [
            ("/base/x", Some("/")),
            ("/base/x/api", Some("/api")),
            ("https://api.example.com:443/base/x/api", Some("/api")),
            ("../c", Some("/c")),
            ("c", Some("/a/c")),
            ("/base/xy", None),
            ("/base", None),
            ("/api", None),
            ("../../c", None),
            ("/base/x//elsewhere.example", None),
        ] {
            let relocated = origin.relocated(location);
            assert_eq!(relocated.as_deref(), expected, "{location}");
        }
    }
}
