//! The keys of a provider (RFC 7517), as far as they can verify.

use jsonwebtoken::crypto::verify;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::claims::Refusal;
use crate::id_token::{Header, IdToken};

/// Most keys that are kept: providers have a few.
const MAX_KEYS: usize = 64;

/// The keys of a provider.
#[derive(Default)]
pub(crate) struct KeySet(Vec<Key>);

struct Key {
    kid: Option<String>,
    /// The only algorithm that it is for, where it says so.
    algorithm: Option<String>,
    key: DecodingKey,
}

impl KeySet {
    /// The keys of a document; those of other kinds, and for other uses, are left out.
    ///
    /// # Errors
    /// It is no key set.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(json)?;
        let keys = document.keys.into_iter().filter_map(Key::read);
        Ok(Self(keys.take(MAX_KEYS).collect()))
    }

    /// Whether one of the keys has signed the token: the one that it names, or any where it names
    /// none.
    ///
    /// # Errors
    /// `UnknownKey` where it names none of these.
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
