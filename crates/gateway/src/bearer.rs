//! The token of a request, from the `Authorization` header or from the WebSocket subprotocol that
//! browsers must use (`k8s.io/apiserver/pkg/authentication/request/websocket`).
//!
//! It is never taken from the query, which is often logged, nor from a cookie, which browsers send
//! without the user's intent.

use auth::bearer::AuthorizationHeader;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue};
use signing::secret::Bearer;

/// A token as it was received. It is not copied into a secret type, since the original bytes would
/// remain in memory anyway.
#[derive(Debug)]
pub(crate) enum SentToken {
    /// The value of the `Authorization` header, marked as sensitive.
    InHeader(HeaderValue),
    /// The token from a subprotocol.
    InProtocol(Bearer),
}

/// Prefix of the subprotocol that carries a token.
const TOKEN_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

impl SentToken {
    /// Returns the token itself.
    pub(crate) fn expose(&self) -> &str {
        match self {
            Self::InHeader(value) => match AuthorizationHeader::parse([value.as_bytes()]) {
                AuthorizationHeader::Bearer(token) => token,
                _ => "",
            },
            Self::InProtocol(bearer) => bearer.expose(),
        }
    }
}

/// Takes the token out of the headers. Returns `None` if there are several. The other subprotocols
/// remain. At least one is required, since the server has to choose one.
pub(crate) fn take(headers: &mut HeaderMap, is_websocket: bool) -> Option<SentToken> {
    let protocol = match is_websocket {
        true => take_protocol(headers),
        false => ProtocolToken::Absent,
    };
    let sent = headers.get_all(AUTHORIZATION).iter();
    let header = AuthorizationHeader::parse(sent.map(HeaderValue::as_bytes));
    let is_in_header = matches!(header, AuthorizationHeader::Bearer(_));
    let is_absent = header == AuthorizationHeader::Absent;
    let value = headers.remove(AUTHORIZATION);
    match protocol {
        ProtocolToken::Absent if is_in_header => value.map(|mut value| {
            value.set_sensitive(true);
            SentToken::InHeader(value)
        }),
        ProtocolToken::Token(bearer) if is_absent => Some(SentToken::InProtocol(bearer)),
        _ => None,
    }
}

/// Returns whether the subprotocols may include a token.
pub(crate) fn is_in_protocol(headers: &HeaderMap) -> bool {
    let mut sent = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    sent.any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.contains(TOKEN_PROTOCOL))
    })
}

enum ProtocolToken {
    Absent,
    Token(Bearer),
    Refused,
}

fn take_protocol(headers: &mut HeaderMap) -> ProtocolToken {
    let sent = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let sent = sent.filter_map(|value| value.to_str().ok());
    let sent = sent.flat_map(|value| value.split(',')).map(str::trim);
    let (tokens, others): (Vec<&str>, Vec<&str>) =
        sent.partition(|protocol| protocol.starts_with(TOKEN_PROTOCOL));
    let found = match tokens.as_slice() {
        [] => return ProtocolToken::Absent,
        [token] if !others.is_empty() => decoded(token),
        _ => ProtocolToken::Refused,
    };
    let others = HeaderValue::try_from(others.join(", "));
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Ok(others) = others {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, others);
    }
    found
}

fn decoded(protocol: &str) -> ProtocolToken {
    let text = protocol.strip_prefix(TOKEN_PROTOCOL).unwrap_or_default();
    let decoded = URL_SAFE_NO_PAD.decode(text).ok();
    match decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(token) => ProtocolToken::Token(Bearer::new(token)),
        None => ProtocolToken::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sent: &[&str], token: Option<&str>, left: &[&str]) {
        let map = |lines: &[&str]| {
            let mut map = HeaderMap::new();
            for line in lines {
                let (name, value) = line.split_once(": ").unwrap();
                let name = http::HeaderName::try_from(name).unwrap();
                map.append(name, value.parse().unwrap());
            }
            map
        };
        let mut headers = map(sent);
        let found = take(&mut headers, true);
        assert_eq!(found.as_ref().map(SentToken::expose), token, "{sent:?}");
        let shown = format!("{found:?}");
        assert!(!token.is_some_and(|token| shown.contains(token)), "{shown}");
        assert_eq!(headers, map(left), "{sent:?}");
    }

    /// Returns a line that offers these subprotocols.
    fn offering(protocols: &str) -> String {
        format!("sec-websocket-protocol: {protocols}")
    }

    const TOKEN: &str = "base64url.bearer.authorization.k8s.io.YS5iLmM";

    #[test]
    fn a_token_is_in_one_place() {
        let both = offering(&format!("{TOKEN}, v5.channel.k8s.io"));
        let (only, other) = (offering(TOKEN), offering("v5.channel.k8s.io"));
        check(&[], None, &[]);
        check(&["authorization: Bearer a.b.c"], Some("a.b.c"), &[]);
        check(&["authorization: Basic a"], None, &[]);
        check(&["cookie: token=a.b.c"], None, &["cookie: token=a.b.c"]);
        check(&[&both], Some("a.b.c"), &[&other]);
        check(&[&other, &only], Some("a.b.c"), &[&other]);
        check(&[&both, "authorization: Bearer a.b.c"], None, &[&other]);
    }

    #[test]
    fn a_token_needs_another_protocol_beside_it_and_its_one_spelling() {
        check(&[&offering(TOKEN)], None, &[&offering("")]);
        let twice = offering(&format!("{TOKEN}, {TOKEN}, v5"));
        check(&[&twice], None, &[&offering("v5")]);
        let padded = offering(&format!("{TOKEN}=, v5"));
        check(&[&padded], None, &[&offering("v5")]);
    }
}
