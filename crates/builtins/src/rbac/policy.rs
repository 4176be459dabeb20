//! The current policy, built from the stored roles and bindings.

use std::sync::Arc;

use apiserver::registry::{Registry, Snapshot};
use auth::rbac::{Policy, PolicySource};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use storage::Revision;

use super::aggregation;

/// The registries of roles and bindings.
#[derive(Clone)]
pub struct RbacRegistries {
    /// The roles of the whole server.
    pub cluster_roles: Registry<ClusterRole>,
    /// The roles of one namespace.
    pub roles: Registry<Role>,
    /// The bindings that apply to the whole server.
    pub cluster_role_bindings: Registry<ClusterRoleBinding>,
    /// The bindings that apply to one namespace.
    pub role_bindings: Registry<RoleBinding>,
}

/// The current policy.
pub struct RbacPolicy {
    registries: RbacRegistries,
    built: Snapshot<Versions, Policy>,
}

/// The last change of each of the four collections.
type Versions = [Revision; 4];

impl RbacPolicy {
    /// Creates the policy of these objects.
    pub fn new(registries: RbacRegistries) -> Self {
        Self {
            registries,
            built: Snapshot::new(),
        }
    }
}

impl PolicySource for RbacPolicy {
    fn policy(&self) -> Arc<Policy> {
        let registries = &self.registries;
        self.built
            .current(|| registries.versions(), || registries.build())
    }
}

impl RbacRegistries {
    fn versions(&self) -> Versions {
        [
            self.cluster_roles.cache().view().last_change(),
            self.roles.cache().view().last_change(),
            self.cluster_role_bindings.cache().view().last_change(),
            self.role_bindings.cache().view().last_change(),
        ]
    }

    fn build(&self) -> Policy {
        let mut cluster_roles = self.cluster_roles.cache().all();
        aggregation::fill(&mut cluster_roles);
        Policy::build(
            &cluster_roles,
            &self.roles.cache().all(),
            &self.cluster_role_bindings.cache().all(),
            &self.role_bindings.cache().all(),
        )
    }
}
