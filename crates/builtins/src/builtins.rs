//! All kinds of this crate together.

use std::sync::Arc;

use apiserver::Builder;
use apiserver::description::Scope;
use apiserver::registry::{Registries, Registry};
use auth::rbac::defaults;
use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use machinery::status::Status;
use machinery::time::Clock;
use tokio_util::sync::CancellationToken;

use crate::access_review::{
    LocalSubjectAccessReviews, SelfSubjectAccessReviews, SelfSubjectRulesReviews,
    SubjectAccessReviews,
};
use crate::any_resource::AnyResource;
use crate::bootstrap;
use crate::config_map::{self, ConfigMaps};
use crate::garbage_collector::GarbageCollector;
use crate::namespace::{self, NamespaceEmptier, NamespaceLifecycle, Namespaces};
use crate::rbac::cluster_role::{self, ClusterRoles};
use crate::rbac::cluster_role_binding::{self, ClusterRoleBindings};
use crate::rbac::role::{self, Roles};
use crate::rbac::role_binding::{self, RoleBindings};
use crate::rbac::{self, Authority, RbacPolicy, RbacRegistries};
use crate::secret::{self, Secrets};
use crate::self_subject_review::SelfSubjectReviews;

/// Namespaces that a server creates at its start.
const NAMESPACES: [&str; 3] = ["default", "kube-system", "kube-public"];

/// The stored kinds of this crate.
#[derive(Clone)]
pub struct Builtins {
    /// The namespaces.
    pub namespaces: Registry<Namespace>,
    /// The Secrets.
    pub secrets: Registry<Secret>,
    /// The ConfigMaps.
    pub config_maps: Registry<ConfigMap>,
    /// The roles and bindings.
    pub rbac: RbacRegistries,
    policy: Arc<RbacPolicy>,
}

impl Builtins {
    /// Adds all stored kinds to a server.
    pub fn register(registries: &mut Registries) -> Self {
        let rbac = RbacRegistries {
            cluster_roles: registries.add(cluster_role::description(), cluster_role::INDEX),
            roles: registries.add(role::description(), role::INDEX),
            cluster_role_bindings: registries.add(
                cluster_role_binding::description(),
                cluster_role_binding::INDEX,
            ),
            role_bindings: registries.add(role_binding::description(), role_binding::INDEX),
        };
        Self {
            namespaces: registries.add(namespace::description(), namespace::INDEX),
            secrets: registries.add(secret::description(), secret::INDEX),
            config_maps: registries.add(config_map::description(), config_map::INDEX),
            policy: Arc::new(RbacPolicy::new(rbac.clone())),
            rbac,
        }
    }

    /// Returns the source of the current policy, for `auth::rbac::RbacAuthorizer`.
    pub fn policy(&self) -> Arc<RbacPolicy> {
        Arc::clone(&self.policy)
    }

    /// Returns the admission check for objects of other namespaced kinds in these namespaces.
    pub fn lifecycle(&self) -> NamespaceLifecycle {
        NamespaceLifecycle::new(self.namespaces.clone())
    }

    /// Serves all kinds of this crate.
    #[must_use]
    pub fn serve(&self, builder: Builder) -> Builder {
        builder
            .resource(self.namespaces())
            .resource(self.secrets())
            .resource(self.config_maps())
            .resource(self.cluster_roles())
            .resource(self.roles())
            .resource(self.cluster_role_bindings())
            .resource(self.role_bindings())
            .review(SelfSubjectReviews::new())
            .review(SelfSubjectAccessReviews::new())
            .review(SelfSubjectRulesReviews::new())
            .review(SubjectAccessReviews::new())
            .review(LocalSubjectAccessReviews::new())
    }

    /// Creates the initial objects of a new server: namespaces, the roles and bindings of
    /// Kubernetes, and the given ones.
    ///
    /// # Errors
    /// 503 if the store does not answer.
    pub async fn bootstrap(
        &self,
        roles: Vec<ClusterRole>,
        bindings: Vec<ClusterRoleBinding>,
    ) -> Result<(), Status> {
        let (stored, bound) = (&self.rbac.cluster_roles, &self.rbac.cluster_role_bindings);
        let roles = defaults::cluster_roles().into_iter().chain(roles);
        let bindings = defaults::cluster_role_bindings()
            .into_iter()
            .chain(bindings);
        // All objects of a kind are written concurrently, so that the store commits them together.
        try_join_all(NAMESPACES.map(|name| bootstrap::namespace(&self.namespaces, name))).await?;
        try_join_all(roles.map(|role| bootstrap::cluster_role(stored, role))).await?;
        try_join_all(bindings.map(|one| bootstrap::cluster_role_binding(bound, one))).await?;
        Ok(())
    }

    /// Runs the background tasks until `shutdown`: the rules of aggregated roles, the deletion of
    /// namespaces, and garbage collection. `others` are the served kinds that are not in this
    /// crate.
    pub async fn run(
        &self,
        others: Vec<Arc<dyn AnyResource>>,
        clock: Arc<dyn Clock>,
        shutdown: CancellationToken,
    ) {
        let mut kinds = self.all();
        kinds.extend(others);
        let is_namespaced =
            |kind: &&Arc<dyn AnyResource>| kind.description().scope == Scope::Namespaced;
        let contents = kinds.iter().filter(is_namespaced).map(Arc::clone).collect();
        let emptier = NamespaceEmptier::new(self.namespaces(), contents);
        let collector = GarbageCollector::new(kinds, clock);
        tokio::join!(
            rbac::aggregation::run(self.rbac.cluster_roles.clone(), shutdown.clone()),
            emptier.run(shutdown.clone()),
            collector.run(shutdown),
        );
    }

    fn all(&self) -> Vec<Arc<dyn AnyResource>> {
        vec![
            Arc::new(self.namespaces()),
            Arc::new(self.secrets()),
            Arc::new(self.config_maps()),
            Arc::new(self.cluster_roles()),
            Arc::new(self.roles()),
            Arc::new(self.cluster_role_bindings()),
            Arc::new(self.role_bindings()),
        ]
    }

    fn authority(&self) -> Authority {
        Authority::new(self.policy())
    }

    fn namespaces(&self) -> Namespaces {
        Namespaces::new(self.namespaces.clone())
    }

    fn secrets(&self) -> Secrets {
        Secrets::new(self.secrets.clone(), self.lifecycle())
    }

    fn config_maps(&self) -> ConfigMaps {
        ConfigMaps::new(self.config_maps.clone(), self.lifecycle())
    }

    fn cluster_roles(&self) -> ClusterRoles {
        ClusterRoles::new(self.rbac.cluster_roles.clone(), self.authority())
    }

    fn roles(&self) -> Roles {
        Roles::new(self.rbac.roles.clone(), self.authority(), self.lifecycle())
    }

    fn cluster_role_bindings(&self) -> ClusterRoleBindings {
        ClusterRoleBindings::new(self.rbac.cluster_role_bindings.clone(), self.authority())
    }

    fn role_bindings(&self) -> RoleBindings {
        RoleBindings::new(
            self.rbac.role_bindings.clone(),
            self.authority(),
            self.lifecycle(),
        )
    }
}
