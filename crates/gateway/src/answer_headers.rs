//! Cleans the headers of an answer before it reaches the client.
//!
//! Everything that a cluster serves, including any user's pod behind its proxy, appears under our
//! own origin. So an answer must not set cookies, make statements about the origin, run there as a
//! page, ask for credentials, or redirect the client elsewhere.
//!
//! Headers are removed by name rather than allowed by name, since applications behind a cluster's
//! proxy have headers of their own.

use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderName, HeaderValue, LOCATION, TRAILER, TRANSFER_ENCODING, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};

use crate::redirect::Origin;
use crate::request_headers::HopByHopHeaders;

/// Headers that make statements about the origin, or instruct the client beyond the answer itself.
/// Sorted.
const WITHHELD: [&str; 36] = [
    "accept-ch",
    "accept-ch-lifetime",
    "activate-storage-access",
    "alt-svc",
    "authentication-info",
    "cdn-cache-control",
    "clear-site-data",
    "content-location",
    "critical-ch",
    "expect-ct",
    "expect-staple",
    "idp-signin-status",
    "nel",
    "observe-browsing-topics",
    "origin-agent-cluster",
    "origin-trial",
    "proxy-authentication-info",
    "public-key-pins",
    "public-key-pins-report-only",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "service-worker-navigation-preload",
    "set-cookie",
    "set-cookie2",
    "set-login",
    "shared-storage-write",
    "speculation-rules",
    "strict-transport-security",
    "supports-loading-mode",
    "surrogate-control",
    "timing-allow-origin",
    "use-as-dictionary",
    "www-authenticate",
    "x-sendfile",
];

/// The same, by prefix: sharing with other origins, advertising, sessions, instructions to a
/// reverse proxy.
const WITHHELD_PREFIXES: [&str; 7] = [
    "access-control-",
    "ad-auction-",
    "attribution-reporting-",
    "sec-session-",
    "secure-session-",
    "x-accel-",
    "x-permitted-cross-domain-",
];

/// Headers that say how to read the body or where it is. In a trailer they come too late.
const NOT_IN_TRAILERS: [HeaderName; 6] = [
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY,
    CONTENT_TYPE,
    LOCATION,
    X_CONTENT_TYPE_OPTIONS,
];

/// Content types that no browser executes or renders: those of the API, and plain text.
const HARMLESS: [&str; 5] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/cbor",
    "text/plain",
];

/// The reason why an answer must not reach the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unacceptable {
    /// It redirects the client to a place outside the cluster.
    Redirect,
    /// It is a 1xx answer that was not requested.
    Informational,
    /// It has two contradictory body lengths.
    Framing,
}

/// Removes all headers of an answer that must not reach the client.
///
/// # Errors
/// The answer as a whole must not reach the client. Not to be used for accepted upgrades.
pub(crate) fn clean(
    code: StatusCode,
    headers: &mut HeaderMap,
    origin: &Origin<'_>,
) -> Result<(), Unacceptable> {
    if code.is_informational() {
        return Err(Unacceptable::Informational);
    }
    if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
        return Err(Unacceptable::Framing);
    }
    remove_withheld(headers);
    announce_trailers(headers);
    keep_from_shared_caches(headers);
    match relocated(headers, origin) {
        Relocated::Absent => {}
        Relocated::Below(location) => {
            headers.insert(LOCATION, location);
        }
        Relocated::Elsewhere if code.is_redirection() => return Err(Unacceptable::Redirect),
        Relocated::Elsewhere => {
            headers.remove(LOCATION);
        }
    }
    if !is_harmless(headers) {
        // In addition to an existing policy: browsers enforce both.
        let sandbox = HeaderValue::from_static("sandbox");
        headers.append(CONTENT_SECURITY_POLICY, sandbox);
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    }
    Ok(())
}

/// Removes the headers of an accepted upgrade that must not reach the client.
pub(crate) fn clean_upgrade(headers: &mut HeaderMap) {
    remove_withheld(headers);
    headers.remove(LOCATION);
}

/// Removes the trailers of an answer that must not reach the client.
pub(crate) fn clean_trailers(mut trailers: HeaderMap) -> HeaderMap {
    remove_withheld(&mut trailers);
    for name in NOT_IN_TRAILERS {
        trailers.remove(name);
    }
    trailers
}

