//! Cleans the headers of a request before it is sent to a cluster.
//!
//! First, all headers that the client may not set are removed, including those that its
//! `Connection` names. Then the identity is set. In the other order a client could name our
//! identity headers in `Connection` and act as the gateway itself (CVE-2021-31999).

use api::plugin::login_binding;
use auth::Identity;
use auth::impersonation::Impersonation;
use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderName,
    HeaderValue, TE,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Hop-by-hop headers (RFC 9110, section 7.6.1), in addition to those that `Connection` names.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Headers of the impersonated user (`k8s.io/api/authentication/v1`). Extra values have a header
/// for each key.
const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");
const IMPERSONATE_UID: HeaderName = HeaderName::from_static("impersonate-uid");
const IMPERSONATE_GROUP: HeaderName = HeaderName::from_static("impersonate-group");

/// The characters that client-go escapes in the key of an extra value: all that a header name
/// cannot contain, and `%` itself (`k8s.io/client-go/transport/round_trippers.go`).
const EXTRA_KEY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Returns the client's headers that may be forwarded. Framing headers are set again for the
/// cluster, and `Expect` was already answered here.
pub(crate) fn clean(sent: &HeaderMap) -> HeaderMap {
    let hop_by_hop = HopByHopHeaders::of(sent);
    let mut clean = HeaderMap::with_capacity(sent.len() + 8);
    for (name, value) in sent {
        if !is_withheld(name) && !hop_by_hop.contains(name) {
            clean.append(name.clone(), value.clone());
        }
    }
    if takes_trailers(sent) {
        clean.insert(TE, HeaderValue::from_static("trailers"));
    }
    clean
}

/// Removes the trailers that may not be forwarded.
pub(crate) fn clean_trailers(trailers: HeaderMap) -> HeaderMap {
    let mut clean = clean(&trailers);
    clean.remove(TE);
    clean
}

/// Sets the user of a request, replacing any that was set before.
///
/// # Errors
/// An extra key is too long for a header name.
pub(crate) fn impersonate(headers: &mut HeaderMap, user: Identity) -> Result<(), http::Error> {
    let user = user.into_user();
    let value = |text: String| HeaderValue::try_from(text);
    headers.insert(IMPERSONATE_USER, value(user.name)?);
    if !user.uid.is_empty() {
        headers.insert(IMPERSONATE_UID, value(user.uid)?);
    }
    for group in user.groups {
        headers.append(IMPERSONATE_GROUP, value(group)?);
    }
    for (key, values) in user.extra {
        let name = format!("impersonate-extra-{}", utf8_percent_encode(&key, EXTRA_KEY));
        let name = HeaderName::try_from(name)?;
        for text in values {
            headers.append(name.clone(), value(text)?);
        }
    }
    Ok(())
}

/// Returns the identity that the client asks to act as.
pub(crate) fn requested_impersonation(headers: &HeaderMap) -> Impersonation {
    let is_asked = |name: &HeaderName| name.as_str().starts_with("impersonate-");
    if !headers.keys().any(is_asked) {
        return Impersonation::default();
    }
    let headers = headers.iter();
    Impersonation::from_headers(headers.map(|(name, value)| (name.as_str(), value.as_bytes())))
}

/// The headers that `Connection` declares hop-by-hop in a message.
pub(crate) struct HopByHopHeaders(Vec<HeaderName>);

impl HopByHopHeaders {
    /// Collects the headers that `Connection` names.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(CONNECTION).iter();
        let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
        Self(names.collect())
    }

    /// Returns whether this header is hop-by-hop in this message.
    pub(crate) fn contains(&self, name: &HeaderName) -> bool {
        Self::is_hop_by_hop(name) || self.0.contains(name)
    }

    /// Returns whether this header is hop-by-hop in every message.
    pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
        HOP_BY_HOP.contains(&name.as_str())
    }
}

/// Returns whether the client may not send this header to the cluster: its credentials for this
/// server, its identity, its address, and the framing of the message. Also matches `_` in place of
/// `-`, since some servers treat both alike.
fn is_withheld(name: &HeaderName) -> bool {
    if [
        AUTHORIZATION,
        COOKIE,
        HOST,
        CONTENT_LENGTH,
        EXPECT,
        FORWARDED,
    ]
    .contains(name)
    {
        return true;
    }
    [
        "impersonate-",
        "x-remote-",
        "x-forwarded-",
        "x-real-ip",
        login_binding::HEADER,
    ]
    .iter()
    .any(|prefix| begins(name.as_str(), prefix))
}

/// Returns whether a name starts with a prefix, where `_` also matches `-`.
fn begins(name: &str, prefix: &str) -> bool {
    let mut pairs = name.bytes().zip(prefix.bytes());
    name.len() >= prefix.len()
        && pairs.all(|(byte, wanted)| byte == wanted || (byte == b'_' && wanted == b'-'))
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(TE).iter();
    let mut codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}
