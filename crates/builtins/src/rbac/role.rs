//! `roles` (`pkg/registry/rbac/role`).

use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Write};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use auth::rbac::escalation::changes_only_garbage_collection;
use auth::rbac::validation::validate_role;
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::Role;
use machinery::decode::protobuf::Message;
use machinery::field::ErrorList;
use machinery::status::Status;
use machinery::table::Column;
use machinery::validation::NameRule;
use serde_json::Value;

use super::authority::{Authority, Granted};
use super::{ROLE_COLUMNS, VERSION, role_cells};
use crate::namespace::NamespaceLifecycle;
use crate::protobuf;

/// Returns the description of the kind.
pub fn description() -> Description {
    Description {
        group: auth::rbac::GROUP,
        version: VERSION,
        kind: "Role",
        plural: "roles",
        singular: "role",
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: Verb::ALL,
        subresources: &[],
        schema: KindSchema::of::<Role>(),
    }
}

/// The index of the kind, which has no field selectors.
pub const INDEX: Index<Role> = Index::NONE;

/// The strategy of Roles.
#[derive(Clone)]
pub struct Roles {
    registry: Registry<Role>,
    authority: Authority,
    lifecycle: NamespaceLifecycle,
}

impl Roles {
    /// Creates the strategy for these objects.
    pub fn new(
        registry: Registry<Role>,
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
impl Resource for Roles {
    type Object = Role;

    fn registry(&self) -> &Registry<Role> {
        &self.registry
    }

    fn protobuf(&self) -> Option<&'static Message> {
        Some(&protobuf::ROLE)
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn columns(&self) -> &[Column] {
        &ROLE_COLUMNS
    }

    fn cells(&self, object: &Role, _: Timestamp) -> Vec<Value> {
        role_cells(&object.metadata)
    }

    fn validate(&self, object: &Role, _: Option<&Role>) -> ErrorList {
        validate_role(object)
    }

    async fn admit(&self, cx: &RequestContext, write: Write<'_, Role>) -> Result<(), Status> {
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
        let rules = object.rules.as_deref().unwrap_or_default();
        self.authority
            .role(
                cx,
                resource,
                &object.metadata,
                Granted {
                    rules,
                    aggregates: false,
                },
            )
            .await
    }

    async fn create(
        &self,
        _: &RequestContext,
        object: Role,
        dry_run: bool,
    ) -> Result<Role, Status> {
        self.lifecycle.insert(&self.registry, object, dry_run).await
    }
}
