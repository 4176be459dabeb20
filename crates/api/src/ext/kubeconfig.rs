//! `kubeconfigs.ext.cattle.io`: the record of a minted kubeconfig.
//!
//! A create request describes the file. Only its response contains the file, in `status.value`. The
//! record is stored and controls the tokens of that file: while it is suspended and once it is
//! deleted, they are rejected.
//!
//! Resolving clusters, time-to-live rules and immutability are left to the domain.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;
use crate::ext::{Access, TokenReference};
use machinery::meta::serialize_go_order;

/// Entry of `spec.clusters` that, as the first item, selects every cluster the user may get.
pub const ALL_CLUSTERS: &str = "*";
/// `spec.endpoint` of a file that uses the host name of its cluster.
pub const ENDPOINT_MANAGED: &str = "managed";
/// Prefix of every record's name, followed by five random characters.
pub const NAME_PREFIX: &str = "kubeconfig-";

/// `status.summary` while the tokens of a record are being minted.
pub const SUMMARY_PENDING: &str = "Pending";
/// `status.summary` of a record whose file was returned.
pub const SUMMARY_COMPLETE: &str = "Complete";
/// `status.summary` of a record whose creation failed half-way.
pub const SUMMARY_ERROR: &str = "Error";

/// Condition: the record was changed after its creation.
pub const CONDITION_UPDATED: &str = "Updated";
/// Condition: the tokens named in its message were minted.
pub const CONDITION_TOKEN_CREATED: &str = "TokenCreated";
/// Condition: the record is suspended; the reason states whether by its owner or by an
/// administrator.
pub const CONDITION_SUSPENDED: &str = "Suspended";
/// Condition: a token could not be minted.
pub const CONDITION_FAILED_TO_CREATE_TOKEN: &str = "FailedToCreateToken";
/// Condition: the nodes of a cluster with a direct endpoint could not be listed.
pub const CONDITION_FAILED_TO_LIST_CLUSTER_NODES: &str = "FailedToListClusterNodes";
/// Condition: the file could not be written.
pub const CONDITION_FAILED_TO_GENERATE: &str = "FailedToGenerate";

/// Condition: clusters that the user may get are not in the file, because their objects are
/// invalid. The message names them.
pub const CONDITION_CLUSTERS_SKIPPED: &str = "ClustersSkipped";

/// A kubeconfig generated for a user. Creating one returns, once, a file for kubectl with new
/// tokens; the stored record lists those tokens, and deleting it revokes them.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.cattle.ext.v1.Kubeconfig", transform = unwrap_lines)]
pub struct Kubeconfig {
    /// Standard object metadata. `name` and `generateName` are ignored on create: the name is
    /// always `kubeconfig-` and five random characters.
    #[serde(
        default,
        serialize_with = "serialize_go_order",
        deserialize_with = "null_as_zero"
    )]
    pub metadata: ObjectMeta,

    /// The content of the file, and its lifetime. Only `description` and `suspended` can be changed
    /// later.
    #[serde(default, deserialize_with = "null_as_zero")]
    pub spec: KubeconfigSpec,

    /// The state of the kubeconfig. Set by the server; ignored in requests.
    #[serde(default, deserialize_with = "null_as_zero")]
    pub status: KubeconfigStatus,
}

/// The content of a kubeconfig file, and its lifetime.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.KubeconfigSpec", transform = unwrap_lines)]
pub struct KubeconfigSpec {
    /// Limits of what the file may do, in addition to your permissions. The file then reaches
    /// clusters only through this server, which enforces them, and so do its client credentials.
    /// Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,

    /// The clusters in the file, by the name of their `clusters.management.cattle.io` object, in
    /// this order. `*` as the first item selects every cluster that you may get. Names must not
    /// repeat. When empty, the file contains only the default entry. Immutable.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub clusters: Vec<String>,

    /// The cluster, by name, whose context is current in the file. It must be one of those that
    /// `clusters` selects. Defaults to the first of them. Immutable.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub current_context: String,

    /// Free text that describes the purpose of the file. May be changed at any time.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub description: String,

    /// The endpoint that the file uses: `managed` for the host name of the one cluster in the file.
    /// If empty, clusters are reached through this server. With `managed`, `clusters` must have
    /// one item and `includeDefaultEntry` must be false. Immutable.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub endpoint: String,

    /// Whether the file has the default entry, which reaches this server itself. Defaults to true.
    /// When false, `clusters` must not be empty. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_default_entry: Option<bool>,

    /// Whether the file contains tokens. When false, it contains no secret: its users run the
    /// plugin `kubectl-kubeconfig`, which exchanges your login for short-lived credentials of this
    /// record. Defaults to the setting `kubeconfig-generate-token`. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate_token: Option<bool>,

    /// The namespace of every context in the file, for commands that name none. Immutable.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub namespace: String,

    /// Whether the tokens of the file are rejected. Unlike deletion, this can be reversed. Defaults
    /// to false. May be changed at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended: Option<bool>,

    /// The name of one of your tokens (`tokens.ext.cattle.io`). The file then has the permissions of
    /// this token: its clusters, its limits and its groups at most. It ends with the token, and the
    /// default entry is omitted if the token is not for this server. Immutable.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub token_name: String,

    /// The lifetime of the tokens of the file, in seconds, counted from creation. Must be positive
    /// and must not exceed the maximum set for this server. 0 or absent selects the setting
    /// `kubeconfig-default-token-ttl-minutes`. Immutable.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_as_zero")]
    pub ttl: i64,
}

