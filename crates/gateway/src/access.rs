//! Impersonation by users: the cluster itself is asked, as the user, whether the user may do so.
//!
//! The gateway may impersonate every user there, so without this check every user could. Each part
//! of the requested identity is checked separately, as in kube-apiserver.
//!
//! Not every cluster permits the gateway to impersonate ServiceAccounts, uids and extra values:
//! older roles do not include ServiceAccounts, and no role lists all keys. So the gateway's own
//! permission is checked, too. Otherwise the cluster's refusal would blame an account that the user
//! does not know.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use apiserver::forbidden;
use auth::impersonation::Impersonation;
use auth::{Attributes, Identity, Target};
use axum::body::Body;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReviewSpec,
};
use machinery::meta::GroupResource;
use machinery::status::Status;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::request_headers::impersonate;
use crate::self_review;
use crate::status::unavailable;
use crate::upstream::Upstreams;
use crate::whole_body;

/// Time for which a positive answer is cached: one kubectl command makes several requests.
const TTL: Duration = Duration::from_secs(3);

/// Maximum number of cached answers.
const MAX_REMEMBERED: usize = 4096;

/// Maximum size of the answer to a review, in bytes.
const MAX_REVIEW: usize = 64 * 1024;

/// Checks with clusters which users may impersonate which identities.
pub(crate) struct Access {
    upstreams: Arc<Upstreams>,
    /// The positive answers, and the time until which each is valid.
    allowed: Mutex<HashMap<AccessCheck, Instant>>,
}

/// A check whether an account may do something at a cluster.
#[derive(Clone, PartialEq, Eq, Hash)]
struct AccessCheck {
    cluster: Box<str>,
    actor: Actor,
    attributes: Attributes,
}

/// The account that is checked.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Actor {
    User(Box<Identity>),
    /// The gateway itself.
    Gateway,
}

impl Access {
    /// Creates an empty cache.
    pub(crate) fn new(upstreams: Arc<Upstreams>) -> Self {
        Self {
            upstreams,
            allowed: Mutex::default(),
        }
    }

    /// Returns the identity that `user` asks to act as, if the cluster permits every part of it.
    ///
    /// # Errors
    /// 400 or 403 in the words of kube-apiserver, or the reason why the cluster did not answer.
    pub(crate) async fn impersonated(
        &self,
        cluster: &str,
        user: &Identity,
        requested: Impersonation,
    ) -> Result<Identity, Status> {
        let needed = requested.attributes();
        for attributes in needed.map_err(|error| Status::bad_request(error.to_string()))? {
            let user = Actor::User(Box::new(user.clone()));
            let gateway = gateway_may_lack(&attributes).then_some(Actor::Gateway);
            for actor in [Some(user), gateway].into_iter().flatten() {
                let check = AccessCheck {
                    cluster: cluster.into(),
                    actor,
                    attributes: attributes.clone(),
                };
                if !self.remembers(&check) {
                    self.review(&check).await?;
                    self.remember(check);
                }
            }
        }
        let identity = requested.asserted();
        identity.map_err(|error| Status::bad_request(error.to_string()))
    }

    fn remembers(&self, check: &AccessCheck) -> bool {
        let until = self.allowed.lock().get(check).copied();
        until.is_some_and(|until| Instant::now() < until)
    }

    fn remember(&self, check: AccessCheck) {
        let now = Instant::now();
        let mut allowed = self.allowed.lock();
        if allowed.len() >= MAX_REMEMBERED {
            allowed.retain(|_, until| now < *until);
        }
        if allowed.len() < MAX_REMEMBERED {
            allowed.insert(check, now + TTL);
        }
    }

    /// Asks the cluster, as the account that is checked.
    async fn review(&self, check: &AccessCheck) -> Result<(), Status> {
        let cluster = &*check.cluster;
        let failed = |error| unavailable(cluster, &error);
        let upstream = self.upstreams.upstream(cluster).map_err(failed)?;
        let deadline = self.upstreams.head_deadline();
        let answer = upstream.send(request(check)?, Some(deadline)).await;
        let answer = answer.map_err(failed)?;
        let code = answer.status();
        let body = whole_body::read(answer.into_body(), MAX_REVIEW).await;
        let body = body.unwrap_or_default();
        let result = self_review::result(code, &body);
        if result.allowed {
            return Ok(());
        }
        if code == StatusCode::FORBIDDEN {
            self.upstreams.request_probe(cluster);
        }
        if !code.is_success() {
            let code = code.as_u16();
            tracing::warn!(cluster, code, "an access review failed");
        }
        Err(denied(check, result.reason.as_deref().unwrap_or_default()))
    }
}

/// Returns the request that asks the cluster.
fn request(check: &AccessCheck) -> Result<Request<Body>, Status> {
    let mut headers = HeaderMap::new();
    let json_type = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, json_type.clone());
    headers.insert(ACCEPT, json_type);
    if let Actor::User(user) = &check.actor {
        let user = Identity::clone(user);
        impersonate(&mut headers, user).map_err(|_| denied(check, ""))?;
    }
    let review = self_review::review(spec(&check.attributes));
    let body = serde_json::to_vec(&review).map_err(|error| Status::internal(error.to_string()))?;
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(self_review::PATH);
    *request.headers_mut() = headers;
    Ok(request)
}

fn spec(attributes: &Attributes) -> SelfSubjectAccessReviewSpec {
    let verb = Some(attributes.verb.clone());
    match &attributes.target {
        Target::Resource {
            group,
            version,
            resource,
            subresource,
            namespace,
            name,
        } => SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb,
                group: Some(group.clone()),
                version: Some(version.clone()),
                resource: Some(resource.clone()),
                subresource: Some(subresource.clone()),
                namespace: Some(namespace.clone()),
                name: Some(name.clone()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        Target::Path(path) => SelfSubjectAccessReviewSpec {
            non_resource_attributes: Some(NonResourceAttributes {
                verb,
                path: Some(path.clone()),
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
    }
}

fn denied(check: &AccessCheck, reason: &str) -> Status {
    match &check.actor {
        Actor::User(user) => forbidden(user, &check.attributes, reason),
        Actor::Gateway => not_granted(check),
    }
}

/// Returns whether the gateway's role may lack this permission even at a correctly configured
/// cluster.
fn gateway_may_lack(attributes: &Attributes) -> bool {
    let Target::Resource { resource, .. } = &attributes.target else {
        return false;
    };
    matches!(resource.as_str(), "serviceaccounts" | "uids" | "userextras")
}

/// Returns a 403 that says how an administrator can grant the permission.
fn not_granted(check: &AccessCheck) -> Status {
    let cluster = &check.cluster;
    let Target::Resource {
        group,
        resource,
        subresource,
        name,
        ..
    } = &check.attributes.target
    else {
        return Status::forbidden(&GroupResource::default(), "", "");
    };
    let role = "kubeconfig-apiserver:gateway";
    let text = match resource.as_str() {
        "userextras" => format!(
            "the gateway may not impersonate this extra value at cluster {cluster:?}: an administrator must add userextras/{subresource} to ClusterRole {role} there"
        ),
        "uids" => format!(
            "the gateway may not impersonate uids at cluster {cluster:?}: an administrator must run cluster add again, or apply the current ClusterRole {role} there"
        ),
        _ => format!(
            "the gateway may not impersonate ServiceAccounts at cluster {cluster:?}, which was added before this permission existed: an administrator must run cluster add again, or apply the current ClusterRole {role} there"
        ),
    };
    Status::forbidden(
        &GroupResource::new(group.clone(), resource.clone()),
        name,
        &text,
    )
}
