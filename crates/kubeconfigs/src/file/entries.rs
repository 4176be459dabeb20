//! The entries of a file: their layout, their names, and the current one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use api::management::cluster::LOCAL;
use api::plugin::{ExecClusterConfig, OidcLogin};
use signing::jwt::audience;
use signing::secret::Bearer;

use super::exec::{Exec, Wanted};
use super::names::Names;
use super::{
    ControlPlaneNode, Credentials, DEFAULT_ENTRY, DirectEndpoint, ExecCredentials, FileCluster,
    FileError, FileSpec, MANAGED_USER, Tokens,
};

/// The entries of a file.
pub(super) struct Entries<'a> {
    /// The targets. Each is a cluster and the context of the same name.
    pub(super) targets: Vec<Target>,
    /// The users, in the order in which the targets first name them.
    pub(super) users: Vec<User<'a>>,
    /// The namespace of every context. Empty for none.
    pub(super) namespace: &'a str,
    /// The name of the current target. Empty for none.
    pub(super) current_context: String,
}

/// A cluster entry and its context.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) server: String,
    /// `certificate-authority-data`. Empty for the certificate authorities of the user's machine.
    pub(super) ca_data: String,
    pub(super) user: String,
    /// The extension that the plugin reads, if the user runs the plugin.
    pub(super) exec: Option<ExecClusterConfig>,
}

/// A user entry.
pub(super) struct User<'a> {
    pub(super) name: String,
    pub(super) credential: Credential<'a>,
}

/// The credential of a user.
pub(super) enum Credential<'a> {
    Token(&'a Bearer),
    Exec(Exec),
}

impl<'a> Entries<'a> {
    /// Lays out the entries of a file. `current` is the cluster whose context is current.
    pub(super) fn collect(
        spec: &FileSpec<'a>,
        current: Option<&FileCluster>,
    ) -> Result<Entries<'a>, FileError> {
        let mut layout = Layout::new(spec);
        if let [cluster] = spec.clusters
            && let Some(url) = &cluster.managed
        {
            layout.add_managed(cluster, url)?;
            return Ok(layout.entries);
        }
        if layout.needs_shared_user() {
            layout.add_user(DEFAULT_ENTRY, None, false)?;
        }
        if spec.include_default_entry {
            layout.add_default_entry();
        }
        // Claim the clusters' own names first, so that no derived name takes one of them.
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

/// Entries under construction.
struct Layout<'s, 'a> {
    spec: &'s FileSpec<'a>,
    /// The credentials of exec mode, or `None` if the file holds tokens.
    exec: Option<&'a ExecCredentials>,
    server_ca_data: String,
    names: Names,
    entries: Entries<'a>,
}

/// The direct entries of a cluster, under construction.
struct Direct<'n> {
    /// The cluster's own name, which is the prefix of the entries' names.
    name: &'n str,
    /// A prefix that host names of nodes may already have. It is not repeated.
    prefix: String,
    /// The user of the entries.
    user: String,
    /// True if the cluster has no other entries.
    is_only_way: bool,
    exec: Option<ExecClusterConfig>,
}

impl<'s, 'a> Layout<'s, 'a> {
    fn new(spec: &'s FileSpec<'a>) -> Layout<'s, 'a> {
        Layout {
            spec,
            exec: match spec.credentials {
                Credentials::Exec(exec) => Some(exec),
                Credentials::Tokens(_) => None,
            },
            server_ca_data: STANDARD.encode(spec.server.ca_certs),
            names: Names::reserving(DEFAULT_ENTRY),
            entries: Entries {
                targets: Vec::new(),
                users: Vec::new(),
                namespace: spec.namespace,
                current_context: String::new(),
            },
        }
    }

    /// Returns whether the default entry, or a cluster without a credential of its own, needs the
    /// shared user.
    fn needs_shared_user(&self) -> bool {
        let mut clusters = self.spec.clusters.iter();
        self.spec.include_default_entry || clusters.any(|it| !self.has_own_credential(it))
    }