/// The state of a kubeconfig. Set by the server.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.KubeconfigStatus", transform = unwrap_lines)]
pub struct KubeconfigStatus {
    /// The state of the record. Types: `TokenCreated`, `Updated`, `Suspended`,
    /// `FailedToCreateToken`, `FailedToListClusterNodes`, `FailedToGenerate`.
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

    /// The record in one word: `Pending`, `Complete` or `Error`.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub summary: String,

    /// The clusters that `*` in `spec.clusters` selected when the file was created.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub clusters: Vec<String>,

    /// The names of the tokens (`tokens.ext.cattle.io`) that were minted for the file, including
    /// those that no longer exist.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub tokens: Vec<String>,

    /// The user who owns the record and whom its tokens authenticate.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub user_name: String,

    /// The uid of the user's object (`users.management.cattle.io`) at creation; empty for a user
    /// without an object. The file is rejected for a later user of the same name. Absent in records
    /// of older servers.
    #[serde(rename = "userUID", skip_serializing_if = "Option::is_none")]
    pub user_uid: Option<String>,

    /// The groups of the login that created the record. The tokens of the file have those of them that
    /// the last login of the user from `groupsSource` still had.
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

    /// The uids of the clusters of a file without tokens, by name, at creation. The file is
    /// rejected at a later cluster of the same name. Absent for a file with tokens, which have
    /// their own.
    #[serde(
        rename = "clusterUIDs",
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub cluster_uids: BTreeMap<String, String>,

    /// The token that authenticated the request that created the record. The file is rejected as
    /// soon as that token is. Absent for a request with a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_token: Option<TokenReference>,

    /// The file itself, in YAML. Returned only in the response to create; it is not stored and
    /// cannot be read again.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub value: String,
}

impl Kubeconfig {
    /// The kind.
    pub const KIND: &str = "Kubeconfig";
    /// The resource name.
    pub const PLURAL: &str = "kubeconfigs";
    /// The singular name.
    pub const SINGULAR: &str = "kubeconfig";
}

impl KubeconfigSpec {
    /// Returns whether the first of the clusters is `*`.
    pub fn wants_all_clusters(&self) -> bool {
        self.clusters
            .first()
            .is_some_and(|first| first == ALL_CLUSTERS)
    }

    /// Returns whether the file uses the host name of its cluster.
    pub fn is_managed(&self) -> bool {
        self.endpoint == ENDPOINT_MANAGED
    }

    /// Returns whether the file has the default entry. Defaults to true.
    pub fn includes_default_entry(&self) -> bool {
        self.include_default_entry.unwrap_or(true)
    }

    /// Returns whether the file of the record contains no tokens, so that tokens for it can be
    /// requested later. The record of such a file states this explicitly.
    pub fn is_exchanged(&self) -> bool {
        self.generate_token == Some(false)
    }

    /// Returns whether the tokens of the record are rejected. Defaults to false.
    pub fn is_suspended(&self) -> bool {
        self.suspended.unwrap_or(false)
    }
}

/// Prints everything but the content of the file.
impl fmt::Debug for KubeconfigStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KubeconfigStatus {
            conditions,
            summary,
            clusters,
            tokens,
            user_name,
            user_uid,
            groups,
            groups_source,
            cluster_uids,
            parent_token,
            value,
        } = self;
        f.debug_struct("KubeconfigStatus")
            .field("conditions", conditions)
            .field("summary", summary)
            .field("clusters", clusters)
            .field("tokens", tokens)
            .field("user_name", user_name)
            .field("user_uid", user_uid)
            .field("groups", groups)
            .field("groups_source", groups_source)
            .field("cluster_uids", cluster_uids)
            .field("parent_token", parent_token)
            .field("value", &crate::redacted(value))
            .finish()
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_entry_is_there_unless_refused() {
        for (said, expected) in [(None, true), (Some(true), true), (Some(false), false)] {
            let spec = KubeconfigSpec {
                include_default_entry: said,
                ..KubeconfigSpec::default()
            };
            assert_eq!(spec.includes_default_entry(), expected, "{said:?}");
        }
    }

    #[test]
    fn a_record_is_suspended_only_if_said() {
        for (said, expected) in [(None, false), (Some(true), true), (Some(false), false)] {
            let spec = KubeconfigSpec {
                suspended: said,
                ..KubeconfigSpec::default()
            };
            assert_eq!(spec.is_suspended(), expected, "{said:?}");
        }
    }

    #[test]
    fn credentials_can_be_had_only_for_a_record_that_says_so() {
        for (said, expected) in [(None, false), (Some(true), false), (Some(false), true)] {
            let spec = KubeconfigSpec {
                generate_token: said,
                ..KubeconfigSpec::default()
            };
            assert_eq!(spec.is_exchanged(), expected, "{said:?}");
        }
    }

    #[test]
    fn a_star_means_all_clusters_only_in_first_place() {
        let cases: [(&[&str], bool); 4] = [
            (&[], false),
            (&["*"], true),
            (&["*", "c-a"], true),
            (&["c-a", "*"], false),
        ];
        for (clusters, expected) in cases {
            let clusters = clusters.iter().map(|&id| id.to_owned()).collect();
            let spec = KubeconfigSpec {
                clusters,
                ..KubeconfigSpec::default()
            };
            assert_eq!(spec.wants_all_clusters(), expected, "{:?}", spec.clusters);
        }
    }

    #[test]
    fn debug_output_shows_no_content() {
        let status = KubeconfigStatus {
            value: "token: t0ps3cret".to_owned(),
            ..Default::default()
        };
        let shown = format!(
            "{:?}",
            Kubeconfig {
                status,
                ..Kubeconfig::default()
            }
        );
        assert!(
            shown.contains("[redacted]") && !shown.contains("t0ps3cret"),
            "{shown}"
        );
    }
}
