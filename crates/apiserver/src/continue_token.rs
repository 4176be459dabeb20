//! The continue token of a paged list: where the next page starts, and at which revision.
//!
//! The format is that of Kubernetes (`apiserver/pkg/storage/continue.go`): unpadded base64url of
//! `{"v":"meta.k8s.io/v1","rv":N,"start":"<key behind the prefix>\u0000"}`. This server adds the
//! number of remaining objects, so that later pages need not count them again. A client may forge a
//! token, but it only selects a start position in a list that is filtered for that client anyway.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use machinery::status::Status;
use serde::{Deserialize, Serialize};
use storage::Revision;

/// The position at which a list continues.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ContinueToken {
    /// The revision that all pages show. `None` means the newest revision; this is used once the
    /// first revision has been compacted.
    pub(crate) revision: Option<Revision>,
    /// The key of the last object already sent, without the prefix of the collection.
    pub(crate) after: String,
    /// The number of objects after this position at that revision, if the list reports it.
    pub(crate) remaining: Option<u64>,
}

#[derive(Deserialize, Serialize)]
struct Wire {
    v: String,
    rv: i64,
    start: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
}

const VERSION: &str = "meta.k8s.io/v1";

impl ContinueToken {
    /// Encodes the token for the client.
    pub(crate) fn encode(&self) -> String {
        let wire = Wire {
            v: VERSION.to_owned(),
            rv: self
                .revision
                .map_or(-1, |revision| revision.get().cast_signed()),
            start: format!("{}\0", self.after),
            remaining: self.remaining,
        };
        // A struct of strings and numbers always has a JSON form.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).unwrap_or_default())
    }

    /// Decodes a token that [`Self::encode`] returned.
    ///
    /// # Errors
    /// 400 for any other text.
    pub(crate) fn decode(text: &str) -> Result<Self, Status> {
        Self::read(text).map_err(Status::invalid_continue)
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        const MALFORMED: &str = "continue key is not valid: token is malformed";
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| MALFORMED)?;
        let wire: Wire = serde_json::from_slice(&bytes).map_err(|_| MALFORMED)?;
        if wire.v != VERSION {
            return Err(
                "continue key is not valid: server does not recognize this encoded version",
            );
        }
        let revision = match wire.rv {
            -1 => None,
            0 | i64::MIN..-1 => {
                return Err(
                    "continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
                );
            }
            revision => Some(Revision::new(revision.unsigned_abs())),
        };
        let after = wire.start.strip_suffix('\0').unwrap_or(&wire.start);
        let clean = !after.is_empty()
            && after
                .split('/')
                .all(|segment| !matches!(segment, "" | "." | ".."))
            && !after.contains('\0');
        if !clean {
            return Err("continue key is not valid: encoded start key is empty or not clean");
        }
        Ok(Self {
            revision,
            after: after.to_owned(),
            remaining: wire.remaining,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let states = [
            (Some(Revision::new(1)), Some(0)),
            (Some(Revision::new(u64::from(u32::MAX) + 5)), None),
            (None, Some(u64::MAX)),
        ];
        for (revision, remaining) in states {
            let token = ContinueToken {
                revision,
                after: "ns/name".to_owned(),
                remaining,
            };
            assert_eq!(ContinueToken::decode(&token.encode()), Ok(token));
        }
    }

    #[track_caller]
    fn refused(json: &str) {
        let status = ContinueToken::decode(&URL_SAFE_NO_PAD.encode(json)).unwrap_err();
        assert_eq!(status.http_code(), 400, "{json}");
        assert!(
            status.message.starts_with("invalid continue token: "),
            "{}",
            status.message
        );
    }

    #[test]
    fn forged_tokens_are_refused() {
        refused("");
        refused("{}");
        refused(r#"{"v":"v2","rv":1,"start":"a\u0000"}"#);
        refused(r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a\u0000"}"#);
        refused(r#"{"v":"meta.k8s.io/v1","rv":-2,"start":"a\u0000"}"#);
        refused(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"\u0000"}"#);
        refused(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../b\u0000"}"#);
        refused(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"/a\u0000"}"#);
        assert_eq!(ContinueToken::decode("%%%").unwrap_err().http_code(), 400);
    }

    #[test]
    fn fuzz_continue_tokens() {
        let token = |number: Option<u64>| {
            let after = "ns/name".to_owned();
            let remaining = number;
            ContinueToken {
                revision: number.map(Revision::new),
                after,
                remaining,
            }
            .encode()
        };
        let (with, without) = (token(Some(7)), token(None));
        let target = fuzz::Target {
            name: "continue_token",
            seeds: &[
                with.as_bytes(),
                without.as_bytes(),
                br#"{"v":"meta.k8s.io/v1","rv":1,"start":"a\u0000"}"#,
            ],
            dictionary: &["\\u0000", "..", "/", "\"rv\":", "-1", "="],
        };
        target.run(|input| {
            let text = String::from_utf8_lossy(input);
            let encoded = URL_SAFE_NO_PAD.encode(input);
            for text in [&*text, &encoded] {
                if let Ok(token) = ContinueToken::decode(text) {
                    assert_eq!(ContinueToken::decode(&token.encode()), Ok(token.clone()));
                    let is_below = token.after.split('/').all(|it| it != ".." && it != ".");
                    assert!(is_below && !token.after.starts_with('/'), "{token:?}");
                }
            }
            let read = ContinueToken::decode(&encoded);
            read.map_or_else(|status| status.message, |_| "ok".to_owned())
        });
    }
}
