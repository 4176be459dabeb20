//! The current policy, built from the stored roles and bindings.
//!
//! Every decision checks whether one of the four collections has changed since the policy was
//! built, which costs four lookups of a number. Only after a change, the policy is built again,
//! once, by the first caller that notices. Other callers wait for it rather than decide by the old
//! policy.

use std::sync::Arc;

use apiserver::registry::Registry;
use arc_swap::ArcSwap;
use auth::rbac::{Policy, PolicySource};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use parking_lot::Mutex;
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
    built: ArcSwap<Built>,
    building: Mutex<()>,
}

/// The last change of each of the four collections.
type Versions = [Revision; 4];

struct Built {
    /// The versions that the policy was built from, or `None` before the first decision.
    at: Option<Versions>,
    policy: Arc<Policy>,
}

impl RbacPolicy {
    /// Creates the policy of these objects.
    pub fn new(registries: RbacRegistries) -> Self {
        let nothing = Built {
            at: None,
            policy: Arc::default(),
        };
        Self {
            registries,
            built: ArcSwap::from_pointee(nothing),
            building: Mutex::new(()),
        }
    }

    fn current(&self) -> Option<Arc<Policy>> {
        let built = self.built.load();
        (built.at == Some(self.registries.versions())).then(|| Arc::clone(&built.policy))
    }
}

impl PolicySource for RbacPolicy {
    fn policy(&self) -> Arc<Policy> {
        if let Some(policy) = self.current() {
            return policy;
        }
        let _building = self.building.lock();
        if let Some(policy) = self.current() {
            return policy;
        }
        // The versions are read before the objects: after a change in between, the next decision
        // builds the policy again.
        let at = Some(self.registries.versions());
        let policy = Arc::new(self.registries.build());
        self.built.store(Arc::new(Built {
            at,
            policy: Arc::clone(&policy),
        }));
        policy
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
