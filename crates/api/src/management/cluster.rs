//! `clusters.management.cattle.io`: a Kubernetes cluster that users reach through this server.
//!
//! A user who may `get` the object may create a kubeconfig for the cluster. In addition to the
//! route through the gateway, a cluster can offer a direct one, the *authorized cluster endpoint*.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;
use machinery::meta::{MetadataExt, serialize_go_order};

/// The cluster that this server itself runs in. It always exists.
pub const LOCAL: &str = "local";

/// The prefix of groups that only this server gives: no group of a login with this prefix reaches a
/// cluster.
pub const GROUP_PREFIX: &str = "kubeconfig-apiserver:";

/// The default group of users of a cluster's administrator file.
pub const ADMIN_GROUP: &str = "kubeconfig-apiserver:cluster-admins";

/// A Kubernetes cluster that users reach through this server. Its name is the id used in
/// kubeconfigs, tokens and addresses.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.cattle.management.v3.Cluster", transform = unwrap_lines)]
pub struct Cluster {
    /// Standard object metadata.
    #[serde(
        default,
        serialize_with = "serialize_go_order",
        deserialize_with = "null_as_zero"
    )]
    pub metadata: ObjectMeta,

    /// The names of the cluster, and how it is reached.
    #[serde(default, deserialize_with = "null_as_zero")]
    pub spec: ClusterSpec,

    /// The observed state of the cluster. Set by the server.
    #[serde(default, deserialize_with = "null_as_zero")]
    pub status: ClusterStatus,
}

/// The names of a cluster, and how it is reached.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.ClusterSpec", transform = unwrap_lines)]
pub struct ClusterSpec {
    /// The name that people know the cluster by; contexts in kubeconfig files are named after it.
    /// Defaults to the name of the object.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub display_name: String,

    /// Free text about the cluster.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub description: String,

    /// The authorized cluster endpoint: a route to the cluster's API that does not pass through
    /// this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_cluster_auth_endpoint: Option<LocalClusterAuthEndpoint>,

    /// The short-lived client certificates that users get for the direct route. Absent if they
    /// use tokens there as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<ClientCertificates>,

    /// The connection of the gateway of this server to the cluster's API. Absent if the gateway
    /// does not serve the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ClusterConnection>,

    /// The authentication of users of the cluster who are not users of this server: one of
    /// `webhook` and `oidc`. At the unmanaged endpoint of the cluster, the gateway authenticates
    /// and impersonates them, unless the cluster authenticates them itself. When absent, the
    /// cluster itself authenticates all users there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<ClusterAuthentication>,

    /// The kubeconfig files of the cluster that users can download.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downloads: Option<ClusterDownloads>,

    /// The groups of logins that users carry into the cluster. When absent, users carry all groups
    /// that the setting `kubeconfig-groups` selects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<ClusterGroups>,
}

/// A route to a cluster's API that does not pass through this server.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(
    rename = "io.cattle.management.v3.LocalClusterAuthEndpoint",
    transform = unwrap_lines
)]
pub struct LocalClusterAuthEndpoint {
    /// Whether kubeconfig files get direct entries for the cluster. Defaults to false.
    #[serde(deserialize_with = "null_as_zero")]
    pub enabled: bool,

    /// The host name, optionally with a port, of a load balancer in front of the control plane.
    /// When empty, files get one entry per control-plane node.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub fqdn: String,

    /// The certificate authorities, in PEM, for the certificate of `fqdn`. When empty, those of the
    /// user's machine are used.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub ca_certs: String,
}

/// The short-lived client certificates that users get for a cluster.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.ClientCertificates", transform = unwrap_lines)]
pub struct ClientCertificates {
    /// The secret, of type `kubernetes.io/tls`, with the certificate and the key of the authority
    /// that signs them. The cluster's API server must trust that authority for clients. The owner
    /// of the key can impersonate any user of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer_secret_ref: Option<SecretReference>,
}

