//! The headers of an answer on its way back to the client.
//!
//! What a cluster serves, any pod of any user behind its proxy included, appears under our own
//! origin. So nothing of it may set cookies, speak for the origin, or run there as a page.

use http::header::{
    ALT_SVC, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Uri};

use crate::request_headers::Named;

/// Types that no browser runs or renders: those of the API, and plain text.
const HARMLESS: [&str; 5] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/cbor",
    "text/plain",
];

/// Where a cluster is, for what an answer says of it.
pub(crate) struct Origin<'a> {
    /// Name of its object.
    pub(crate) cluster: &'a str,
    /// Its own host and port.
    pub(crate) authority: &'a str,
    /// What stands before every path there.
    pub(crate) base_path: &'a str,
}

/// Leaves of an answer's headers what may reach the client.
pub(crate) fn clean(headers: &mut HeaderMap, origin: &Origin<'_>) {
    let named = Named::of(headers);
    let withheld: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_withheld(name) || named.contains(name))
        .cloned()
        .collect();
    for name in withheld {
        headers.remove(name);
    }
    if let Some(location) = headers.get(LOCATION) {
        match relocated(location, origin) {
            Some(location) => headers.insert(LOCATION, location),
            None => headers.remove(LOCATION),
        };
    }
    if !is_harmless(headers) {
        // Beside a policy that is there already: a browser obeys both.
        let sandbox = HeaderValue::from_static("sandbox");
        headers.append(CONTENT_SECURITY_POLICY, sandbox);
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    }
}

/// Leaves of an answer's trailers what may reach the client.
pub(crate) fn clean_trailers(mut trailers: HeaderMap) -> HeaderMap {
    let withheld: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| is_withheld(name))
        .cloned()
        .collect();
    for name in withheld {
        trailers.remove(name);
    }
    trailers
}

fn is_withheld(name: &HeaderName) -> bool {
    [SET_COOKIE, ALT_SVC, STRICT_TRANSPORT_SECURITY].contains(name)
        || name.as_str().starts_with("access-control-")
}

/// A type that is missing is guessed by browsers.
fn is_harmless(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.and_then(|kind| kind.split(|byte| *byte == b';').next());
    kind.is_some_and(|kind| {
        let kind = kind.trim_ascii();
        HARMLESS
            .iter()
            .any(|harmless| kind.eq_ignore_ascii_case(harmless.as_bytes()))
    })
}

/// A place at the cluster as the client reaches it; other places stay as they are. `None` for what
/// is no place.
fn relocated(location: &HeaderValue, origin: &Origin<'_>) -> Option<HeaderValue> {
    let text = location.to_str().ok()?;
    let is_path = text.starts_with('/') && !text.starts_with("//");
    if !is_path && !text.contains("//") {
        return Some(location.clone());
    }
    let uri: Uri = match text.strip_prefix("//") {
        Some(rest) => format!("https://{rest}").parse().ok()?,
        None => text.parse().ok()?,
    };
    let is_there = uri
        .authority()
        .is_some_and(|place| place.as_str().eq_ignore_ascii_case(origin.authority));
    if !is_path && !is_there {
        return Some(location.clone());
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = path.strip_prefix(origin.base_path).unwrap_or(path);
    HeaderValue::try_from(format!("/k8s/clusters/{}{path}", origin.cluster)).ok()
}
