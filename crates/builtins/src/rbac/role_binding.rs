//! `rolebindings` (`pkg/registry/rbac/rolebinding`).

use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Write};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use auth::rbac::escalation::changes_only_garbage_collection;
use auth::rbac::validation::{
    default_role_ref, default_subjects, validate_role_binding, validate_role_ref_update,
};
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::RoleBinding;
use machinery::decode::protobuf::Message;
use machinery::field::ErrorList;
use machinery::status::Status;
use machinery::table::Column;
use machinery::validation::NameRule;
use serde_json::Value;

use super::authority::Authority;
use super::{VERSION, binding_cells};
use crate::namespace::NamespaceLifecycle;
use crate::protobuf;

/// Returns the description of the kind.
pub fn description() -> Description {
    Description {
        group: auth::rbac::GROUP,
        version: VERSION,
        kind: "RoleBinding",
        plural: "rolebindings",
        singular: "rolebinding",
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: Verb::ALL,
        subresources: &[],
        schema: KindSchema::of::<RoleBinding>(),
    }
}

/// The index of the kind, which has no field selectors.
pub const INDEX: Index<RoleBinding> = Index::NONE;

/// The strategy of RoleBindings.
#[derive(Clone)]
pub struct RoleBindings {
    registry: Registry<RoleBinding>,
    authority: Authority,
    lifecycle: NamespaceLifecycle,
}

impl RoleBindings {
    /// Creates the strategy for these objects.
    pub fn new(
        registry: Registry<RoleBinding>,
        authority: Authority,
        lifecycle: NamespaceLifecycle,
    ) -> Self {
        Self {
            registry,
            authority,
            lifecycle,
        }
    }
}

#[async_trait]
impl Resource for RoleBindings {
    type Object = RoleBinding;

    fn registry(&self) -> &Registry<RoleBinding> {
        &self.registry
    }

    fn protobuf(&self) -> Option<&'static Message> {
        Some(&protobuf::ROLE_BINDING)
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn columns(&self) -> &[Column] {
        &binding_cells::COLUMNS
    }

    fn cells(&self, object: &RoleBinding, now: Timestamp) -> Vec<Value> {
        binding_cells::cells(
            &object.metadata,
            &object.role_ref,
            object.subjects.as_ref(),
            now,
        )
    }

    fn prepare_create(&self, _: &RequestContext, object: &mut RoleBinding) -> Result<(), Status> {
        complete(object);
        Ok(())
    }

    fn prepare_update(
        &self,
        _: &RequestContext,
        object: &mut RoleBinding,
        _: &RoleBinding,
    ) -> Result<(), Status> {
        complete(object);
        Ok(())
    }

    fn validate(&self, object: &RoleBinding, live: Option<&RoleBinding>) -> ErrorList {
        let mut found = validate_role_binding(object);
        if let Some(live) = live {
            found.extend(validate_role_ref_update(&object.role_ref, &live.role_ref));
        }
        found
    }

    async fn admit(
        &self,
        cx: &RequestContext,
        write: Write<'_, RoleBinding>,
    ) -> Result<(), Status> {
        let object = match write {
            Write::Create(object) => {
                self.lifecycle.admit(&self.registry, object).await?;
                object
            }
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

    async fn create(
        &self,
        _: &RequestContext,
        object: RoleBinding,
        dry_run: bool,
    ) -> Result<RoleBinding, Status> {
        self.lifecycle.insert(&self.registry, object, dry_run).await
    }
}

fn complete(object: &mut RoleBinding) {
    default_role_ref(&mut object.role_ref);
    default_subjects(object.subjects.as_deref_mut().unwrap_or_default());
}