/// The connection of the gateway to a cluster's API.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.ClusterConnection", transform = unwrap_lines)]
pub struct ClusterConnection {
    /// The address of the cluster's API, e.g. `https://10.0.0.1:6443`.
    #[serde(deserialize_with = "null_as_zero")]
    pub server: String,

    /// The certificate authorities for the certificate of `server`: PEM, in base64. When empty,
    /// those of the gateway's machine are used.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub ca_data: String,

    /// The name expected in the certificate of `server`. Defaults to its host name.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub tls_server_name: String,

    /// The proxy for connections to `server`, as a URL with scheme `http`, `https` or `socks5`.
    /// If empty, the gateway connects directly.
    #[serde(
        rename = "proxyURL",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub proxy_url: String,

    /// The secret with the gateway's own credential at the cluster, which must be allowed to
    /// impersonate users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_secret_ref: Option<SecretReference>,
}

/// The authentication of users of a cluster who are not users of this server.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.ClusterAuthentication", transform = unwrap_lines)]
pub struct ClusterAuthentication {
    /// A webhook that authenticates bearer tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<TokenWebhook>,

    /// The OpenID Connect provider whose users are users of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcProvider>,

    /// Whether the cluster's own API server accepts ID tokens of the provider. TLS is then passed
    /// through to it at the unmanaged endpoint. Not for webhooks. Defaults to false.
    #[serde(
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_as_zero"
    )]
    pub by_cluster: bool,
}

/// A webhook that authenticates bearer tokens, with a `TokenReview` of `authentication.k8s.io/v1`
/// as kube-apiserver sends it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.TokenWebhook", transform = unwrap_lines)]
pub struct TokenWebhook {
    /// The URL that reviews are posted to, e.g. `https://authn.example.com/review`.
    #[serde(deserialize_with = "null_as_zero")]
    pub url: String,

    /// The certificate authorities for the certificate of `url`: PEM, in base64. When empty, those
    /// of the gateway's machine are used.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub ca_data: String,

    /// The time limit for a response, in seconds, at most 30. Without a response, the request is
    /// rejected. Defaults to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,

    /// The time for which a response is cached, in seconds, at most 3600; 0 to send a review
    /// for every request. Failures are not cached. Defaults to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_seconds: Option<i64>,
}

/// An OpenID Connect provider whose ID tokens are accepted. The fields have the meaning of the
/// flags of kube-apiserver, `--oidc-issuer-url` and so on.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.OidcProvider", transform = unwrap_lines)]
pub struct OidcProvider {
    /// The URL of the provider, as in its tokens.
    #[serde(deserialize_with = "null_as_zero")]
    pub issuer: String,

    /// The client that the tokens are issued for.
    #[serde(rename = "clientID", deserialize_with = "null_as_zero")]
    pub client_id: String,

    /// The certificate authorities for the certificate of `issuer`: PEM, in base64. When empty,
    /// those of the gateway's machine are used.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub ca_data: String,

    /// The claim that contains the user name. Users must not be able to change it. Defaults to
    /// `sub`.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub username_claim: String,

    /// The prefix of user names; `-` for no prefix. Defaults to `issuer` and `#`, unless the claim
    /// is `email`.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub username_prefix: String,

    /// The claim that contains the groups, a string or a list of strings. When empty, users have no
    /// groups.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub groups_claim: String,

    /// The prefix of groups.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub groups_prefix: String,
}

/// The kubeconfig files of a cluster that users download.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.ClusterDownloads", transform = unwrap_lines)]
pub struct ClusterDownloads {
    /// Whether downloads of files of the cluster are forbidden. Defaults to false.
    #[serde(deserialize_with = "null_as_zero")]
    pub forbidden: bool,

    /// Whether the kubeconfig uses the gateway of this server, instead of the authorized cluster
    /// endpoint. Defaults to whether the gateway serves the cluster. The administrator's file
    /// always uses the authorized cluster endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxied: Option<bool>,

