//! `tokens.ext.cattle.io`: the record of a bearer token.
//!
//! A bearer token is a signed JWT whose `jti` is the name of such a record. The record makes it
//! revocable: it can be disabled or deleted, and it contains the user and the clusters that the
//! token is for.
//!
//! Minting, verifying and the complete rule of validity are left to the tokens crate.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;
use crate::ext::{Access, TokenReference};
use machinery::meta::serialize_go_order;

/// Prefix of every token's name, followed by fifteen random characters.
pub const NAME_PREFIX: &str = "token-";
/// `spec.kind` of the tokens in a kubeconfig file.
pub const KIND_KUBECONFIG: &str = "kubeconfig";
/// `spec.kind` of a login session.
pub const KIND_SESSION: &str = "session";

/// Condition: the token is disabled; the reason states whether by its owner or by an administrator.
pub const CONDITION_DISABLED: &str = "Disabled";

/// A bearer token of a user. Its value is returned only in the response to create.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.cattle.ext.v1.Token", transform = unwrap_lines)]
pub struct Token {
    /// Whether the principal is the user who sends the request.
    #[serde(
        default,
        serialize_with = "serialize_go_order",
        deserialize_with = "null_as_zero"
    )]
    pub metadata: ObjectMeta,

    /// The user, clusters and lifetime of the token.
    #[serde(default, deserialize_with = "null_as_zero")]
    pub spec: TokenSpec,

    /// The value of the token and its current state. Set by the server; ignored in requests.
    #[serde(default, deserialize_with = "null_as_zero")]
    pub status: TokenStatus,
}

/// The user, clusters and lifetime of a token.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.TokenSpec", transform = unwrap_lines)]
pub struct TokenSpec {
    /// The user whom the token authenticates. Defaults to you, and cannot be another user.
    /// Immutable.
    #[serde(
        rename = "userID",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub user_id: String,

    /// The identity of the user at the provider that authenticated them. Set by the server on
    /// create; immutable.
    #[serde(deserialize_with = "null_as_zero")]
    pub user_principal: TokenPrincipal,

    /// The kind of the token: `session` for a login, `kubeconfig` for a kubeconfig file, or empty.
    /// Immutable.
    #[serde(deserialize_with = "null_as_zero")]
    pub kind: String,

    /// Free text that describes the purpose of the token. May be changed at any time.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub description: String,

    /// The lifetime of the token, in milliseconds, counted from creation. 0 selects the setting
    /// `auth-token-max-ttl-minutes`, which is also the maximum; if `kubeconfigName` is set, it
    /// selects the setting `kubeconfig-exec-token-ttl-minutes` or the remaining lifetime of that
    /// record. A negative value means that the token does not expire, if that setting permits it.
    /// Only administrators may extend it later.
    #[serde(deserialize_with = "null_as_zero")]
    pub ttl: i64,

    /// Whether the token is accepted. Defaults to true. May be changed at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// Limits of what the token may do, in addition to your permissions. The token is then accepted
    /// only by this server, which enforces them, and not by clusters.
    /// Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,

    /// The single cluster, by name, that the token is accepted for. When empty, `clusterNames`
    /// decides. Immutable.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub cluster_name: String,

    /// The clusters, by name, that the token is accepted for, if `clusterName` is empty; `local` is
    /// this server. Defaults to `local`. Set by the server for the tokens of a kubeconfig;
    /// immutable.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub cluster_names: Vec<String>,

    /// The groups that the token gives its user, in addition to all authenticated users. Set by the
    /// server for the administrator's file of a cluster; immutable.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub groups: Vec<String>,

    /// The kubeconfig (`kubeconfigs.ext.cattle.io`), by name, that the token belongs to. The token
    /// is rejected once that is deleted or while it is suspended. On create, it may name a
    /// kubeconfig of yours whose file contains no tokens (`generateToken: false`), with one of its
    /// clusters in `clusterName`. Immutable.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub kubeconfig_name: String,

    /// A request for a client certificate (PKCS #10, in PEM): the response to create then contains
    /// a certificate for the key of the request in `status.certificate`, and no token. Requires
    /// `kubeconfigName` and `clusterName`, and a cluster that is set up for client certificates.
    /// Nothing is stored.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub certificate_signing_request: String,
}

/// The identity of a user at the provider that authenticated them.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.TokenPrincipal", transform = unwrap_lines)]
pub struct TokenPrincipal {
    /// The identifier of the principal, unique among all providers, e.g. `local://user-abcde`.
    #[serde(deserialize_with = "null_as_zero")]
    pub name: String,

    /// The name to show.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub display_name: String,

