//! Everything that is known of a request while it is served: the one type that carries the caller's
//! identity.

use std::sync::{Arc, Mutex, PoisonError};

use auth::{Attributes, Authorizer, Decision, Target, UserInfo};
use machinery::field_selector::FieldSelector;
use machinery::label_selector::LabelSelector;
use machinery::status::Status;
use machinery::time::Clock;
use machinery::warning::Warnings;
use tokio_util::sync::CancellationToken;

use crate::lease::{Lease, Leases};
use crate::query::Query;
use crate::request_info::RequestInfo;

/// What is known of a request while it is served; the one extension that our filters and handlers
/// read.
#[derive(Clone)]
pub struct RequestContext {
    /// What it asks for.
    pub info: Arc<RequestInfo>,
    /// Its query.
    pub(crate) query: Arc<Query>,
    /// Who asks, after impersonation; nobody before authentication.
    pub user: Arc<UserInfo>,
    /// The caller who authenticated: the same as `user` unless that is impersonated.
    pub authenticated: Arc<UserInfo>,
    /// Its identity in logs, echoed as `Audit-ID`.
    pub audit_id: Arc<str>,
    /// Product and version of the client, as it says.
    pub user_agent: Arc<str>,
    /// Host that the client addressed, as it says: never to be trusted for more than a hint.
    pub host: Arc<str>,
    /// Decides what the caller may do.
    pub authorizer: Arc<dyn Authorizer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Gives the lease of the caller.
    pub(crate) leases: Leases,
    /// Cancelled when the server stops: watches end.
    pub shutdown: CancellationToken,
    /// What the client is told beside the answer.
    pub warnings: Arc<Mutex<Warnings>>,
}

impl RequestContext {
    /// Tells the client something that did not stop the request: a `Warning` header.
    pub fn warn(&self, text: &str) {
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(text);
    }

    /// The `Warning` header values so far.
    pub fn warning_headers(&self) -> Vec<String> {
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .header_values()
            .collect()
    }

    /// The lease of the identity that authenticated.
    pub(crate) fn lease(&self) -> Lease {
        (self.leases)(&self.authenticated)
    }

    /// What the request itself wants to do, as an authorizer is asked.
    pub fn attributes(&self) -> Attributes {
        let target = match &self.info.resource {
            Some(resource) => Target::Resource {
                group: resource.group.clone(),
                version: resource.version.clone(),
                resource: resource.resource.clone(),
                subresource: resource.subresource.clone(),
                namespace: resource.namespace.clone(),
                name: resource.name.clone(),
            },
            None => Target::Path(self.info.path.clone()),
        };
        let selector = |name| self.info.selects().then(|| self.query.text(name)).flatten();
        // One that cannot be read is refused when it is used; until then it narrows nothing.
        let fields = selector("fieldSelector").map(FieldSelector::parse);
        let labels = selector("labelSelector").map(LabelSelector::parse);
        Attributes {
            verb: self.info.verb.clone(),
            target,
            field_selector: fields.and_then(Result::ok).unwrap_or_default(),
            label_selector: labels.and_then(Result::ok).unwrap_or_default(),
        }
    }

    /// Whether the caller may do this.
    ///
    /// # Errors
    /// 500 where nobody could decide: never taken for a yes.
    pub async fn may(&self, attributes: &Attributes) -> Result<bool, Status> {
        match self.authorizer.authorize(&self.user, attributes).await {
            Ok(Decision::Allow { .. }) => Ok(true),
            Ok(Decision::Deny { .. } | Decision::NoOpinion { .. }) => Ok(false),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, user = self.user.name, "authorization failed");
                Err(Status::internal(
                    "the authorizer could not decide; try again",
                ))
            }
        }
    }
}
