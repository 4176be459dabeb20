//! Requests with a token that `spec.access` limits, of its record or of a grant: they must pass the
//! ceilings of the token.
//!
//! The meaning of a request comes from the same parser as for all other requests
//! ([`ClusterRequest`]), and a path that the cluster could read in another way is refused. Reviews
//! of the caller itself are answered within the ceilings, because the cluster knows nothing of them.

use apiserver::forbidden;
use apiserver::review::Review;
use auth::ceiling::is_unambiguous;
use auth::{Attributes, Ceiling, Ceilings};
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

/// The start of the media types of server-side apply, which creates the object if it is missing.
const APPLY: &[u8] = b"application/apply-patch";

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

/// Checks a request against the ceilings of its token. Adds the groups of the grants whose ceilings
/// it passes to its user.
///
/// # Errors
/// 403 if it does not pass; 400 and 415 for a review that cannot be read.
pub(crate) async fn check(request: ClusterRequest, caller: &mut Caller) -> Result<Passed, Status> {
    let asked = Asked::of(&request);
    let headers = request.inner.headers();
    let impersonates = request_headers::requested_impersonation(headers).is_requested();
    if !caller.ceilings.is_empty() {
        let path = request.path.path();
        if let Some(why) = refusal(&caller.ceilings, &asked.attributes, path) {
            return Err(forbidden(&caller.user, &asked.attributes, why));
        }
        if impersonates {
            return Err(forbidden_because(
                "a token or grant with spec.access does not permit impersonation",
            ));
        }
        if let Some(why) = asked.refusal(&caller.ceilings) {
            return Err(forbidden(&caller.user, &asked.attributes, why));
        }
    }
    match review_of(&request) {
        Some("selfsubjectaccessreviews") => return review_access(request, caller).await,
        Some("selfsubjectrulesreviews") if !caller.ceilings.is_empty() => {
            caller.add_granted_groups(|_| true)?;
            return review_rules(request, &caller.ceilings).await;
        }
        _ => {}
    }
    let is_clear = !impersonates && is_unambiguous(request.path.path());
    caller.add_granted_groups(|ceiling| is_clear && asked.passes(ceiling))?;
    Ok(Passed::Forward(request))
}

/// A request, as ceilings see it.
struct Asked {
    attributes: Attributes,
    is_upgrade: bool,
    /// True if the cluster may create the object that the request changes.
    may_create: bool,
}

impl Asked {
    fn of(request: &ClusterRequest) -> Self {
        let attributes = request.info.attributes();
        let is_object = request
            .info
            .resource
            .as_ref()
            .is_some_and(|resource| resource.subresource.is_empty());
        let content = request.inner.headers().get(CONTENT_TYPE);
        let is_apply = content.is_some_and(|content| content.as_bytes().starts_with(APPLY));
        let may_create = match attributes.verb.as_str() {
            "update" => true,
            "patch" => is_apply,
            _ => false,
        };
        Self {
            may_create: is_object && may_create,
            is_upgrade: matches!(request.kind, RequestKind::Upgrade(_)),
            attributes,
        }
    }

    fn create(&self) -> Attributes {
        Attributes {
            verb: "create".to_owned(),
            ..self.attributes.clone()
        }
    }

    /// Returns the reason that the ceilings refuse a request whose attributes they permit.
    fn refusal(&self, ceilings: &Ceilings) -> Option<&'static str> {
        if self.is_upgrade && !ceilings.permits_upgrade(&self.attributes) {
            return Some(
                "spec.access of the token or grant of this request does not permit upgraded connections",
            );
        }
        let cannot_create = self.may_create && !ceilings.permits(&self.create());
        cannot_create.then_some(
            "spec.access of the token or grant of this request does not permit create, and the request could create the object",
        )
    }

    fn passes(&self, ceiling: &Ceiling) -> bool {
        ceiling.permits(&self.attributes)
            && (!self.is_upgrade || ceiling.permits_upgrade(&self.attributes))
            && (!self.may_create || ceiling.permits(&self.create()))
    }
}

/// Returns the resource of a review of the caller's own permissions.
fn review_of(request: &ClusterRequest) -> Option<&str> {
    let resource = request.info.resource.as_ref()?;
    let is_review = request.info.verb == "create" && resource.group == "authorization.k8s.io";
    is_review.then_some(resource.resource.as_str())
}

async fn review_access(request: ClusterRequest, caller: &mut Caller) -> Result<Passed, Status> {
    let message = SelfSubjectAccessReviews::new().protobuf();
    let (request, mut answer) = read(request, message).await?;
    let review: SelfSubjectAccessReview = parse(&answer)?;
    let resource = review.spec.resource_attributes.as_ref();
    let path = review.spec.non_resource_attributes.as_ref();
    if resource.is_none() && path.is_none() {
        // The cluster tells that a review must ask about something.
        return Ok(Passed::Forward(request));
    }
    let attributes = access_review::attributes(resource, path);
    match refusal_of(&caller.ceilings, &attributes) {
        None => {
            caller.add_granted_groups(|ceiling| ceiling.permits(&attributes))?;
            Ok(Passed::Forward(request))
        }
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
