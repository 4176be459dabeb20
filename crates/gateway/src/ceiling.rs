//! Requests with a token that `spec.access` limits, of its record or of a grant: they must pass the
//! ceilings of the token.
//!
//! The meaning of a request comes from the same parser as for all other requests
//! ([`ClusterRequest`]), and a path that the cluster could read in another way is refused. Reviews
//! of the caller itself are answered within the ceilings, because the cluster knows nothing of them.

use apiserver::forbidden;
use apiserver::review::Review;
use auth::Ceilings;
use axum::body::Body;
use builtins::access_review::{self, SelfSubjectAccessReviews, SelfSubjectRulesReviews};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use k8s_openapi::api::authorization::v1::{
    SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReviewStatus,
};
use machinery::decode;
use machinery::decode::protobuf::Message;
use machinery::status::Status;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokens::ceilings::{refusal, refusal_of};

use crate::caller::Caller;
use crate::cluster_request::{ClusterRequest, RequestKind};
use crate::request_headers;
use crate::status::{forbidden_because, respond};
use crate::whole_body;

/// Maximum size of a review and of its answer, in bytes.
const MAX_REVIEW: usize = 1024 * 1024;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// The next step for a request that passes its ceilings.
pub(crate) enum Passed {
    /// Forward it.
    Forward(ClusterRequest),
    /// Respond without the cluster.
    Respond(Response<Body>),
    /// Forward it, and limit the rules in the answer.
    Rules(ClusterRequest, RulesLimit),
}

/// The ceilings that limit the rules in an answer.
pub(crate) struct RulesLimit {
    ceilings: Ceilings,
    namespace: String,
}

/// Checks a request against the ceilings of its token.
///
/// # Errors
/// 403 if it does not pass; 400 and 415 for a review that cannot be read.
pub(crate) async fn check(request: ClusterRequest, caller: &Caller) -> Result<Passed, Status> {
    let ceilings = &caller.ceilings;
    if ceilings.is_empty() {
        return Ok(Passed::Forward(request));
    }
    let attributes = request.info.attributes();
    if let Some(why) = refusal(ceilings, &attributes, request.path.path()) {
        return Err(forbidden(&caller.user, &attributes, why));
    }
    if request_headers::requested_impersonation(request.inner.headers()).is_requested() {
        return Err(forbidden_because(
            "a token or grant with spec.access does not permit impersonation",
        ));
    }
    if let RequestKind::Upgrade(_) = request.kind
        && !ceilings.permits_upgrade(&attributes)
    {
        let why = "spec.access of the token or grant of this request does not permit upgraded connections";
        return Err(forbidden(&caller.user, &attributes, why));
    }
    match review_of(&request) {
        Some("selfsubjectaccessreviews") => review_access(request, ceilings).await,
        Some("selfsubjectrulesreviews") => review_rules(request, ceilings).await,
        _ => Ok(Passed::Forward(request)),
    }
}

/// Returns the resource of a review of the caller's own permissions.
fn review_of(request: &ClusterRequest) -> Option<&str> {
    let resource = request.info.resource.as_ref()?;
    let is_review = request.info.verb == "create" && resource.group == "authorization.k8s.io";
    is_review.then_some(resource.resource.as_str())
}

async fn review_access(request: ClusterRequest, ceilings: &Ceilings) -> Result<Passed, Status> {
    let message = SelfSubjectAccessReviews::new().protobuf();
    let (request, mut answer) = read(request, message).await?;
    let review: SelfSubjectAccessReview = parse(&answer)?;
    let resource = review.spec.resource_attributes.as_ref();
    let path = review.spec.non_resource_attributes.as_ref();
    if resource.is_none() && path.is_none() {
        // The cluster tells that a review must ask about something.
        return Ok(Passed::Forward(request));
    }
    match refusal_of(ceilings, &access_review::attributes(resource, path)) {
        None => Ok(Passed::Forward(request)),
        Some(why) => {
            let status = SubjectAccessReviewStatus {
                allowed: false,
                denied: Some(true),
                reason: Some(why.to_owned()),
                ..SubjectAccessReviewStatus::default()
            };
            answer["status"] = serde_json::to_value(status).unwrap_or_default();
            Ok(Passed::Respond(created(&answer)))
        }
    }
}

async fn review_rules(request: ClusterRequest, ceilings: &Ceilings) -> Result<Passed, Status> {
    let message = SelfSubjectRulesReviews::new().protobuf();
    let (mut request, review) = read(request, message).await?;
    let review: SelfSubjectRulesReview = parse(&review)?;
    let headers = request.inner.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static(JSON));
    headers.remove(ACCEPT_ENCODING);
    let limit = RulesLimit {
        ceilings: ceilings.clone(),
        namespace: review.spec.namespace.unwrap_or_default(),
    };
    Ok(Passed::Rules(request, limit))
}

impl RulesLimit {
    /// Limits the rules in an answer. An error of the cluster is returned unchanged.
    pub(crate) async fn apply(self, answer: Response<Body>) -> Response<Body> {
        if !answer.status().is_success() {
            return answer;
        }
        let (mut head, body) = answer.into_parts();
        let Ok(body) = whole_body::read(body, MAX_REVIEW).await else {
            return unreadable();
        };
        let Ok(mut review) = serde_json::from_slice::<SelfSubjectRulesReview>(&body) else {
            return unreadable();
        };
        let rules = review.status.take().unwrap_or_default();
        review.status = Some(self.ceilings.limit(rules, &self.namespace));
        head.headers.remove(CONTENT_LENGTH);
        head.headers.remove(CONTENT_ENCODING);
        head.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        Response::from_parts(
            head,
            Body::from(serde_json::to_vec(&review).unwrap_or_default()),
        )
    }
}

/// Reads a review, and leaves its body in the request.
async fn read(
    mut request: ClusterRequest,
    message: Option<&Message>,
) -> Result<(ClusterRequest, Value), Status> {
    let headers = request.inner.headers();
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Status::unsupported_media_type(&[JSON, PROTOBUF]));
    }
    let content = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let content = content.unwrap_or(JSON.as_bytes()).to_vec();
    let body = std::mem::replace(request.inner.body_mut(), Body::empty());
    let body = whole_body::read(body, MAX_REVIEW).await;
    let body = body.map_err(|error| Status::bad_request(error.to_string()))?;
    let decoded = match message {
        _ if content.starts_with(JSON.as_bytes()) => decode::json(&body),
        Some(message) if content.starts_with(PROTOBUF.as_bytes()) => {
            decode::protobuf(&body, message)
        }
        _ => return Err(Status::unsupported_media_type(&[JSON, PROTOBUF])),
    };
    let decoded = decoded.map_err(|error| Status::bad_request(error.to_string()))?;
    *request.inner.body_mut() = Body::from(body);
    Ok((request, decoded.value))
}

fn parse<T: DeserializeOwned>(review: &Value) -> Result<T, Status> {
    let parsed = T::deserialize(review);
    parsed.map_err(|error| Status::bad_request(format!("the review cannot be read: {error}")))
}

fn created(answer: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.to_string()));
    *response.status_mut() = StatusCode::CREATED;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

fn unreadable() -> Response<Body> {
    let status = Status::internal("the cluster's answer to the review cannot be read");
    respond(&status)
}