    /// The name that the user logs in with.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub login_name: String,

    /// The URL of a picture of the principal.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub profile_picture: String,

    /// The URL of a page about the principal. Not used.
    #[serde(
        rename = "profileURL",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub profile_url: String,

    /// The type of the principal: `user` or `group`.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub principal_type: String,

    /// Whether the principal is the user who asks.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null_as_zero")]
    pub me: bool,

    /// Whether the user who sends the request is a member of the principal.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null_as_zero")]
    pub member_of: bool,

    /// The provider, by name, e.g. `local`.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub provider: String,

    /// More about the principal, as its provider gave it.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub extra_info: BTreeMap<String, String>,
}

/// The value of a token and its current state. Set by the server.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.TokenStatus", transform = unwrap_lines)]
pub struct TokenStatus {
    /// The secret part of the token. Returned only in the response to create; not stored.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub value: String,

    /// The token as it is sent in the `Authorization: Bearer` header. Returned only in the response
    /// to create; not stored.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub bearer_token: String,

    /// The requested client certificate, and the certificates of its issuers, in PEM. Returned only
    /// in the response to create.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub certificate: String,

    /// The state of the token. Types: `Disabled`.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-merge-key" = "type",
        "x-kubernetes-patch-strategy" = "merge",
    ))]
    pub conditions: Vec<Condition>,

    /// The uid of the user's object (`users.management.cattle.io`) at creation; empty for a user
    /// without an object. The token is rejected for a later user of the same name. Absent in
    /// records of older servers.
    #[serde(rename = "userUID", skip_serializing_if = "Option::is_none")]
    pub user_uid: Option<String>,

    /// The groups of the login that created the token. The token has those of them that the last
    /// login of the user from `groupsSource` still had.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub groups: Vec<String>,

    /// The source of `groups`, e.g. `certificate` or `oidc:https://login.example.com`. Without one, the
    /// groups only decide whether the user may still `get` a cluster.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub groups_source: String,

    /// The uids of the clusters, by name, at creation. The token is rejected at a later cluster of
    /// the same name.
    #[serde(
        rename = "clusterUIDs",
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub cluster_uids: BTreeMap<String, String>,

    /// The token that authenticated the request that created this token. This token is rejected as
    /// soon as that token is. Absent for a request with a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_token: Option<TokenReference>,

    /// The addresses that the token or certificate may be sent to: those of the cluster in the file
    /// of `kubeconfigName`. Returned only in the response to create.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub endpoints: Vec<TokenEndpoint>,

    /// The hash of `value`, if the kind of token needs one.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub hash: String,

    /// Whether this token authenticated the current request.
    #[serde(deserialize_with = "null_as_zero")]
    pub current: bool,

    /// Whether only this server accepts the token, because it enforces limits that the token or a
    /// grant of its user sets.
    #[serde(
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_as_zero"
    )]
    pub only_here: bool,

    /// Whether the token has expired.
    #[serde(deserialize_with = "null_as_zero")]
    pub expired: bool,

    /// The time at which the token expires, in RFC 3339; empty if it does not.
    #[serde(deserialize_with = "null_as_zero")]
    pub expires_at: String,

    /// The time of the last change of the token, in RFC 3339.
    #[serde(deserialize_with = "null_as_zero")]
    pub last_update_time: String,

    /// The time of the last use of the token, to within a minute; absent if it was never used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
}

/// An address that a token or certificate may be sent to.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.TokenEndpoint", transform = unwrap_lines)]
pub struct TokenEndpoint {
    /// The URL, as in `server` of a kubeconfig file.
    #[serde(deserialize_with = "null_as_zero")]
    pub server: String,

    /// The certificate authorities of the address: PEM, in base64. Empty if those of the user's
    /// machine are used.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub certificate_authority_data: String,
}

impl TokenPrincipal {
    /// Returns the principal of a user of this server.
    pub fn of_user(name: &str) -> Self {
        Self {
            name: format!("local://{name}"),
            login_name: name.to_owned(),
            principal_type: "user".to_owned(),
            provider: "local".to_owned(),
            ..Self::default()
        }
    }
}

impl Token {
    /// The kind.
    pub const KIND: &str = "Token";
    /// The resource name.
    pub const PLURAL: &str = "tokens";
    /// The singular name.
    pub const SINGULAR: &str = "token";

