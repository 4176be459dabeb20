//! The authorized cluster endpoint: ways to a cluster that do not pass through this server.

use api::management::cluster::{LocalClusterAuthEndpoint, OidcProvider};
use api::management::{Cluster, Node};
use api::plugin::OidcLogin;
use management::ca_bundle::CaBundle;
use management::cluster::check_file_fields;
use management::display_text;
use management::server_host::ServerHost;
use tokens::cluster_scope::ClusterId;

use super::FileCluster;

/// Where the API servers of a control plane listen.
const API_SERVER_PORT: u16 = 6443;

/// Ways to a cluster that do not pass through this server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DirectEndpoint {
    /// One address in front of the control plane.
    Fqdn {
        /// Its host name, optionally with a port.
        fqdn: String,
        /// The authorities that vouch for it, as `certificate-authority-data`; empty for those of
        /// the user's machine.
        ca_data: String,
    },
    /// Each control-plane node by itself.
    Nodes {
        /// The nodes, in the order of their entries: those that are ready first.
        nodes: Vec<ControlPlaneNode>,
        /// The authorities of the cluster, as `certificate-authority-data`.
        ca_data: String,
    },
}

/// A node of the control plane that users can reach.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ControlPlaneNode {
    /// What its entry is named after.
    pub hostname: String,
    /// Where its API server is: `https://ADDRESS:6443`.
    pub url: String,
    /// Whether its cluster reports it as ready.
    pub is_ready: bool,
}

/// A cluster that cannot be written into a file: which field is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCluster(String);

impl InvalidCluster {
    /// An object whose fields have other types than they should.
    pub(crate) const UNDECODABLE: &str = "its object has a field of a wrong type";

    /// An object that cannot be decoded.
    pub(crate) fn undecodable() -> Self {
        Self(Self::UNDECODABLE.to_owned())
    }
}

impl FileCluster {
    /// What the file says of a cluster. `nodes` are those of the cluster and matter only if it has
    /// an endpoint without FQDN; workers and nodes without a usable address are left out.
    ///
    /// # Errors
    /// A field that the file would say is invalid. Where Clusters are the host's, nobody has
    /// checked them before.
    pub fn new(cluster: &Cluster, nodes: &[Node]) -> Result<FileCluster, InvalidCluster> {
        let endpoint = cluster.direct_endpoint();
        if let Some(error) = check_file_fields(cluster, endpoint).first() {
            return Err(InvalidCluster(error.to_string()));
        }
        let direct = endpoint.map(|endpoint| DirectEndpoint::of(endpoint, cluster, nodes));
        let object = ClusterId::of(cluster);
        Ok(FileCluster {
            managed: None,
            id: cluster.id().to_owned(),
            uid: object.uid.to_owned(),
            created: object.created,
            display_name: cluster.display_name().to_owned(),
            direct: direct.transpose()?,
            client_certificates: cluster.client_signer().is_some(),
            direct_only: false,
            oidc: cluster.oidc().map(login).transpose()?,
        })
    }
}

/// What a client must know of the provider of a cluster: whom to ask for what.
fn login(oidc: &OidcProvider) -> Result<OidcLogin, InvalidCluster> {
    let scopes = [
        ("openid", true),
        ("email", oidc.username_claim == "email"),
        ("groups", !oidc.groups_claim.is_empty()),
    ];
    let scopes = scopes.into_iter().filter(|(_, wanted)| *wanted);
    let authorities = CaBundle::from_base64(&oidc.ca_data);
    let invalid = |why| InvalidCluster(format!("spec.authentication.oidc.caData {why}"));
    Ok(OidcLogin {
        issuer: oidc.issuer.clone(),
        client_id: oidc.client_id.clone(),
        scopes: scopes.map(|(scope, _)| scope.to_owned()).collect(),
        certificate_authority_data: authorities.map_err(invalid)?.to_base64(),
        unbound: false,
    })
}

impl DirectEndpoint {
    /// Whether it has an entry at all: nodes may have none.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Self::Fqdn { .. } => true,
            Self::Nodes { nodes, .. } => !nodes.is_empty(),
        }
    }

    fn of(
        endpoint: &LocalClusterAuthEndpoint,
        cluster: &Cluster,
        nodes: &[Node],
    ) -> Result<DirectEndpoint, InvalidCluster> {
        if !endpoint.fqdn.is_empty() {
            let authorities = CaBundle::from_pem(&endpoint.ca_certs);
            let fqdn = ServerHost::from_authority(&endpoint.fqdn);
            let path = "spec.localClusterAuthEndpoint";
            return Ok(DirectEndpoint::Fqdn {
                fqdn: fqdn
                    .ok_or_else(|| InvalidCluster(format!("{path}.fqdn is invalid")))?
                    .as_str()
                    .to_owned(),
                ca_data: authorities
                    .map_err(|why| InvalidCluster(format!("{path}.caCerts {why}")))?
                    .to_base64(),
            });
        }
        let mut nodes: Vec<_> = nodes.iter().filter_map(ControlPlaneNode::of).collect();
        nodes.sort_by_key(|node| !node.is_ready);
        let authorities = CaBundle::from_base64(&cluster.status.ca_cert);
        Ok(DirectEndpoint::Nodes {
            nodes,
            ca_data: authorities
                .map_err(|why| InvalidCluster(format!("status.caCert {why}")))?
                .to_base64(),
        })
    }
}

impl ControlPlaneNode {
    fn of(node: &Node) -> Option<ControlPlaneNode> {
        if !node.spec.control_plane {
            return None;
        }
        let address = node.address()?;
        let host = ServerHost::from_address(address)?;
        let hostname = &node.spec.requested_hostname;
        display_text::check(hostname).ok()?;
        Some(ControlPlaneNode {
            hostname: if hostname.is_empty() {
                address
            } else {
                hostname
            }
            .to_owned(),
            url: format!("https://{}:{API_SERVER_PORT}", host.as_str()),
            is_ready: node.is_ready(),
        })
    }
}
