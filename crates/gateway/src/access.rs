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
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use apiserver::forbidden;
use auth::impersonation::Impersonation;
use auth::{Attributes, Identity, Target};
use axum::body::Body;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use machinery::meta::GroupResource;
use machinery::status::Status;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::request_headers::impersonate;
use crate::status::unavailable;
use crate::upstream::Upstreams;

/// The path of access reviews.
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Time for which a positive answer is cached: one kubectl command makes several requests.
const TTL: Duration = Duration::from_secs(3);

/// Maximum number of cached answers.
const MAX_REMEMBERED: usize = 4096;

/// Maximum size of the answer to a review, in bytes.
const MAX_REVIEW: usize = 64 * 1024;

/// Checks with clusters which users may impersonate which identities.
#[derive(Default)]
pub(crate) struct Access {
    allowed: Mutex<HashMap<Question, Instant>>,
}

/// The question whether an account may do something at a cluster.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    cluster: Box<str>,
    asker: Asker,
    attributes: Attributes,
}

/// The account that a question is about.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Asker {
    User(Box<Identity>),
    /// The gateway itself.
    Gateway,
}

impl Access {
    /// Returns the identity that `user` asks to act as, if the cluster permits every part of it.
    ///
    /// # Errors
    /// 400 or 403 in the words of kube-apiserver, or the reason why the cluster did not answer.
    pub(crate) async fn impersonated(
        &self,
        upstreams: &Upstreams,
        (cluster, user): (&str, &Identity),
        wanted: Impersonation,
    ) -> Result<Identity, Status> {
        let needed = wanted.attributes();
        for attributes in needed.map_err(|error| Status::bad_request(error.to_string()))? {
            let gateway = needs_more_of_the_gateway(&attributes).then_some(Asker::Gateway);
            for asker in [Some(Asker::User(Box::new(user.clone()))), gateway] {
                let Some(asker) = asker else { continue };
                let question = Question {
                    cluster: cluster.into(),
                    asker,
                    attributes: attributes.clone(),
                };
                if !self.remembers(&question) {
                    ask(upstreams, &question).await?;
                    self.remember(question);
                }
            }
        }
        let identity = wanted.asserted();
        identity.map_err(|error| Status::bad_request(error.to_string()))
    }

    fn remembers(&self, question: &Question) -> bool {
        let until = self.allowed().get(question).copied();
        until.is_some_and(|until| Instant::now() < until)
    }

    fn remember(&self, question: Question) {
        let now = Instant::now();
        let mut allowed = self.allowed();
        if allowed.len() >= MAX_REMEMBERED {
            allowed.retain(|_, until| now < *until);
        }
        if allowed.len() < MAX_REMEMBERED {
            allowed.insert(question, now + TTL);
        }
    }

    /// Poisoning is ignored: every update leaves the map consistent.
    fn allowed(&self) -> MutexGuard<'_, HashMap<Question, Instant>> {
        self.allowed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the cluster, as the account in question.
async fn ask(upstreams: &Upstreams, question: &Question) -> Result<(), Status> {
    let failed = |error| unavailable(&question.cluster, &error);
    let upstream = upstreams.upstream(&question.cluster).map_err(failed)?;
    let answer = upstream.send(review(question)?, Some(upstreams.head_deadline()));
    let answer = answer.await.map_err(failed)?;
    let code = answer.status();
    let body = Limited::new(answer.into_body(), MAX_REVIEW).collect().await;
    let review: Value = match body {
        Ok(body) => serde_json::from_slice(&body.to_bytes()).unwrap_or_default(),
        Err(_) => Value::Null,
    };
    if code == StatusCode::CREATED && review["status"]["allowed"] == Value::Bool(true) {
        return Ok(());
    }
    if code == StatusCode::FORBIDDEN {
        upstreams.request_probe(&question.cluster);
    }
    if !code.is_success() {
        tracing::warn!(
            cluster = &*question.cluster,
            code = code.as_u16(),
            "an access review failed"
        );
    }
    Err(denied(
        question,
        review["status"]["reason"].as_str().unwrap_or_default(),
    ))
}

fn review(question: &Question) -> Result<Request<Body>, Status> {
    let mut headers = HeaderMap::new();
    let json_type = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, json_type.clone());
    headers.insert(ACCEPT, json_type);
    if let Asker::User(user) = &question.asker {
        let user = Identity::clone(user);
        impersonate(&mut headers, user).map_err(|_| denied(question, ""))?;
    }
    let spec = match &question.attributes.target {
        Target::Resource {
            group,
            version,
            resource,
            subresource,
            namespace,
            name,
        } => json!({"resourceAttributes": {
            "verb": question.attributes.verb, "group": group, "version": version, "resource": resource,
            "subresource": subresource, "namespace": namespace, "name": name,
        }}),
        Target::Path(path) => {
            json!({"nonResourceAttributes": {"verb": question.attributes.verb, "path": path}})
        }
    };
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec,
    });
    let mut request = Request::new(Body::from(body.to_string()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(REVIEWS);
    *request.headers_mut() = headers;
    Ok(request)
}

fn denied(question: &Question, reason: &str) -> Status {
    match &question.asker {
        Asker::User(user) => forbidden(user, &question.attributes, reason),
        Asker::Gateway => not_granted(question),
    }
}

/// Returns whether the gateway's role may lack this permission even at a correctly configured
/// cluster.
fn needs_more_of_the_gateway(attributes: &Attributes) -> bool {
    let Target::Resource { resource, .. } = &attributes.target else {
        return false;
    };
    matches!(resource.as_str(), "serviceaccounts" | "uids" | "userextras")
}

/// Returns a 403 that says how an administrator can grant the permission.
fn not_granted(question: &Question) -> Status {
    let cluster = &question.cluster;
    let Target::Resource {
        group,
        resource,
        subresource,
        name,
        ..
    } = &question.attributes.target
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
