//! The credential with which a cluster asks about tokens, and the record that the server keeps of
//! it.
//!
//! A cluster's kube-apiserver sends the bearer token `cluster.<id>.<secret>`: the name of its
//! cluster and 256 random bits. The server stores the SHA-256 of the whole text in the Secret
//! `cluster-<id>-webhook`, which is bound to the cluster (`management::cluster_secret`), so neither
//! access to the store nor a backup is enough to ask about tokens. During a rotation the Secret
//! holds two hashes and both texts are valid, until the former hash is removed.
//!
//! The bearer is authenticated as the user `system:cluster:<id>` in the group `system:clusters`.
//! The response to a review depends on that name alone, so a user who may impersonate it, or who
//! obtains a certificate for it, acts as that cluster.

mod authenticator;
mod authorizer;
mod record;

use std::fmt;

use auth::UserInfo;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use authenticator::ClusterAuthenticator;
pub use authorizer::ClusterAuthorizer;
pub use record::{
    AUDIENCES_KEY, DEFAULT_AUDIENCE, HASH_KEY, NAMESPACE, PREVIOUS_HASH_KEY, WebhookRecords,
};

use signing::secret::{SecretString, sha256_hex};

/// The group of all clusters that ask about tokens.
pub const GROUP: &str = "system:clusters";

/// Prefix of the name of a cluster's user. The id of the cluster follows.
const USER_PREFIX: &str = "system:cluster:";

/// Prefix of a cluster's bearer token. A JWT never has it: its header in base64url starts with `e`.
const BEARER_PREFIX: &str = "cluster.";

/// Length of a secret, in random bytes.
const SECRET_BYTES: usize = 32;

/// Length of a secret in characters: its bytes in base64url without padding.
const SECRET_CHARS: usize = 43;

/// The bearer token of a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterToken {
    cluster: String,
    text: SecretString,
}

impl ClusterToken {
    /// Creates a random token for a cluster.
    #[must_use]
    pub fn generate(cluster: &str) -> Self {
        let secret: [u8; SECRET_BYTES] = rand::random();
        let mut text =
            String::with_capacity(BEARER_PREFIX.len() + cluster.len() + 1 + SECRET_CHARS);
        text.push_str(BEARER_PREFIX);
        text.push_str(cluster);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(secret, &mut text);
        Self {
            cluster: cluster.to_owned(),
            text: SecretString::new(text),
        }
    }

    /// Parses a bearer token. Returns `None` if it does not have this form, and so is meant for
    /// another authenticator.
    #[must_use]
    pub fn parse(bearer: &str) -> Option<Self> {
        let (cluster, secret) = bearer.strip_prefix(BEARER_PREFIX)?.rsplit_once('.')?;
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let formed = machinery::validation::dns1123_subdomain(cluster).is_empty()
            && secret.len() == SECRET_CHARS
            && secret.bytes().all(is_base64url);
        formed.then(|| Self {
            cluster: cluster.to_owned(),
            text: SecretString::new(bearer.to_owned()),
        })
    }

    /// Returns the cluster that the token names. Only the hash proves that it belongs to that
    /// cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Returns the text itself, for the one file that must hold it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Returns the form that the server stores: SHA-256 in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        sha256_hex(self.text.expose())
    }
}

impl fmt::Debug for ClusterToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterToken")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

/// Returns the user that a cluster is authenticated as.
#[must_use]
pub fn user_of(cluster: &str) -> UserInfo {
    UserInfo {
        groups: vec![GROUP.to_owned()],
        ..UserInfo::named(format!("{USER_PREFIX}{cluster}"))
    }
}

/// Returns the cluster that a user stands for, or `None` if the user is not a cluster.
#[must_use]
pub fn cluster_of(user: &UserInfo) -> Option<&str> {
    user.name.strip_prefix(USER_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::{ClusterToken, cluster_of, user_of};

    const SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-_0";

    #[test]
    fn a_generated_token_is_read_back() {
        let token = ClusterToken::generate("c-m-1.example");
        assert_eq!(ClusterToken::parse(token.expose()), Some(token.clone()));
        assert_eq!(token.cluster(), "c-m-1.example");
        assert_ne!(ClusterToken::generate("c-m-1.example"), token);
    }

    #[test]
    fn whatever_else_is_somebody_elses() {
        assert!(ClusterToken::parse(&format!("cluster.c-1.{SECRET}")).is_some());
        for other in [
            "",
            "cluster.",
            "cluster.c-1.",
            "cluster.c-1.short",
            &format!("cluster..{SECRET}"),
            &format!("cluster.{SECRET}"),
            &format!("cluster.c-1.{SECRET}="),
            &format!("cluster.c-1.{SECRET}A"),
            &format!("cluster.c-1.{}+", &SECRET[1..]),
            &format!("cluster.C-1.{SECRET}"),
            &format!("cluster.c/1.{SECRET}"),
            &format!("Cluster.c-1.{SECRET}"),
            &format!("eyJhbGciOiJFUzI1NiJ9.e30.{SECRET}"),
        ] {
            assert_eq!(ClusterToken::parse(other), None, "{other}");
        }
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let token = ClusterToken::parse(&format!("cluster.c-1.{SECRET}")).unwrap();
        assert_eq!(
            format!("{token:?}"),
            r#"ClusterToken { cluster: "c-1", .. }"#
        );
    }

    #[test]
    fn the_hash_is_that_of_the_whole_text() {
        let token = ClusterToken::parse(&format!("cluster.c-1.{SECRET}")).unwrap();
        // printf %s cluster.c-1.AAAA… | sha256sum
        let expected = "8f258deae8fb683f61ac307b35a249ca1154309717fa015d6029abe7b2259366";
        assert_eq!(token.hash(), expected);
    }

    #[test]
    fn a_cluster_is_found_in_its_user() {
        assert_eq!(cluster_of(&user_of("c-1")), Some("c-1"));
        assert_eq!(cluster_of(&auth::UserInfo::named("system:admin")), None);
    }
}
