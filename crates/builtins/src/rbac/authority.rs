//! The check that a caller may grant the permissions of a role or binding:
//! `auth::rbac::escalation`, with a status as its error.

use std::sync::Arc;

use apiserver::request_context::RequestContext;
use auth::rbac::escalation::{EscalationCheck, EscalationError, RoleWrite};
use auth::rbac::{PolicySource, RoleRefError};
use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef};
use machinery::meta::{GroupResource, MetadataExt, ObjectMeta};
use machinery::status::Status;

/// Decides which permissions may be granted, according to the current policy.
#[derive(Clone)]
pub struct Authority {
    policy: Arc<dyn PolicySource>,
}

/// The permissions of a role that is to be written.
pub(super) struct Granted<'a> {
    pub(super) rules: &'a [PolicyRule],
    /// True if the role aggregates, or aggregated, the rules of other roles.
    pub(super) aggregates: bool,
}

impl Authority {
    /// Creates the check for this policy.
    pub fn new(policy: Arc<dyn PolicySource>) -> Self {
        Self { policy }
    }

    /// Checks that the caller may write a role with these rules.
    ///
    /// # Errors
    /// 403 if they grant permissions that the caller does not hold.
    pub(super) async fn role(
        &self,
        cx: &RequestContext,
        resource: &GroupResource,
        metadata: &ObjectMeta,
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
            namespace: metadata.namespace(),
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

    /// Checks that the caller may bind this role.
    ///
    /// # Errors
    /// 403 if it grants permissions that the caller does not hold; 404 if there is no such role and
    /// the caller lacks the verb `bind` on it.
    pub(super) async fn binding(
        &self,
        cx: &RequestContext,
        resource: &GroupResource,
        metadata: &ObjectMeta,
        role: &RoleRef,
    ) -> Result<(), Status> {
        let policy = self.policy.policy();
        let check = EscalationCheck {
            user: &cx.user,
            authorizer: &*cx.authorizer,
            policy: &policy,
        };
        let namespace = metadata.namespace();
        let checked = check.binding(role, namespace).await;
        checked.map_err(|error| status(error, resource, metadata))
    }
}

fn status(error: EscalationError, resource: &GroupResource, metadata: &ObjectMeta) -> Status {
    let name = metadata.name();
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
