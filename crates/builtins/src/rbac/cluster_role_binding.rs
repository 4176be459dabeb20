//! `clusterrolebindings` (`pkg/registry/rbac/clusterrolebinding`).

use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Write};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use auth::rbac::escalation::changes_only_garbage_collection;
use auth::rbac::validation::{
    default_role_ref, default_subjects, validate_cluster_role_binding, validate_role_ref_update,
};
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use machinery::decode::protobuf::Message;
use machinery::field::ErrorList;
use machinery::status::Status;
use machinery::table::Column;
use machinery::validation::NameRule;
use serde_json::Value;

use super::authority::Authority;
use super::{VERSION, binding_cells};
use crate::protobuf;

/// Returns the description of the kind.
pub fn description() -> Description {
    Description {
        group: auth::rbac::GROUP,
        version: VERSION,
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        singular: "clusterrolebinding",
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: Verb::ALL,
        subresources: &[],
        schema: KindSchema::of::<ClusterRoleBinding>(),
    }
}

/// The index of the kind, which has no field selectors.
pub const INDEX: Index<ClusterRoleBinding> = Index::NONE;

/// The strategy of ClusterRoleBindings.
#[derive(Clone)]
pub struct ClusterRoleBindings {
    registry: Registry<ClusterRoleBinding>,
    authority: Authority,
}

impl ClusterRoleBindings {
    /// Creates the strategy for these objects.
    pub fn new(registry: Registry<ClusterRoleBinding>, authority: Authority) -> Self {
        Self {
            registry,
            authority,
        }
    }
}

#[async_trait]
impl Resource for ClusterRoleBindings {
    type Object = ClusterRoleBinding;

    fn registry(&self) -> &Registry<ClusterRoleBinding> {
        &self.registry
    }

    fn protobuf(&self) -> Option<&'static Message> {
        Some(&protobuf::CLUSTER_ROLE_BINDING)
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn columns(&self) -> &[Column] {
        &binding_cells::COLUMNS
    }

    fn cells(&self, object: &ClusterRoleBinding, now: Timestamp) -> Vec<Value> {
        binding_cells::cells(
            &object.metadata,
            &object.role_ref,
            object.subjects.as_ref(),
            now,
        )
    }

    fn prepare_create(
        &self,
        _: &RequestContext,
        object: &mut ClusterRoleBinding,
    ) -> Result<(), Status> {
        complete(object);
        Ok(())
    }

    fn prepare_update(
        &self,
        _: &RequestContext,
        object: &mut ClusterRoleBinding,
        _: &ClusterRoleBinding,
    ) -> Result<(), Status> {
        complete(object);
        Ok(())
    }

    fn validate(
        &self,
        object: &ClusterRoleBinding,
        live: Option<&ClusterRoleBinding>,
    ) -> ErrorList {
        let mut found = validate_cluster_role_binding(object);
        if let Some(live) = live {
            found.extend(validate_role_ref_update(&object.role_ref, &live.role_ref));
        }
        found
    }

    async fn admit(
        &self,
        cx: &RequestContext,
        write: Write<'_, ClusterRoleBinding>,
    ) -> Result<(), Status> {
        let object = match write {
            Write::Create(object) => object,
            Write::Update { object, live } if changes_only_garbage_collection(object, live) => {
                return Ok(());
            }
            Write::Update { object, .. } => object,
            Write::Delete(_) => return Ok(()),
        };
        let resource = self.registry.group_resource();
        self.authority
            .binding(cx, resource, &object.metadata, &object.role_ref)
            .await
    }
}

fn complete(object: &mut ClusterRoleBinding) {
    default_role_ref(&mut object.role_ref);
    default_subjects(object.subjects.as_deref_mut().unwrap_or_default());
}
