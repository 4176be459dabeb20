//! The headers of a request on its way to a cluster.
//!
//! First everything goes that the client may not say, what its `Connection` names included; then
//! the identity is set on what is left. In the other order a client could name our identity headers
//! in `Connection` and act as the gateway itself (CVE-2021-31999).

use api::plugin::login_binding;
use auth::Identity;
use auth::impersonation::Impersonation;
use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderName,
    HeaderValue, TE,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Headers between two neighbours (RFC 9110, section 7.6.1), beside those that `Connection` names.
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

/// Whom a request acts as (`k8s.io/api/authentication/v1`); extra values have a name for each key.
const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");
const IMPERSONATE_UID: HeaderName = HeaderName::from_static("impersonate-uid");
const IMPERSONATE_GROUP: HeaderName = HeaderName::from_static("impersonate-group");

/// What client-go escapes in the key of an extra value: all that a header's name cannot have, and
/// `%` itself (`k8s.io/client-go/transport/round_trippers.go`).
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

/// What of a client's headers may go on. Framing is made anew for the other side, `Expect` was
/// answered here.
pub(crate) fn clean(sent: &HeaderMap) -> HeaderMap {
    let named = Named::of(sent);
    let mut clean = HeaderMap::with_capacity(sent.len() + 8);
    for (name, value) in sent {
        if !is_withheld(name) && !named.contains(name) {
            clean.append(name.clone(), value.clone());
        }
    }
    if takes_trailers(sent) {
        clean.insert(TE, HeaderValue::from_static("trailers"));
    }
    clean
}

/// Leaves of a client's trailers what may go on.
pub(crate) fn clean_trailers(trailers: HeaderMap) -> HeaderMap {
    let mut clean = clean(&trailers);
    clean.remove(TE);
    clean
}

/// Sets the user of a request, in place of any that was set before.
///
/// # Errors
/// An extra key is too long for the name of a header.
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

/// What the client asks to act as.
pub(crate) fn wanted(headers: &HeaderMap) -> Impersonation {
    let is_asked = |name: &HeaderName| name.as_str().starts_with("impersonate-");
    if !headers.keys().any(is_asked) {
        return Impersonation::default();
    }
    let headers = headers.iter();
    Impersonation::from_headers(headers.map(|(name, value)| (name.as_str(), value.as_bytes())))
}

/// Headers that the other headers of a message say are for one neighbour.
pub(crate) struct Named(Vec<HeaderName>);

impl Named {
    /// What `Connection` names.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(CONNECTION).iter();
        let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
        Self(names.collect())
    }

    /// Whether this header is for one neighbour.
    pub(crate) fn contains(&self, name: &HeaderName) -> bool {
        Self::is_hop_by_hop(name) || self.0.contains(name)
    }

    /// Whether this header is for one neighbour in every message.
    pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
        HOP_BY_HOP.contains(&name.as_str())
    }
}

/// What the client cannot say to the cluster: its login here, who it is, where it comes from, and
/// how the message is framed. With `_` in place of `-` too, which some servers take for the same.
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

/// Whether a name begins so, `_` taken for `-`.
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
