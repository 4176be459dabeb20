//! Whether somebody may grant what a role or binding grants: `auth::rbac::escalation`, as a status.

use std::sync::Arc;

use apiserver::request_context::RequestContext;
use auth::rbac::escalation::{EscalationCheck, EscalationError, RoleWrite};
use auth::rbac::{PolicySource, RoleRefError};
use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef};
use machinery::meta::{GroupResource, ObjectMeta};
use machinery::status::Status;

/// Decides what may be granted, by the policy of the moment.
#[derive(Clone)]
pub struct Authority {
    policy: Arc<dyn PolicySource>,
}

/// What a role that is to be written grants.
pub(super) struct Granted<'a> {
    pub(super) rules: &'a [PolicyRule],
    /// Whether it gathers, or gathered, the rules of other roles.
    pub(super) aggregates: bool,
}

impl Authority {
    /// By this policy.
    pub fn new(policy: Arc<dyn PolicySource>) -> Self {
        Self { policy }
    }

    /// Whether the caller may write a role with these rules.
    ///
    /// # Errors
    /// 403 where they grant what the caller does not hold.
    pub(super) async fn role(
        &self,
        cx: &RequestContext,
        (resource, metadata): (&GroupResource, &ObjectMeta),
        granted: Granted<'_>,
    ) -> Result<(), Status> {
        let policy = self.policy.policy();
        let check = EscalationCheck {
            user: &cx.user,
            authorizer: &*cx.authorizer,
            policy: &policy,
        };
        let write = RoleWrite {
            resource: &resource.resource,
            namespace: metadata.namespace.as_deref().unwrap_or_default(),
            name: cx
                .info
                .resource
                .as_ref()
                .map_or("", |resource| &resource.name),
            rules: granted.rules,
            aggregates: granted.aggregates,
        };
        let checked = check.role(&write).await;
        checked.map_err(|error| status(error, resource, metadata))
    }

    /// Whether the caller may bind this role.
    ///
    /// # Errors
    /// 403 where it grants what the caller does not hold, 404 where there is no such role and the
    /// caller may not bind it unseen.
    pub(super) async fn binding(
        &self,
        cx: &RequestContext,
        (resource, metadata): (&GroupResource, &ObjectMeta),
        role: &RoleRef,
    ) -> Result<(), Status> {
        let policy = self.policy.policy();
        let check = EscalationCheck {
            user: &cx.user,
            authorizer: &*cx.authorizer,
            policy: &policy,
        };
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let checked = check.binding(role, namespace).await;
        checked.map_err(|error| status(error, resource, metadata))
    }
}

fn status(error: EscalationError, resource: &GroupResource, metadata: &ObjectMeta) -> Status {
    let name = metadata.name.as_deref().unwrap_or_default();
    match error {
        EscalationError::Forbidden(text) => Status::forbidden(resource, name, &text),
        EscalationError::RoleRef(RoleRefError::NotFound { resource, name }) => {
            Status::not_found(&GroupResource::new(auth::rbac::GROUP, resource), &name)
        }
        EscalationError::RoleRef(error @ RoleRefError::UnsupportedKind { .. }) => {
            Status::bad_request(error.to_string())
        }
    }
}