    /// Returns the time at which the token expires; `None` if it never does.
    ///
    /// A token without a creation time is treated as created at the epoch, and a sum beyond the
    /// range of times as the end of that range, so that a damaged record never lives longer.
    pub fn expires_at(&self) -> Option<Timestamp> {
        if self.spec.ttl < 0 {
            return None;
        }
        let created = match &self.metadata.creation_timestamp {
            Some(created) => created.0,
            None => Timestamp::UNIX_EPOCH,
        };
        let ttl = SignedDuration::from_millis(self.spec.ttl);
        Some(created.checked_add(ttl).unwrap_or(Timestamp::MAX))
    }

    /// Returns whether the token has expired. It is valid until just before its expiry time.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at().is_some_and(|expiry| expiry <= now)
    }
}

impl TokenSpec {
    /// Returns whether the token is enabled. Defaults to true.
    pub fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    /// Returns whether the record names this cluster. A token that names no cluster is not bound to
    /// any.
    pub fn is_bound_to(&self, cluster: &str) -> bool {
        if !self.cluster_name.is_empty() {
            return self.cluster_name == cluster;
        }
        self.cluster_names.iter().any(|name| name == cluster)
    }
}

/// Prints everything but the secrets.
impl fmt::Debug for TokenStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TokenStatus {
            value,
            bearer_token,
            certificate,
            conditions,
            user_uid,
            groups,
            groups_source,
            cluster_uids,
            parent_token,
            endpoints,
            hash,
            current,
            only_here,
            expired,
            expires_at,
            last_update_time,
            last_used_at,
        } = self;
        f.debug_struct("TokenStatus")
            .field("value", &crate::redacted(value))
            .field("bearer_token", &crate::redacted(bearer_token))
            .field("certificate", certificate)
            .field("conditions", conditions)
            .field("user_uid", user_uid)
            .field("groups", groups)
            .field("groups_source", groups_source)
            .field("cluster_uids", cluster_uids)
            .field("parent_token", parent_token)
            .field("endpoints", endpoints)
            .field("hash", &crate::redacted(hash))
            .field("current", current)
            .field("only_here", only_here)
            .field("expired", expired)
            .field("expires_at", expires_at)
            .field("last_update_time", last_update_time)
            .field("last_used_at", last_used_at)
            .finish()
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED: &str = "2026-01-02T03:04:05Z";

    fn token(created: Option<&str>, ttl: i64) -> Token {
        let mut token = Token::default();
        token.metadata.creation_timestamp = created.map(|time| Time(time.parse().unwrap()));
        token.spec.ttl = ttl;
        token
    }

    #[test]
    fn a_token_expires_its_time_to_live_after_creation() {
        let cases = [
            (Some(CREATED), 1_500, Some("2026-01-02T03:04:06.5Z")),
            (Some(CREATED), 0, Some(CREATED)),
            (Some(CREATED), -1, None),
            (
                Some(CREATED),
                i64::MAX,
                Some("9999-12-30T22:00:00.999999999Z"),
            ),
            (None, 1_000, Some("1970-01-01T00:00:01Z")),
        ];
        for (created, ttl, expected) in cases {
            let expected = expected.map(|time| time.parse().unwrap());
            assert_eq!(
                token(created, ttl).expires_at(),
                expected,
                "{created:?} {ttl}"
            );
        }
    }

    #[test]
    fn a_token_is_valid_until_just_before_it_expires() {
        let token = token(Some(CREATED), 1_000);
        for (now, expected) in [
            ("2026-01-02T03:04:05.999Z", false),
            ("2026-01-02T03:04:06Z", true),
        ] {
            assert_eq!(token.is_expired(now.parse().unwrap()), expected, "{now}");
        }
    }

    #[test]
    fn a_token_is_bound_to_the_clusters_that_it_names() {
        let cases: [(&str, &[&str], bool); 5] = [
            ("", &[], false),
            ("c-a", &[], true),
            ("c-b", &["c-a"], false),
            ("", &["c-b", "c-a"], true),
            ("", &["c-b"], false),
        ];
        for (cluster_name, cluster_names, expected) in cases {
            let spec = TokenSpec {
                cluster_name: cluster_name.to_owned(),
                cluster_names: cluster_names.iter().map(|&id| id.to_owned()).collect(),
                ..TokenSpec::default()
            };
            assert_eq!(
                spec.is_bound_to("c-a"),
                expected,
                "{cluster_name} {cluster_names:?}"
            );
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let status = TokenStatus {
            value: "t0ps3cret".to_owned(),
            bearer_token: "t0ps3cret".to_owned(),
            hash: "t0ps3cret".to_owned(),
            ..TokenStatus::default()
        };
        let shown = format!(
            "{:?}",
            Token {
                status,
                ..Token::default()
            }
        );
        assert!(!shown.contains("t0ps3cret"), "{shown}");
    }
}
