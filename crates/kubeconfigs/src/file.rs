//! The kubeconfig file: from resolved clusters and minted tokens to YAML text.
//!
//! Pure: who may have which cluster, which tokens are minted and what time it is was settled
//! before. The file has an entry `rancher` for this server itself, one per cluster through its
//! gateway, and for a cluster with an authorized cluster endpoint the direct ones beside it:
//!
//! ```text
//! rancher            https://HOST                     user rancher   (default entry)
//! NAME               https://HOST/k8s/clusters/ID     user NAME
//! NAME-fqdn          https://FQDN                     user NAME      (endpoint with FQDN)
//! NAME-HOSTNAME ...  https://ADDRESS:6443             user NAME      (else per control-plane node)
//! ```
//!
//! Each cluster has a user with a bearer token for that cluster alone, so that a token that one cluster leaks opens no other. A file
//! of very many clusters would become too long: there the clusters without a direct endpoint share the token of the user `rancher`.
//!
//! In exec mode each cluster has a user, too; a cluster that is set up for client certificates has a second one for its direct
//! entries, which gets those.
//!
//! A file that goes to the managed endpoint of its one cluster has that cluster, its context and the
//! user `token`.
//!
//! A display name may hold anything. It reaches the text only as a double-quoted scalar, and never an
//! argument of the exec plugin.

use std::collections::BTreeMap;

use api::ext::token::TokenEndpoint;
use api::plugin::OidcLogin;
use jiff::Timestamp;
use tokens::cluster_scope::ClusterId;
use tokens::secret::{Bearer, SecretString};

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

/// The name of the default entry and of its user, whose token the clusters without a user of their own share.
pub const DEFAULT_ENTRY: &str = "rancher";

/// The name of the user of a file that goes to a managed endpoint.
pub const MANAGED_USER: &str = "token";

/// This server as users reach it.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// Its host.
    pub host: &'a ServerHost,
    /// The certificate authorities that vouch for it, in PEM; empty for those of the user's
    /// machine.
    pub ca_certs: &'a str,
}

/// Everything that the file says.
#[derive(Debug)]
pub struct FileSpec<'a> {
    /// The record that the file belongs to.
    pub record: Record<'a>,
    /// This server, as users reach it.
    pub server: Server<'a>,
    /// Whether to include the entry for this server itself.
    pub include_default_entry: bool,
    /// The clusters of the file, in the order of its entries.
    pub clusters: &'a [FileCluster],
    /// The namespace of every context; empty for none.
    pub namespace: &'a str,
    /// The id of the cluster that is to be current; `None` for the first.
    pub current_cluster: Option<&'a str>,
    /// How the users of the file authenticate.
    pub credentials: &'a Credentials,
}

/// The record that a file belongs to, for its heading.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The name of the record.
    pub name: &'a str,
    /// When it was created; `None` in a dry run, shown as Go's zero time.
    pub created: Option<Timestamp>,
    /// How long its tokens live, in seconds.
    pub ttl_secs: i64,
}

/// A cluster that the file reaches.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FileCluster {
    /// The name of the cluster object.
    pub id: String,
    /// The uid of the cluster object.
    pub uid: String,
    /// The time of creation of the cluster object, if it is known.
    pub created: Option<Timestamp>,
    /// What the entries are named after; any text, the id where empty.
    pub display_name: String,
    /// The authorized cluster endpoint, if the cluster offers one.
    pub direct: Option<DirectEndpoint>,
    /// The URL of its managed endpoint, where the file goes there: it then reaches nothing else.
    pub managed: Option<String>,
    /// Whether its direct endpoint is used with client certificates, where the file holds no tokens.
    pub client_certificates: bool,
    /// Whether the file has no entry for it through this server; it then has a direct one.
    pub direct_only: bool,
    /// The provider whose users are the cluster's, if it has one.
    pub oidc: Option<OidcLogin>,
}

/// How the users of a file authenticate.
#[derive(Debug)]
pub enum Credentials {
    /// By tokens in the file.
    Tokens(Tokens),
    /// By running the plugin, which gets credentials of the record.
    Exec(ExecCredentials),
}

/// The tokens of a file.
#[derive(Debug, Default)]
pub struct Tokens {
    /// For the default entry and for clusters without a token of their own.
    pub shared: Option<Bearer>,
    /// For one cluster alone, by cluster id.
    pub by_cluster: BTreeMap<String, Bearer>,
}

/// A finished file.
#[derive(Debug)]
pub struct KubeconfigFile {
    /// The YAML text. It holds the tokens.
    pub content: SecretString,
    /// The id of the cluster whose context is current, for `spec.currentContext` of the record;
    /// `None` when no cluster's is.
    pub current_cluster: Option<String>,
}

/// Why a file could not be made: each is a mistake of the caller, not of the user.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No token was given for a user of the file.
    #[error("no token for user {user:?} of the file")]
    MissingToken {
        /// The name of the user entry.
        user: String,
    },
    /// The current cluster is not one of the clusters of the file.
    #[error("the current cluster {id:?} is not in the file")]
    UnknownCurrentCluster {
        /// The id asked for.
        id: String,
    },
}

impl FileCluster {
    /// The cluster object.
    pub(crate) fn object(&self) -> ClusterId<'_> {
        ClusterId {
            name: &self.id,
            uid: &self.uid,
            created: self.created,
        }
    }

    /// What the entries are named after before names are made unique.
    fn plain_name(&self) -> &str {
        if self.display_name.is_empty() {
            &self.id
        } else {
            &self.display_name
        }
    }
}

/// Makes the file.
///
/// The current context is that of `current_cluster`, and within it the direct entry where there is
/// one that works: the FQDN, or the first control-plane node that is ready. Without clusters it is
/// the default entry, and without that, empty.
pub fn build(spec: &FileSpec<'_>) -> Result<KubeconfigFile, FileError> {
    let current = current_cluster(spec)?;
    let entries = Entries::collect(spec, current)?;
    Ok(KubeconfigFile {
        content: document::write(&spec.record, &entries),
        current_cluster: current.map(|cluster| cluster.id.clone()),
    })
}

/// The addresses of a file, in the order of its entries.
///
/// # Errors
/// As [`build`].
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
