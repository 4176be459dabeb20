//! SelfSubjectAccessReviews, which ask a cluster whether the sender may do something there.

use http::StatusCode;
use k8s_openapi::api::authorization::v1::{
    SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReviewStatus,
};

/// The path of these reviews.
pub(crate) const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Returns the object that is posted.
pub(crate) fn review(spec: SelfSubjectAccessReviewSpec) -> SelfSubjectAccessReview {
    SelfSubjectAccessReview {
        spec,
        ..SelfSubjectAccessReview::default()
    }
}

/// Returns the result in an answer. It does not permit anything if the answer is not a review.
pub(crate) fn result(code: StatusCode, body: &[u8]) -> SubjectAccessReviewStatus {
    let review = serde_json::from_slice::<SelfSubjectAccessReview>(body);
    let status = review
        .ok()
        .and_then(|review| review.status)
        .unwrap_or_default();
    SubjectAccessReviewStatus {
        allowed: status.allowed && code == StatusCode::CREATED,
        ..status
    }
}
