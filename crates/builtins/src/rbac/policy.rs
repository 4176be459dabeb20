//! The policy of the moment, made of the stored roles and bindings.
//!
//! Every decision asks whether one of the four collections has changed since the policy was made:
//! four look-ups of a number. Only then it is made anew, once, by whoever notices first; others
//! wait for it rather than decide by the old one.

use std::sync::{Arc, Mutex, PoisonError};

use apiserver::registry::Registry;
use arc_swap::ArcSwap;
use auth::rbac::{Policy, PolicySource};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use storage::Revision;

use super::aggregation;

/// Where roles and bindings are.
#[derive(Clone)]
pub struct RbacRegistries {
    /// Roles of the whole server.
    pub cluster_roles: Registry<ClusterRole>,
    /// Roles of one namespace.
    pub roles: Registry<Role>,
    /// Bindings that hold everywhere.
    pub cluster_role_bindings: Registry<ClusterRoleBinding>,
    /// Bindings that hold in one namespace.
    pub role_bindings: Registry<RoleBinding>,
}

/// The policy of the moment.
pub struct RbacPolicy {
    registries: RbacRegistries,
    built: ArcSwap<Built>,
    building: Mutex<()>,
}

/// The last change of each of the four collections.
type Versions = [Revision; 4];

struct Built {
    /// `None` before the first decision.
    at: Option<Versions>,
    policy: Arc<Policy>,
}

impl RbacPolicy {
    /// Made of these objects.
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
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(policy) = self.current() {
            return policy;
        }
        // Read before the objects: a change in between makes the next decision build again.
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
            self.cluster_roles.collection().view().last_change(),
            self.roles.collection().view().last_change(),
            self.cluster_role_bindings.collection().view().last_change(),
            self.role_bindings.collection().view().last_change(),
        ]
    }

    fn build(&self) -> Policy {
        let mut cluster_roles = self.cluster_roles.all_cached();
        aggregation::fill(&mut cluster_roles);
        Policy::build(
            &cluster_roles,
            &self.roles.all_cached(),
            &self.cluster_role_bindings.all_cached(),
            &self.role_bindings.all_cached(),
        )
    }
}
