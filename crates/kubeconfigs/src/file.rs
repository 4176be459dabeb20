//! The kubeconfig file: from resolved clusters and minted tokens to YAML text.
//!
//! This module is pure: the clusters that the caller may have, the tokens and the current time are
//! determined before. The file has an entry `rancher` for this server itself, one entry per cluster
//! through the gateway of this server, and the direct entries of clusters with an authorized
//! cluster endpoint:
//!
//! ```text
//! rancher            https://HOST                     user rancher   (default entry)
//! NAME               https://HOST/k8s/clusters/ID     user NAME
//! NAME-fqdn          https://FQDN                     user NAME      (endpoint with FQDN)
//! NAME-HOSTNAME ...  https://ADDRESS:6443             user NAME      (else per control-plane node)
//! ```
//!
//! Each cluster has a user with a bearer token for that cluster alone, so that a token that is
//! leaked by one cluster gives no access to another. In a file of very many clusters, which would
//! become too long, the clusters without a direct endpoint share the token of the user `rancher`.
//!
//! In exec mode each cluster has a user, too. A cluster that is set up for client certificates has
//! a second user with those for its direct entries.
//!
//! A file for the managed endpoint of its single cluster has that cluster, its context and the user
//! `token`.
//!
//! A display name may contain any text. It is only ever written as a double-quoted scalar, and
//! never as an argument of the exec plugin.

use std::collections::BTreeMap;

use api::ext::token::TokenEndpoint;
use api::plugin::OidcLogin;
use jiff::Timestamp;
use signing::secret::{Bearer, SecretString};
use tokens::cluster_scope::ClusterId;

mod direct;
mod document;
mod entries;
mod exec;
mod names;
mod quoted;

pub use direct::{ControlPlaneNode, DirectEndpoint, InvalidCluster};
pub use exec::{ExecCredentials, ExecVersion};
pub use management::server_host::ServerHost;

use entries::Entries;

/// The name of the default entry and of its user. Clusters without a user of their own share its
/// token.
pub const DEFAULT_ENTRY: &str = "rancher";

/// The name of the user in a file for a managed endpoint.
pub const MANAGED_USER: &str = "token";

/// The address of this server, as used by clients.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The host.
    pub host: &'a ServerHost,
    /// The certificate authorities of the server, in PEM. Empty for those of the user's machine.
    pub ca_certs: &'a str,
}

/// The contents of a file.
#[derive(Debug)]
pub struct FileSpec<'a> {
    /// The record that the file belongs to.
    pub record: Record<'a>,
    /// The address of this server, as used by clients.
    pub server: Server<'a>,
    /// True if the file includes the entry for this server itself.
    pub include_default_entry: bool,
    /// The clusters of the file, in the order of its entries.
    pub clusters: &'a [FileCluster],
    /// The namespace of every context. Empty for none.
    pub namespace: &'a str,
    /// The id of the cluster whose context is current, or `None` for the first cluster.
    pub current_cluster: Option<&'a str>,
    /// The credentials of the users of the file.
    pub credentials: &'a Credentials,
}

/// The record that a file belongs to, for the heading of the file.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The name of the record.
    pub name: &'a str,
    /// The creation time, or `None` in a dry run, which is written as Go's zero time.
    pub created: Option<Timestamp>,
    /// The lifetime of the tokens, in seconds.
    pub ttl_secs: i64,
}

/// A cluster in the file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FileCluster {
    /// The name of the cluster object.
    pub id: String,
    /// The uid of the cluster object.
    pub uid: String,
    /// The creation time of the cluster object, if it is known.
    pub created: Option<Timestamp>,
    /// The name from which the names of the entries are derived. Any text; the id is used if it is
    /// empty.
    pub display_name: String,
    /// The authorized cluster endpoint, if the cluster offers one.
    pub direct: Option<DirectEndpoint>,
    /// The URL of the managed endpoint, if the file uses it. The file then has no other entries.
    pub managed: Option<String>,
    /// True if the direct endpoint is used with client certificates. Only for files without tokens.
    pub client_certificates: bool,
    /// True if the file has no entry for the cluster through this server. It then has a direct one.
    pub direct_only: bool,
    /// The OIDC provider of the cluster's users, if the cluster has one.
    pub oidc: Option<OidcLogin>,
}

/// The credentials of the users of a file.
#[derive(Debug)]
pub enum Credentials {
    /// Tokens in the file.
    Tokens(Tokens),
    /// The plugin, which obtains credentials for the record.
    Exec(ExecCredentials),
}

/// The tokens of a file.
#[derive(Debug, Default)]
pub struct Tokens {
    /// The token of the default entry and of clusters without a token of their own.
    pub shared: Option<Bearer>,
    /// The tokens for one cluster each, by cluster id.
    pub by_cluster: BTreeMap<String, Bearer>,
}

/// A finished file.
#[derive(Debug)]
pub struct KubeconfigFile {
    /// The YAML text. It holds the tokens.
    pub content: SecretString,
    /// The id of the cluster whose context is current, for `spec.currentContext` of the record.
    /// `None` if there is no such cluster.
    pub current_cluster: Option<String>,
}

/// The reason that a file cannot be built. Each is a mistake in the calling code, not of the user.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no token for a user of the file.
    #[error("no token for user {user:?} of the file")]
    MissingToken {
        /// The name of the user entry.
        user: String,
    },
    /// The current cluster is not one of the clusters of the file.
    #[error("the current cluster {id:?} is not in the file")]
    UnknownCurrentCluster {
        /// The requested id.
        id: String,
    },
}

impl FileCluster {
    /// Returns the identity of the cluster object.
    pub(crate) fn object(&self) -> ClusterId<'_> {
        ClusterId {
            name: &self.id,
            uid: &self.uid,
            created: self.created,
        }
    }

    /// Returns the name of the entries before names are made unique.
    fn plain_name(&self) -> &str {
        if self.display_name.is_empty() {
            &self.id
        } else {
            &self.display_name
        }
    }
}

/// Builds the file.
///
/// The current context is that of `current_cluster`. If that has a working direct entry, it is the
/// direct one: the FQDN, or the first control-plane node that is ready. Without clusters it is the
/// default entry, and without that it is empty.
pub fn build(spec: &FileSpec<'_>) -> Result<KubeconfigFile, FileError> {
    let current = current_cluster(spec)?;
    let entries = Entries::collect(spec, current)?;
    Ok(KubeconfigFile {
        content: document::write(&spec.record, &entries),
        current_cluster: current.map(|cluster| cluster.id.clone()),
    })
}

/// Returns the addresses in a file, in the order of its entries.
///
/// # Errors
/// The same as [`build`].
pub fn endpoints(spec: &FileSpec<'_>) -> Result<Vec<TokenEndpoint>, FileError> {
    let entries = Entries::collect(spec, None)?;
    let endpoint = |target: entries::Target| TokenEndpoint {
        server: target.server,
        certificate_authority_data: target.ca_data,
    };
    Ok(entries.targets.into_iter().map(endpoint).collect())
}

fn current_cluster<'a>(spec: &FileSpec<'a>) -> Result<Option<&'a FileCluster>, FileError> {
    let Some(id) = spec.current_cluster else {
        return Ok(spec.clusters.first());
    };
    match spec.clusters.iter().find(|cluster| cluster.id == id) {
        Some(cluster) => Ok(Some(cluster)),
        None => Err(FileError::UnknownCurrentCluster { id: id.to_owned() }),
    }
}

#[cfg(test)]
mod tests;
