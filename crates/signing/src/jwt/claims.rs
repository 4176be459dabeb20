//! The claims of a token, and their strict parser.
//!
//! Every claim except `groups` is required and has exactly one type. Times are JSON integers:
//! another library once treated a string or a float as an absent claim, and such tokens never
//! expired (CVE-2026-25537). A duplicate claim is rejected. Unknown claims are ignored (RFC 7519,
//! section 4), so that replicas of two versions accept each other's tokens.

use auth::identity::Part;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::jwt::audience::is_audience;
use crate::jwt::{RECORDED_CLUSTERS, compact};

/// Maximum NumericDate of a token: the end of the year 9998, so that a day can be added.
const MAX_TIME_SECS: i64 = 253_370_764_799;

/// The claims of a token, named as in RFC 7519, section 4.1. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The URL of the issuer, compared exactly.
    pub iss: String,
    /// The user's name.
    pub sub: String,
    /// The audiences, at least one. A single string is accepted too.
    #[serde(deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// The time of minting.
    pub iat: i64,
    /// The first second in which the token is valid.
    pub nbf: i64,
    /// The first second in which the token is no longer valid.
    pub exp: i64,
    /// The name of the token's record.
    pub jti: String,
    /// The user's groups, for clusters that verify offline. Absent when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl Claims {
    /// Returns whether the token was minted for this audience. The comparison is exact.
    #[must_use]
    pub fn is_for(&self, audience: &str) -> bool {
        self.aud.iter().any(|own| own == audience)
    }

    /// Returns whether the token was minted for this cluster, or for the clusters of its record. In
    /// either case the caller must check that the record lists the cluster.
    #[must_use]
    pub fn is_for_cluster(&self, cluster: &str) -> bool {
        let fits = |own: &String| own == RECORDED_CLUSTERS || is_audience(own, &self.iss, cluster);
        self.aud.iter().any(fits)
    }

    /// Returns the end of the token's life.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        // `exp` is at most `MAX_TIME_SECS` in every parsed or minted token.
        Timestamp::from_second(self.exp).unwrap_or(Timestamp::MIN)
    }

    /// Parses the JSON of a token's second segment.
    ///
    /// # Errors
    /// Returns the fault, for logs.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, &'static str> {
        let claims: Self = compact::object(json).ok_or("not an object of the right types")?;
        claims.check().map(|()| claims)
    }

    /// Checks the requirements that all tokens must meet, both minted and received ones.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let times = [self.iat, self.nbf, self.exp];
        match self {
            _ if self.iss.is_empty() => Err("no issuer"),
            _ if self.sub.is_empty() => Err("no subject"),
            _ if Part::UserName.check(&self.sub).is_err() => Err("an invalid subject"),
            _ if self
                .groups
                .iter()
                .any(|group| Part::Group.check(group).is_err()) =>
            {
                Err("an invalid group")
            }
            _ if self.jti.is_empty() => Err("no id"),
            _ if self.aud.is_empty() || self.is_for("") => Err("no audience"),
            _ if !times.iter().all(|time| (0..=MAX_TIME_SECS).contains(time)) => {
                Err("a time out of range")
            }
            _ if self.exp <= self.nbf.max(self.iat) => Err("no lifetime"),
            _ => Ok(()),
        }
    }
}

/// Deserializes one audience or many (RFC 7519, section 4.1.3).
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    OneOrMany::deserialize(from).map(|audiences| match audiences {
        OneOrMany::One(audience) => vec![audience],
        OneOrMany::Many(audiences) => audiences,
    })
}
