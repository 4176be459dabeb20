//! The public half of a key as a JSON Web Key.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::signing_key::ALGORITHM;

/// Length of a coordinate on P-256, in bytes.
const COORDINATE_BYTES: usize = 32;

/// Prefix of an uncompressed point (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A public EC key for signatures (RFC 7517; RFC 7518, section 6.2.1). Public members only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicJwk {
    /// The key type, always `EC`.
    pub kty: String,
    /// The curve, always `P-256`.
    pub crv: String,
    /// The first coordinate, in base64url.
    pub x: String,
    /// The second coordinate, in base64url.
    pub y: String,
    /// The RFC 7638 thumbprint of this key.
    pub kid: String,
    /// The one algorithm that the key is for, always `ES256`.
    pub alg: String,
    /// The intended use of the key, always `sig`.
    #[serde(rename = "use")]
    pub usage: String,
}

impl PublicJwk {
    /// Returns the key of an uncompressed point, or `None` for any other encoding.
    pub(super) fn of_point(point: &[u8]) -> Option<Self> {
        let (&UNCOMPRESSED, coordinates) = point.split_first()? else {
            return None;
        };
        if coordinates.len() != 2 * COORDINATE_BYTES {
            return None;
        }
        let (x, y) = coordinates.split_at(COORDINATE_BYTES);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        Some(Self {
            kty: "EC".to_owned(),
            crv: "P-256".to_owned(),
            kid: thumbprint(&x, &y),
            x,
            y,
            alg: ALGORITHM.to_owned(),
            usage: "sig".to_owned(),
        })
    }
}

/// Returns the thumbprint of a key (RFC 7638, section 3): the SHA-256 of the required members in
/// lexicographic order, without spaces.
fn thumbprint(x: &str, y: &str) -> String {
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{PublicJwk, thumbprint};

    #[test]
    fn thumbprint_is_that_of_another_implementation() {
        // The P-256 key of RFC 7517, appendix A.1, hashed with `openssl dgst -sha256`.
        let x = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
        let y = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";
        assert_eq!(
            thumbprint(x, y),
            "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"
        );
    }

    #[test]
    fn only_an_uncompressed_point_is_a_key() {
        let point = |mark: u8, length: usize| [vec![mark], vec![7; length]].concat();
        assert!(PublicJwk::of_point(&point(4, 64)).is_some());
        for other in [
            vec![],
            point(4, 63),
            point(4, 96),
            point(2, 32),
            point(3, 64),
        ] {
            assert_eq!(PublicJwk::of_point(&other), None);
        }
    }
}
