//! Properties of the record of a token that its creation, its checks and its strategy share.

use api::ext::Token;
use api::ext::token::NAME_PREFIX;
use apiserver::names::random_name;
use jiff::{SignedDuration, Timestamp};

/// Maximum lifetime of a token if settings set no limit: a hundred years, so that its end is a
/// valid date.
pub const MAX_TTL: SignedDuration = SignedDuration::from_hours(100 * 365 * 24);

/// Key of the extra value of a user that names the record of the token that authenticated it.
pub const EXTRA_TOKEN: &str = "requesttokenid";

/// Returns a name for a token. Signed tokens refer to it for their whole life (`jti`), so it has 71
/// random bits, where a generated name has 23.
pub(crate) fn unique_name() -> String {
    (0..3).fold(NAME_PREFIX.to_owned(), |name, _| random_name(&name))
}

/// Returns whether a name has the form of the names that this server gives to minted tokens.
/// ServiceAccount tokens have UUIDs.
pub(crate) fn is_unique_name(name: &str) -> bool {
    let random = name.strip_prefix(NAME_PREFIX);
    random.is_some_and(|random| {
        let is_alphanumeric = random.bytes().all(|byte| byte.is_ascii_alphanumeric());
        matches!(random.len(), 5 | 15) && is_alphanumeric
    })
}

/// Writes the expiry of the token into its status. It is a fact of the record, so it is stored.
pub(crate) fn set_expiry(token: &mut Token) {
    let expiry = token
        .expires_at()
        .and_then(|expiry| Timestamp::from_second(expiry.as_second()).ok());
    token.status.expires_at = expiry.map(|expiry| expiry.to_string()).unwrap_or_default();
}
