//! The keys of a provider (RFC 7517) that can verify signatures.

use api::plugin::id_token::IdToken;
use jsonwebtoken::crypto::verify;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::claims::Refusal;
use crate::id_token::Header;

/// Maximum number of keys that are kept. Providers have a few.
const MAX_KEYS: usize = 64;

/// The keys of a provider.
#[derive(Default)]
pub(crate) struct KeySet(Vec<Key>);

struct Key {
    kid: Option<String>,
    /// The only algorithm that the key may be used with, if it names one.
    algorithm: Option<String>,
    key: DecodingKey,
}

impl KeySet {
    /// Reads the keys of a document. Keys of other types and for other uses are ignored.
    ///
    /// # Errors
    /// The document is not a key set.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(json)?;
        let keys = document.keys.into_iter().filter_map(Key::read);
        Ok(Self(keys.take(MAX_KEYS).collect()))
    }

    /// Checks that one of the keys signed the token: the key that the header names, or any key if
    /// it names none.
    ///
    /// # Errors
    /// `UnknownKey` if no key has the ID in the header, `Signature` if the signature does not
    /// match.
    pub(crate) fn verify(&self, token: &IdToken<'_>, header: &Header) -> Result<(), Refusal> {
        let is_named = |key: &&Key| header.kid.is_none() || key.kid == header.kid;
        let mut named = self.0.iter().filter(is_named).peekable();
        if named.peek().is_none() {
            return Err(Refusal::UnknownKey);
        }
        match named.any(|key| key.has_signed(token, header.algorithm)) {
            true => Ok(()),
            false => Err(Refusal::Signature),
        }
    }
}

impl Key {
    fn read(value: Value) -> Option<Self> {
        let algorithm = value.get("alg").and_then(Value::as_str).map(str::to_owned);
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let is_for_signatures = matches!(
            jwk.common.public_key_use,
            None | Some(PublicKeyUse::Signature)
        );
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        is_for_signatures.then_some(Self {
            kid: jwk.common.key_id,
            algorithm,
            key,
        })
    }

    fn has_signed(&self, token: &IdToken<'_>, algorithm: Algorithm) -> bool {
        let is_of_its_kind = self.key.family() == algorithm.family();
        let is_meant = self
            .algorithm
            .as_ref()
            .is_none_or(|name| name.parse() == Ok(algorithm));
        let signed = token.signed.as_bytes();
        is_of_its_kind
            && is_meant
            && verify(token.signature, signed, &self.key, algorithm).is_ok_and(|holds| holds)
    }
}