    /// The group that users of the administrator's file have at the cluster, in addition to all
    /// authenticated users. Defaults to `kubeconfig-apiserver:cluster-admins`, which becomes an
    /// administrator group when a cluster is registered.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub admin_group: String,
}

/// The groups of logins that users carry into a cluster.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.ClusterGroups", transform = unwrap_lines)]
pub struct ClusterGroups {
    /// The groups that are carried: names, in which `*` matches any text. At most 64. When empty,
    /// all groups that the setting `kubeconfig-groups` selects are carried.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub patterns: Vec<String>,

    /// The prefix that is removed from the names of carried groups. Names without it are not
    /// changed.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub strip_prefix: String,

    /// The prefix that is added to the names of carried groups, after `stripPrefix` was removed.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub add_prefix: String,

    /// Whether tokens for the cluster contain the groups. Needed if the cluster verifies tokens
    /// itself (OIDC); a gateway or webhook takes the groups from the record of a token. A cluster
    /// that verifies tokens accepts their groups until they expire. Defaults to false.
    #[serde(
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_as_zero"
    )]
    pub in_tokens: bool,
}

/// A reference to a secret.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(
    rename = "io.cattle.management.v3.SecretReference",
    transform = unwrap_lines,
    extend("x-kubernetes-map-type" = "atomic")
)]
pub struct SecretReference {
    /// The namespace of the secret.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub namespace: String,

    /// The name of the secret.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub name: String,
}

/// The observed state of a cluster. Set by the server.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.ClusterStatus", transform = unwrap_lines)]
pub struct ClusterStatus {
    /// The address of the cluster's API.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub api_endpoint: String,

    /// The certificate authorities for the certificate of the cluster's API: PEM, in base64.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub ca_cert: String,

    /// The state of the cluster, by type, e.g. `Ready`.
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

    /// The version of Kubernetes that the cluster runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<ClusterVersion>,

    /// The host names of the cluster. Absent or empty if this server assigns none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<ClusterEndpoints>,

    /// The `metadata.generation` that the condition `Ready` is about.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_as_zero")]
    pub observed_generation: i64,
}

impl ClusterStatus {
    /// The type of the condition that states whether the gateway reaches the cluster.
    pub const READY: &str = "Ready";