    fn tokens(&self) -> Option<&'a Tokens> {
        match self.spec.credentials {
            Credentials::Exec(_) => None,
            Credentials::Tokens(tokens) => Some(tokens),
        }
    }

    /// Returns whether a cluster has a credential of its own.
    fn has_own_credential(&self, cluster: &FileCluster) -> bool {
        self.tokens()
            .is_none_or(|tokens| tokens.by_cluster.contains_key(&cluster.id))
    }

    fn claim_name(&mut self, cluster: &FileCluster) -> String {
        self.names.claim(cluster.plain_name(), &cluster.id)
    }

    fn add_default_entry(&mut self) {
        self.add_target(Target {
            name: DEFAULT_ENTRY.to_owned(),
            server: self.server(),
            ca_data: self.server_ca_data.clone(),
            user: DEFAULT_ENTRY.to_owned(),
            exec: self.exec_config(LOCAL, None),
        });
        self.entries.current_context = DEFAULT_ENTRY.to_owned();
    }

    /// Adds the single entry of a cluster that is reached through its managed endpoint.
    fn add_managed(&mut self, cluster: &FileCluster, url: &str) -> Result<(), FileError> {
        let name = self.claim_name(cluster);
        self.add_target(Target {
            name: name.clone(),
            server: url.to_owned(),
            ca_data: self.server_ca_data.clone(),
            user: MANAGED_USER.to_owned(),
            exec: self.exec_config(&cluster.id, cluster.oidc.as_ref()),
        });
        let is_own = self.has_own_credential(cluster);
        let own = is_own.then_some(cluster.id.as_str());
        self.add_user(MANAGED_USER, own, false)?;
        self.entries.current_context = name;
        Ok(())
    }

    /// Adds all entries of a cluster, and returns the context to use.
    fn add_cluster(&mut self, cluster: &FileCluster, name: &str) -> Result<String, FileError> {
        let has_user = self.has_own_credential(cluster);
        let user = if has_user { name } else { DEFAULT_ENTRY };
        if !cluster.direct_only {
            self.add_target(Target {
                name: name.to_owned(),
                server: format!("{}/k8s/clusters/{}", self.server(), cluster.id),
                ca_data: self.server_ca_data.clone(),
                user: user.to_owned(),
                exec: self.exec_config(&cluster.id, cluster.oidc.as_ref()),
            });
        }
        // If all entries use certificates, no user with a token is needed.
        let is_used = !(cluster.direct_only && self.uses_certificates(cluster));
        if has_user && is_used {
            self.add_user(name, Some(&cluster.id), false)?;
        }
        let Some(endpoint) = &cluster.direct else {
            return Ok(name.to_owned());
        };
        let direct = Direct {
            name,
            prefix: format!("{}-", cluster.plain_name()),
            user: self.direct_user(cluster, name)?,
            is_only_way: cluster.direct_only,
            exec: self.exec_config(&cluster.id, cluster.oidc.as_ref()),
        };
        let preferred = match endpoint {
            DirectEndpoint::Fqdn { fqdn, ca_data } => Some(self.add_fqdn(direct, fqdn, ca_data)),
            DirectEndpoint::Nodes { nodes, ca_data } => self.add_nodes(&direct, nodes, ca_data),
        };
        Ok(preferred.unwrap_or_else(|| name.to_owned()))
    }

    fn uses_certificates(&self, cluster: &FileCluster) -> bool {
        self.exec.is_some() && cluster.client_certificates
    }

    /// Returns the user of the direct entries of a cluster: its own user, or an additional one for
    /// client certificates.
    fn direct_user(&mut self, cluster: &FileCluster, name: &str) -> Result<String, FileError> {
        if !self.uses_certificates(cluster) {
            return Ok(name.to_owned());
        }
        let user = self
            .names
            .claim(&format!("{name}-certificate"), &cluster.id);
        self.add_user(&user, Some(&cluster.id), true)?;
        Ok(user)
    }

    fn add_fqdn(&mut self, direct: Direct<'_>, fqdn: &str, ca_data: &str) -> String {
        let name = self.names.claim(&format!("{}-fqdn", direct.name), "direct");
        self.add_target(Target {
            name: name.clone(),
            server: format!("https://{fqdn}"),
            ca_data: ca_data.to_owned(),
            user: direct.user,
            exec: direct.exec,
        });
        name
    }

    /// Adds an entry per node. The prefix of a host name that already starts with it is not
    /// repeated. Returns the context of the first node that is ready. If the cluster has no other
    /// entries, returns the context of the first node.
    fn add_nodes(
        &mut self,
        direct: &Direct<'_>,
        nodes: &[ControlPlaneNode],
        ca_data: &str,
    ) -> Option<String> {
        let mut preferred = None;
        for node in nodes {
            let hostname = &node.hostname;
            let short = hostname.strip_prefix(&direct.prefix).unwrap_or(hostname);
            let name = self
                .names
                .claim(&format!("{}-{short}", direct.name), "direct");
            if (node.is_ready || direct.is_only_way) && preferred.is_none() {
                preferred = Some(name.clone());
            }
            self.add_target(Target {
                name,
                server: node.url.clone(),
                ca_data: ca_data.to_owned(),
                user: direct.user.clone(),
                exec: direct.exec.clone(),
            });
        }
        preferred
    }

    fn add_target(&mut self, target: Target) {
        self.entries.targets.push(target);
    }

    /// Adds a user with a credential for the given cluster, or with the shared credential.
    fn add_user(
        &mut self,
        name: &str,
        cluster: Option<&str>,
        certificate: bool,
    ) -> Result<(), FileError> {
        let credential = match self.spec.credentials {
            Credentials::Exec(exec) => {
                let wanted = Wanted {
                    host: self.spec.server.host.as_str(),
                    kubeconfig: self.spec.record.name,
                    cluster,
                    certificate,
                };
                Credential::Exec(Exec::new(exec.version, &wanted))
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

    fn server(&self) -> String {
        format!("https://{}", self.spec.server.host.as_str())
    }

    /// Returns the configuration that the plugin needs for a cluster, or `None` if the file holds
    /// tokens.
    fn exec_config(&self, cluster: &str, oidc: Option<&OidcLogin>) -> Option<ExecClusterConfig> {
        let exec = self.exec?;
        Some(ExecClusterConfig {
            server: self.server(),
            certificate_authority_data: self.server_ca_data.clone(),
            kubeconfig: self.spec.record.name.to_owned(),
            cluster: cluster.to_owned(),
            audience: audience(&exec.issuer, cluster),
            oidc: oidc.cloned(),
        })
    }
}
