//! The authorized cluster endpoint: ways to a cluster that do not pass through this server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{FileCluster, ServerHost};
use api::management::cluster::OidcProvider;
use api::management::{Cluster, Node};
use api::plugin::OidcLogin;

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

impl FileCluster {
    /// What the file says of a cluster. `nodes` are those of the cluster and matter only if it has
    /// an endpoint without FQDN; workers and nodes without a usable address are left out.
    pub fn new(cluster: &Cluster, nodes: &[Node]) -> FileCluster {
        FileCluster {
            managed: None,
            id: cluster.id().to_owned(),
            uid: cluster.metadata.uid.clone().unwrap_or_default(),
            display_name: cluster.display_name().to_owned(),
            direct: DirectEndpoint::of(cluster, nodes),
            client_certificates: cluster.client_signer().is_some(),
            direct_only: false,
            oidc: cluster.oidc().map(login),
        }
    }
}

/// What a client must know of the provider of a cluster: whom to ask for what.
fn login(oidc: &OidcProvider) -> OidcLogin {
    let scopes = [
        ("openid", true),
        ("email", oidc.username_claim == "email"),
        ("groups", !oidc.groups_claim.is_empty()),
    ];
    let scopes = scopes.into_iter().filter(|(_, wanted)| *wanted);
    OidcLogin {
        issuer: oidc.issuer.clone(),
        client_id: oidc.client_id.clone(),
        scopes: scopes.map(|(scope, _)| scope.to_owned()).collect(),
        certificate_authority_data: oidc.ca_data.clone(),
        unbound: false,
    }
}

impl DirectEndpoint {
    /// Whether it has an entry at all: nodes may have none.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Self::Fqdn { .. } => true,
            Self::Nodes { nodes, .. } => !nodes.is_empty(),
        }
    }

    fn of(cluster: &Cluster, nodes: &[Node]) -> Option<DirectEndpoint> {
        let endpoint = cluster.direct_endpoint()?;
        if !endpoint.fqdn.is_empty() {
            let ca_data = STANDARD.encode(&endpoint.ca_certs);
            return Some(DirectEndpoint::Fqdn {
                fqdn: endpoint.fqdn.clone(),
                ca_data,
            });
        }
        let mut nodes: Vec<_> = nodes.iter().filter_map(ControlPlaneNode::of).collect();
        nodes.sort_by_key(|node| !node.is_ready);
        Some(DirectEndpoint::Nodes {
            nodes,
            ca_data: cluster.status.ca_cert.clone(),
        })
    }
}

impl ControlPlaneNode {
    fn of(node: &Node) -> Option<ControlPlaneNode> {
        if !node.spec.control_plane {
            return None;
        }
        let address = node.address()?;
        let host = ServerHost::from_authority(address)?;
        let hostname = &node.spec.requested_hostname;
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