    /// Returns the condition that states whether the gateway reaches the cluster, if that was
    /// checked.
    pub fn ready(&self) -> Option<&Condition> {
        let mut conditions = self.conditions.iter();
        conditions.find(|condition| condition.type_ == Self::READY)
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The version of Kubernetes that a cluster runs.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.ClusterVersion", transform = unwrap_lines)]
pub struct ClusterVersion {
    /// The full version, e.g. `v1.36.3+k3s1`.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub git_version: String,
}

/// The host names of a cluster, as URLs.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.ClusterEndpoints", transform = unwrap_lines)]
pub struct ClusterEndpoints {
    /// The route through the gateway. It accepts only tokens of kubeconfigs.
    #[serde(deserialize_with = "null_as_zero")]
    pub managed: String,

    /// The route to the cluster itself, which authenticates callers, unless `spec.authentication`
    /// leaves that to the gateway. It does not accept tokens of kubeconfigs.
    #[serde(deserialize_with = "null_as_zero")]
    pub unmanaged: String,
}

impl Cluster {
    /// The kind.
    pub const KIND: &str = "Cluster";
    /// The resource name.
    pub const PLURAL: &str = "clusters";
    /// The singular name.
    pub const SINGULAR: &str = "cluster";

    /// Returns the name of the object, by which all other objects refer to the cluster.
    pub fn id(&self) -> &str {
        self.metadata.name()
    }

    /// Returns the display name, or the id if it is empty.
    pub fn display_name(&self) -> &str {
        if self.spec.display_name.is_empty() {
            self.id()
        } else {
            &self.spec.display_name
        }
    }

    /// Returns whether its deletion has begun. Nothing may be minted for such a cluster, and tokens
    /// for it are invalid.
    pub fn is_being_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Returns how the gateway authenticates users at the unmanaged endpoint; `None` if the cluster
    /// does.
    pub fn edge_authentication(&self) -> Option<&ClusterAuthentication> {
        let authentication = self.spec.authentication.as_ref();
        authentication.filter(|authentication| !authentication.by_cluster)
    }

    /// Returns the secret of the authority that signs client certificates for the cluster, if it is
    /// set up for them.
    pub fn client_signer(&self) -> Option<&SecretReference> {
        let certificates = self.spec.client_certificates.as_ref()?;
        certificates.signer_secret_ref.as_ref()
    }

    /// Returns the provider whose users are users of the cluster, if it has one.
    pub fn oidc(&self) -> Option<&OidcProvider> {
        self.spec.authentication.as_ref()?.oidc.as_ref()
    }

    /// Returns whether files of the cluster must not be downloaded.
    pub fn forbids_downloads(&self) -> bool {
        let downloads = self.spec.downloads.as_ref();
        downloads.is_some_and(|downloads| downloads.forbidden)
    }

    /// Returns whether a downloaded kubeconfig uses the gateway. Defaults to whether the gateway
    /// serves the cluster, which includes the cluster that it runs in.
    pub fn is_proxied(&self) -> bool {
        let said = self.spec.downloads.as_ref();
        let said = said.and_then(|downloads| downloads.proxied);
        said.unwrap_or_else(|| self.spec.connection.is_some() || self.id() == LOCAL)
    }

    /// Returns the group of the users of the administrator's file.
    pub fn admin_group(&self) -> &str {
        let said = self.spec.downloads.as_ref();
        let said = said.map(|downloads| downloads.admin_group.as_str());
        said.filter(|group| !group.is_empty())
            .unwrap_or(ADMIN_GROUP)
    }

    /// Returns the authorized cluster endpoint, if it is enabled.
    pub fn direct_endpoint(&self) -> Option<&LocalClusterAuthEndpoint> {
        self.spec
            .local_cluster_auth_endpoint
            .as_ref()
            .filter(|endpoint| endpoint.enabled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_without_display_name_is_called_by_its_id() {
        let mut cluster = Cluster::default();
        cluster.metadata.name = Some("c-a".to_owned());
        assert_eq!(cluster.display_name(), "c-a");
        cluster.spec.display_name = "prod".to_owned();
        assert_eq!(cluster.display_name(), "prod");
    }

    #[test]
    fn a_kubeconfig_leads_through_the_gateway_where_that_serves_the_cluster() {
        for (id, connected, said, expected) in [
            ("c-a", false, None, false),
            ("c-a", true, None, true),
            ("c-a", true, Some(false), false),
            ("c-a", false, Some(true), true),
            (LOCAL, false, None, true),
        ] {
            let mut cluster = Cluster::default();
            cluster.metadata.name = Some(id.to_owned());
            cluster.spec.connection = connected.then(ClusterConnection::default);
            cluster.spec.downloads = Some(ClusterDownloads {
                proxied: said,
                ..ClusterDownloads::default()
            });
            assert_eq!(cluster.is_proxied(), expected, "{id} {connected} {said:?}");
        }
    }

    #[test]
    fn an_endpoint_counts_only_while_enabled() {
        let mut cluster = Cluster::default();
        assert_eq!(cluster.direct_endpoint(), None);
        let mut endpoint = LocalClusterAuthEndpoint::default();
        cluster.spec.local_cluster_auth_endpoint = Some(endpoint.clone());
        assert_eq!(cluster.direct_endpoint(), None);
        endpoint.enabled = true;
        cluster.spec.local_cluster_auth_endpoint = Some(endpoint.clone());
        assert_eq!(cluster.direct_endpoint(), Some(&endpoint));
    }
}
