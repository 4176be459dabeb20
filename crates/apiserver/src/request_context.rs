//! The context of a request. It is the only type that carries the identity of the caller.

use std::sync::Arc;

use auth::{Attributes, Authorizer, Decision, Login, UserInfo};
use machinery::field_selector::FieldSelector;
use machinery::label_selector::LabelSelector;
use machinery::status::Status;
use machinery::time::Clock;
use machinery::warning::Warnings;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::lease::{Lease, Leases};
use crate::query::Query;
use crate::request_info::RequestInfo;

/// The context of a request, which every filter and handler gets.
#[derive(Clone)]
pub struct RequestContext {
    /// The parsed method, path and query of the request.
    pub info: Arc<RequestInfo>,
    /// The query parameters.
    pub(crate) query: Arc<Query>,
    /// The user after impersonation; empty before authentication.
    pub user: Arc<UserInfo>,
    /// The authenticated user. It is the same as `user` unless the caller impersonates another
    /// user.
    pub authenticated: Arc<UserInfo>,
    /// The login that proved the authenticated user, or `None` for a credential of this server.
    pub login: Option<Arc<Login>>,
    /// The ID of the request in logs, sent in the `Audit-ID` response header.
    pub audit_id: Arc<str>,
    /// The `User-Agent` header of the client.
    pub user_agent: Arc<str>,
    /// The host that the client addressed. The client chooses it, so it is only a hint.
    pub host: Arc<str>,
    /// The authorizer for the requests of the caller.
    pub authorizer: Arc<dyn Authorizer>,
    /// The source of the current time.
    pub clock: Arc<dyn Clock>,
    /// The function that returns the lease of a caller.
    pub(crate) leases: Leases,
    /// The token that is cancelled when the server is shutting down, which ends the watches.
    pub shutdown: CancellationToken,
    /// The warnings to send with the response.
    pub warnings: Arc<Mutex<Warnings>>,
}

impl RequestContext {
    /// Adds a `Warning` header to the response, for something that does not fail the request.
    pub fn warn(&self, text: &str) {
        self.warnings.lock().add(text);
    }

    /// Returns the values of the `Warning` headers so far.
    pub fn warning_headers(&self) -> Vec<String> {
        self.warnings.lock().header_values().collect()
    }

    /// Returns the lease of the authenticated user.
    pub(crate) fn lease(&self) -> Lease {
        (self.leases)(&self.authenticated)
    }

    /// Returns the attributes of this request for an authorizer.
    pub fn attributes(&self) -> Attributes {
        let selector = |name| self.info.selects().then(|| self.query.text(name)).flatten();
        // The handler rejects a malformed selector. Until then, it selects everything.
        let fields = selector("fieldSelector").map(FieldSelector::parse);
        let labels = selector("labelSelector").map(LabelSelector::parse);
        Attributes {
            field_selector: fields.and_then(Result::ok).unwrap_or_default(),
            label_selector: labels.and_then(Result::ok).unwrap_or_default(),
            ..self.info.attributes()
        }
    }

    /// Returns whether the caller may do this.
    ///
    /// # Errors
    /// 500 if no authorizer could decide. An error is never treated as allowed.
    pub async fn may(&self, attributes: &Attributes) -> Result<bool, Status> {
        let decision = self.decide(attributes).await?;
        Ok(decision.is_allowed())
    }

    /// Returns the decision whether the caller may do this, with its reason.
    ///
    /// # Errors
    /// The same as those of [`RequestContext::may`].
    pub(crate) async fn decide(&self, attributes: &Attributes) -> Result<Decision, Status> {
        decide(&*self.authorizer, &self.user, attributes).await
    }
}

/// Returns the decision of an authorizer whether a user may do this.
///
/// # Errors
/// 500 if it could not decide. An error is never treated as allowed.
pub async fn decide(
    authorizer: &dyn Authorizer,
    user: &UserInfo,
    attributes: &Attributes,
) -> Result<Decision, Status> {
    let decision = authorizer.authorize(user, attributes).await;
    decision.map_err(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, user = user.name, "authorization failed");
        Status::internal("the request could not be authorized; try again")
    })
}
