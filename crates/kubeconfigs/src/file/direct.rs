//! The authorized cluster endpoint: routes to a cluster that bypass this server.

use api::management::cluster::{LocalClusterAuthEndpoint, OidcProvider};
use api::management::{Cluster, Node};
use api::plugin::OidcLogin;
use management::ca_bundle::CaBundle;
use management::cluster::check_file_fields;
use management::display_text;
use management::server_host::ServerHost;
use tokens::cluster_scope::ClusterId;

use super::FileCluster;

/// The port on which the API servers of a control plane listen.
const API_SERVER_PORT: u16 = 6443;

/// The routes to a cluster that bypass this server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DirectEndpoint {
    /// A single address for the control plane.
    Fqdn {
        /// The host name, optionally with a port.
        fqdn: String,
        /// The certificate authorities of the endpoint, as `certificate-authority-data`. Empty for
        /// those of the user's machine.
        ca_data: String,
    },
    /// One address per control-plane node.
    Nodes {
        /// The nodes, in the order of their entries: those that are ready first.
        nodes: Vec<ControlPlaneNode>,
        /// The certificate authorities of the cluster, as `certificate-authority-data`.
        ca_data: String,
    },
}

/// A node of the control plane that users can reach.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ControlPlaneNode {
    /// The host name, from which the name of the entry is derived.
    pub hostname: String,
    /// The URL of the API server: `https://ADDRESS:6443`.
    pub url: String,
    /// True if the cluster reports the node as ready.
    pub is_ready: bool,
}

/// A cluster cannot be written into a file. The text names the invalid field and the fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCluster(String);

impl InvalidCluster {
    /// The text for an object that has fields of wrong types.
    pub(crate) const UNDECODABLE: &str = "its object has a field of the wrong type";

    /// Returns the error for an object that cannot be decoded.
    pub(crate) fn undecodable() -> Self {
        Self(Self::UNDECODABLE.to_owned())
    }
}

impl FileCluster {
    /// Creates the entry of a cluster. `nodes` are those of the cluster, and are only used if it
    /// has an endpoint without FQDN; workers and nodes without a usable address are left out.
    ///
    /// # Errors
    /// A field that would be written into the file is invalid. Clusters that belong to a host have
    /// not been validated before.
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

/// Returns the parameters for a login at the provider of a cluster.
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
    /// Returns whether the endpoint has any entry. There may be no nodes.
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