fn remove_withheld(headers: &mut HeaderMap) {
    let hop_by_hop = HopByHopHeaders::of(headers);
    let withheld: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_withheld(name) || hop_by_hop.contains(name))
        .cloned()
        .collect();
    for name in withheld {
        headers.remove(name);
    }
}

/// Removes from `Trailer` the names of trailers that are removed themselves.
fn announce_trailers(headers: &mut HeaderMap) {
    let announced = list(headers, &TRAILER);
    if announced.is_empty() {
        return;
    }
    headers.remove(TRAILER);
    let may_follow = |name: &&String| {
        HeaderName::try_from(name.as_str()).is_ok_and(|name| {
            !(is_withheld(&name)
                || HopByHopHeaders::is_hop_by_hop(&name)
                || NOT_IN_TRAILERS.contains(&name))
        })
    };
    let left: Vec<&str> = announced
        .iter()
        .filter(may_follow)
        .map(String::as_str)
        .collect();
    if let Ok(left) = HeaderValue::try_from(left.join(", "))
        && !left.is_empty()
    {
        headers.insert(TRAILER, left);
    }
}

/// Removes the directives that permit a shared cache to store an answer to a request with a
/// credential (RFC 9111, section 3.5), and marks the answer as private to one user for all caches.
fn keep_from_shared_caches(headers: &mut HeaderMap) {
    let directives = list(headers, &CACHE_CONTROL);
    let is = |name: &str| directives.iter().any(|it| it.to_ascii_lowercase() == name);
    let is_never_stored = is("no-store") || is("no-cache") && is("private");
    if directives.is_empty() || is_never_stored {
        return;
    }
    let is_quoted = directives.iter().any(|it| it.contains('"'));
    let mut private = vec!["private"];
    if is_quoted {
        // Quoted field lists are not parsed; `no-cache` is stricter.
        private.push("no-cache");
    } else {
        let shared = ["private", "public", "s-maxage", "proxy-revalidate"];
        private.extend(directives.iter().map(String::as_str).filter(|directive| {
            let name = directive.split('=').next().unwrap_or_default().trim();
            !shared.iter().any(|it| it.eq_ignore_ascii_case(name))
        }));
    }
    let private = HeaderValue::try_from(private.join(", "));
    let private = private.unwrap_or(HeaderValue::from_static("no-store"));
    headers.insert(CACHE_CONTROL, private);
    let varies = list(headers, &VARY);
    let mut varies = varies.iter();
    if !varies.any(|it| it == "*" || it.eq_ignore_ascii_case("authorization")) {
        headers.append(VARY, HeaderValue::from_static("Authorization"));
    }
}

/// Returns the elements of a header that is a list.
fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter();
    let elements = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let elements =
        elements.map(|element| String::from_utf8_lossy(element.trim_ascii()).into_owned());
    elements.filter(|element| !element.is_empty()).collect()
}

fn is_withheld(name: &HeaderName) -> bool {
    WITHHELD.binary_search(&name.as_str()).is_ok()
        || WITHHELD_PREFIXES
            .iter()
            .any(|prefix| name.as_str().starts_with(prefix))
}

/// Returns false for a missing or repeated type, too: browsers would guess it.
fn is_harmless(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        return false;
    };
    let kind = kind.as_bytes().split(|byte| *byte == b';').next();
    let kind = kind.unwrap_or_default().trim_ascii();
    HARMLESS
        .iter()
        .any(|harmless| kind.eq_ignore_ascii_case(harmless.as_bytes()))
}

/// The location in an answer.
enum Relocated {
    /// The answer has no location.
    Absent,
    /// A location below the cluster's address, as the client reaches it.
    Below(HeaderValue),
    /// A location elsewhere, several locations, or an invalid one.
    Elsewhere,
}

fn relocated(headers: &HeaderMap, origin: &Origin<'_>) -> Relocated {
    let mut locations = headers.get_all(LOCATION).iter();
    let location = match (locations.next(), locations.next()) {
        (None, _) => return Relocated::Absent,
        (Some(only), None) => std::str::from_utf8(only.as_bytes()).ok(),
        (Some(_), Some(_)) => None,
    };
    let relocated = location
        .and_then(|location| origin.relocated(location))
        .and_then(|location| HeaderValue::try_from(location).ok());
    relocated.map_or(Relocated::Elsewhere, Relocated::Below)
}
