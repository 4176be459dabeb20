//! The entries of a file: which there are, what they are called, and which is current.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use tokens::secret::Bearer;

use super::exec::Exec;
use super::names::Names;
use super::{
    ControlPlaneNode, Credentials, DEFAULT_ENTRY, DirectEndpoint, FileCluster, FileError, FileSpec,
    needs_shared_token,
};

/// The entries of a file.
pub(super) struct Entries<'a> {
    /// Each is a cluster and the context of the same name.
    pub(super) targets: Vec<Target>,
    /// The users, in the order in which the targets first name them.
    pub(super) users: Vec<User<'a>>,
    /// The name of the current target, or empty.
    pub(super) current_context: String,
}

/// A cluster entry and its context.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) server: String,
    /// `certificate-authority-data`; empty for the authorities of the user's machine.
    pub(super) ca_data: String,
    pub(super) user: String,
}

/// A user entry.
pub(super) struct User<'a> {
    pub(super) name: String,
    pub(super) credential: Credential<'a>,
}

/// How a user authenticates.
pub(super) enum Credential<'a> {
    Token(&'a Bearer),
    Exec(Exec),
}

impl<'a> Entries<'a> {
    /// Lays the file out; `current` is the cluster whose context is to be current.
    pub(super) fn collect(
        spec: &FileSpec<'a>,
        current: Option<&FileCluster>,
    ) -> Result<Entries<'a>, FileError> {
        let mut layout = Layout::new(spec);
        if needs_shared_token(spec.include_default_entry, spec.clusters) {
            layout.add_user(DEFAULT_ENTRY, None)?;
        }
        if spec.include_default_entry {
            layout.add_default_entry();
        }
        // First every cluster's own name, so that no derived name takes one of them away.
        let names: Vec<String> = spec
            .clusters
            .iter()
            .map(|it| layout.claim_name(it))
            .collect();
        for (cluster, name) in spec.clusters.iter().zip(&names) {
            let context = layout.add_cluster(cluster, name)?;
            if current.is_some_and(|current| current.id == cluster.id) {
                layout.entries.current_context = context;
            }
        }
        Ok(layout.entries)
    }
}

/// Entries in the making.
struct Layout<'s, 'a> {
    spec: &'s FileSpec<'a>,
    server_ca_data: String,
    names: Names,
    entries: Entries<'a>,
}

impl<'s, 'a> Layout<'s, 'a> {
    fn new(spec: &'s FileSpec<'a>) -> Layout<'s, 'a> {
        Layout {
            spec,
            server_ca_data: STANDARD.encode(spec.server.ca_certs),
            names: Names::reserving(DEFAULT_ENTRY),
            entries: Entries {
                targets: Vec::new(),
                users: Vec::new(),
                current_context: String::new(),
            },
        }
    }

    fn claim_name(&mut self, cluster: &FileCluster) -> String {
        self.names.claim(cluster.plain_name(), &cluster.id)
    }

    fn add_default_entry(&mut self) {
        let server = format!("https://{}", self.spec.server.host.as_str());
        self.add_target(Target {
            name: DEFAULT_ENTRY.to_owned(),
            server,
            ca_data: self.server_ca_data.clone(),
            user: DEFAULT_ENTRY.to_owned(),
        });
        self.entries.current_context = DEFAULT_ENTRY.to_owned();
    }

    /// Adds all entries of a cluster; the context to use of them is returned.
    fn add_cluster(&mut self, cluster: &FileCluster, name: &str) -> Result<String, FileError> {
        let user = if cluster.direct.is_some() {
            name
        } else {
            DEFAULT_ENTRY
        };
        let host = self.spec.server.host.as_str();
        self.add_target(Target {
            name: name.to_owned(),
            server: format!("https://{host}/k8s/clusters/{}", cluster.id),
            ca_data: self.server_ca_data.clone(),
            user: user.to_owned(),
        });
        let Some(direct) = &cluster.direct else {
            return Ok(name.to_owned());
        };
        self.add_user(name, Some(&cluster.id))?;
        let preferred = match direct {
            DirectEndpoint::Fqdn { fqdn, ca_data } => Some(self.add_fqdn(name, fqdn, ca_data)),
            DirectEndpoint::Nodes { nodes, ca_data } => {
                let prefix = format!("{}-", cluster.plain_name());
                self.add_nodes(name, &prefix, nodes, ca_data)
            }
        };
        Ok(preferred.unwrap_or_else(|| name.to_owned()))
    }

    fn add_fqdn(&mut self, cluster: &str, fqdn: &str, ca_data: &str) -> String {
        let name = self.names.claim(&format!("{cluster}-fqdn"), "direct");
        self.add_target(Target {
            name: name.clone(),
            server: format!("https://{fqdn}"),
            ca_data: ca_data.to_owned(),
            user: cluster.to_owned(),
        });
        name
    }

    /// Adds an entry per node, named without `prefix` if the hostname has it already. The context
    /// of the first node that is ready is returned.
    fn add_nodes(
        &mut self,
        cluster: &str,
        prefix: &str,
        nodes: &[ControlPlaneNode],
        ca_data: &str,
    ) -> Option<String> {
        let mut first_ready = None;
        for node in nodes {
            let short = node.hostname.strip_prefix(prefix).unwrap_or(&node.hostname);
            let name = self.names.claim(&format!("{cluster}-{short}"), "direct");
            if node.is_ready && first_ready.is_none() {
                first_ready = Some(name.clone());
            }
            self.add_target(Target {
                name,
                server: node.url.clone(),
                ca_data: ca_data.to_owned(),
                user: cluster.to_owned(),
            });
        }
        first_ready
    }

    fn add_target(&mut self, target: Target) {
        self.entries.targets.push(target);
    }

    /// Adds a user with the token of the given cluster, or the shared one.
    fn add_user(&mut self, name: &str, cluster: Option<&str>) -> Result<(), FileError> {
        let credential = match self.spec.credentials {
            Credentials::Exec(version) => {
                Credential::Exec(Exec::new(*version, self.spec.server.host.as_str(), cluster))
            }
            Credentials::Tokens(tokens) => {
                let token = match cluster {
                    Some(id) => tokens.by_cluster.get(id),
                    None => tokens.shared.as_ref(),
                };
                let missing = || FileError::MissingToken {
                    user: name.to_owned(),
                };
                Credential::Token(token.ok_or_else(missing)?)
            }
        };
        self.entries.users.push(User {
            name: name.to_owned(),
            credential,
        });
        Ok(())
    }
}
