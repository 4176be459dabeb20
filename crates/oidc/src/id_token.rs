//! The header of an ID token.

use api::plugin::id_token::IdToken;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::claims::Refusal;

/// The parameters of the signature.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    /// The ID of the key, if present.
    pub(crate) kid: Option<String>,
}

impl Header {
    /// Reads the header of a token, if all of it is understood.
    ///
    /// # Errors
    /// The header is malformed, its algorithm is not allowed, or it has critical extensions
    /// (`crit`).
    pub(crate) fn of(token: &IdToken<'_>, allowed: &[Algorithm]) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        struct Fields {
            alg: String,
            kid: Option<String>,
            crit: Option<IgnoredAny>,
        }
        let json = URL_SAFE_NO_PAD.decode(token.header).ok();
        let json = json.filter(|json| json.starts_with(b"{"));
        let fields = json.and_then(|json| serde_json::from_slice(&json).ok());
        let fields: Fields = fields.ok_or(Refusal::Header)?;
        if fields.crit.is_some() {
            return Err(Refusal::Critical);
        }
        let algorithm = fields.alg.parse().ok();
        let algorithm = algorithm.filter(|algorithm| allowed.contains(algorithm));
        Ok(Self {
            algorithm: algorithm.ok_or(Refusal::Algorithm)?,
            kid: fields.kid,
        })
    }
}
