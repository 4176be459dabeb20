//! The two versions of the kind, which have the same fields.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::{ClusterResourceScope, Metadata, Resource};
use machinery::meta::{Object, ObjectMeta, serialize_go_order};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A version of the kind.
pub trait TokenReviewVersion: Object + Resource + JsonSchema {
    /// Returns the request.
    fn spec_mut(&mut self) -> &mut TokenReviewSpec;

    /// Sets the response.
    fn set_status(&mut self, status: TokenReviewStatus);
}

/// `authentication.k8s.io/v1`.
pub type V1 = TokenReview;

/// TokenReview attempts to authenticate a token to a known user. kube-apiserver sends
/// `authentication.k8s.io/v1beta1` to its webhook unless it is configured to send `v1`.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.authentication.v1beta1.TokenReview")]
pub struct V1Beta1 {
    /// Standard object metadata.
    #[serde(default, serialize_with = "serialize_go_order")]
    pub metadata: ObjectMeta,

    /// The token to review.
    #[serde(default)]
    pub spec: TokenReviewSpec,

    /// The result. Set by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<TokenReviewStatus>,
}

impl Resource for V1Beta1 {
    const API_VERSION: &'static str = "authentication.k8s.io/v1beta1";
    const GROUP: &'static str = TokenReview::GROUP;
    const KIND: &'static str = TokenReview::KIND;
    const VERSION: &'static str = "v1beta1";
    const URL_PATH_SEGMENT: &'static str = TokenReview::URL_PATH_SEGMENT;
    type Scope = ClusterResourceScope;
}

impl Metadata for V1Beta1 {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl TokenReviewVersion for V1 {
    fn spec_mut(&mut self) -> &mut TokenReviewSpec {
        &mut self.spec
    }

    fn set_status(&mut self, status: TokenReviewStatus) {
        self.status = Some(status);
    }
}

impl TokenReviewVersion for V1Beta1 {
    fn spec_mut(&mut self) -> &mut TokenReviewSpec {
        &mut self.spec
    }

    fn set_status(&mut self, status: TokenReviewStatus) {
        self.status = Some(status);
    }
}
