//! What a token says, and how strictly it is read.
//!
//! Every claim has one type and is required, `groups` apart. Times are JSON integers: elsewhere a
//! string or a float once counted as "absent", and such tokens never expired (CVE-2026-25537). A
//! claim that occurs twice is refused; unknown ones are ignored (RFC 7519, section 4), so that
//! replicas of two versions understand each other.

use auth::identity::Part;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::jwt::audience::is_audience;
use crate::jwt::{RECORDED_CLUSTERS, compact};

/// The last NumericDate that a token may have: the end of the year 9998, so that a day can be
/// added.
const MAX_TIME_SECS: i64 = 253_370_764_799;

/// What a token says, by the names of RFC 7519, section 4.1. Times are whole seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The URL of the issuer, compared exactly.
    pub iss: String,
    /// The user's name.
    pub sub: String,
    /// The places that the token is for, at least one. Read from one string too.
    #[serde(deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// When it was minted.
    pub iat: i64,
    /// The first second of its life.
    pub nbf: i64,
    /// The first second after its life.
    pub exp: i64,
    /// The name of the token's record.
    pub jti: String,
    /// The user's groups, for clusters that verify offline. Absent when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl Claims {
    /// Whether the token was minted for this audience. Compared exactly.
    #[must_use]
    pub fn is_for(&self, audience: &str) -> bool {
        self.aud.iter().any(|own| own == audience)
    }

    /// Whether the token was minted for this cluster, or for those that its record lists. The
    /// record must list the cluster in either case.
    #[must_use]
    pub fn is_for_cluster(&self, cluster: &str) -> bool {
        let fits = |own: &String| own == RECORDED_CLUSTERS || is_audience(own, &self.iss, cluster);
        self.aud.iter().any(fits)
    }

    /// The end of its life.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        // Read or minted, `exp` is at most `MAX_TIME_SECS`.
        Timestamp::from_second(self.exp).unwrap_or(Timestamp::MIN)
    }

    /// Reads the JSON of a token's second segment.
    ///
    /// # Errors
    /// What is wrong with it, for logs.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, &'static str> {
        let claims: Self = compact::object(json).ok_or("not an object of the right types")?;
        claims.check().map(|()| claims)
    }

    /// What no token may lack, whoever minted it.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let times = [self.iat, self.nbf, self.exp];
        match self {
            _ if self.iss.is_empty() => Err("no issuer"),
            _ if self.sub.is_empty() => Err("no subject"),
            _ if Part::UserName.check(&self.sub).is_err() => {
                Err("a subject that cannot be asserted")
            }
            _ if self
                .groups
                .iter()
                .any(|group| Part::Group.check(group).is_err()) =>
            {
                Err("a group that cannot be asserted")
            }
            _ if self.jti.is_empty() => Err("no id"),
            _ if self.aud.is_empty() || self.is_for("") => Err("no audience"),
            _ if !times.iter().all(|time| (0..=MAX_TIME_SECS).contains(time)) => {
                Err("a time outside of all calendars")
            }
            _ if self.exp <= self.nbf.max(self.iat) => Err("no lifetime"),
            _ => Ok(()),
        }
    }
}

/// One audience, or many (RFC 7519, section 4.1.3).
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
